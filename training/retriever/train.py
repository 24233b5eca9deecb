"""Train a model of a brand's search and let the gate judge it; what `brandvoice train retriever` starts.

    python -m training.retriever --brand velmora [--recipe retriever|cross_encoder] [--version V] [--force]
                                 [--progress bar|lines|json]

An accepted encoder becomes `models/encoders/<brand>/<version>`, an accepted cross-encoder
`models/rerankers/<brand>/<version>`; a refused one leaves its figures in the run's folder and nothing else. Nothing is
trained where the pages, the held-out questions, the recipe and the encoder are those of an earlier run. Progress goes
to stderr, the result as one JSON object to stdout; a refusal is a result.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.home import Home
from configs.training import SearchRecipe, read_search_recipe
from retrieval.encoder_export import NAME
from retrieval.errors import RetrievalError
from training.errors import TrainingError, TrainingFailed
from training.progress import Progress, Report, silent
from training.retriever.gate import Examiner, Searching, Verdict, examine, judge
from training.retriever.material import Material, gather
from training.retriever.models import Model, model_of, versions
from training.runs.folder import new_run
from training.runs.packaging import publish
from training.train import command_line, recipe_path, show_progress

RESULT = "result.json"


def train_retriever(
    material: Material,
    recipe: SearchRecipe,
    model: Model,
    *,
    version: str | None = None,
    force: bool = False,
    progress: Progress = silent,
    examiner: Examiner = examine,
) -> dict[str, Any]:
    """Train, judge, and keep the model where it is accepted.

    Args:
        material: As `gather` gives it.
        recipe: How.
        model: Trains and opens what the recipe is for.
        version: Name of the new version; the time where absent.
        force: Train even where an earlier run had the same material.
        progress: Told of the stages.
        examiner: Asks the exam.

    Returns:
        `brand`, `trains`, `version` and `folder` (null where refused), `accepted`, `reasons`, `figures`, `pairs`,
        `run`, `skipped`, and the digests.

    Raises:
        TrainingError: With the reason and the cure; nothing was changed.
    """
    name, home = material.brand.name, material.home
    if not force and (earlier := _earlier(home, recipe, material)) is not None:
        progress(Report(f"the retriever of {name} is up to date", 1, 1))
        return {**earlier, "skipped": True}
    folder = versions(home, recipe) / name / (version or datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))
    if folder.exists():
        raise TrainingFailed(f"{folder} exists already and versions never change; give another --version")
    run = new_run(home.runs, f"{name}-{recipe.trains}", recipe)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
            built = Path(scratch) / "model"
            losses = model.train(material, built, run)
            progress(Report(f"asking {name} without the trained model", 0, 0))
            before = examiner(Searching(material.encoder), material.exam)
            progress(Report(f"asking {name} with the trained model", 0, 0))
            verdict = judge(before, examiner(model.load(material, built), material.exam))
            result = {"trains": recipe.trains, **_result(material, verdict, losses, run, folder)}
            if verdict.accepted:
                _complete(built, result)
                publish(built, folder)
            _keep(run / RESULT, result)
    except OSError as error:
        raise TrainingFailed(
            f"the retriever of {name} was not kept: {error}; nothing was changed, free some disk (300 MB) "
            "and train again"
        ) from error
    return result


def _result(material: Material, verdict: Verdict, losses: tuple[float, ...], run: Path, folder: Path) -> dict[str, Any]:
    return {
        "brand": material.brand.name,
        "version": folder.name if verdict.accepted else None,
        "folder": str(folder) if verdict.accepted else None,
        "accepted": verdict.accepted,
        "reasons": list(verdict.reasons),
        "figures": [asdict(one) for one in verdict.figures],
        "pairs": len(material.pairs),
        "steps": len(losses),
        "loss_first": round(losses[0], 4),
        "loss_last": round(losses[-1], 4),
        "run": str(run),
        "skipped": False,
        **material.origin,
    }


def _complete(built: Path, result: Mapping[str, Any]) -> None:
    """What a model was made from, and how it was judged, into its manifest."""
    path = built / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    origin = {key: value for key, value in result.items() if key.endswith("_sha256")}
    about = {key: result[key] for key in ("brand", "version", "pairs", "steps")}
    grown = {
        **manifest,
        **about,
        "parent": NAME,
        **origin,
        "metrics": result["figures"],
        "created_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
    }
    path.write_text(json.dumps(grown, indent=2) + "\n", encoding="utf-8")


def _keep(path: Path, result: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _earlier(home: Home, recipe: SearchRecipe, material: Material) -> dict[str, Any] | None:
    """The newest result of the same material whose model, where one was accepted, is still there."""
    for path in sorted(home.runs.glob(f"{material.brand.name}-{recipe.trains}-*/{RESULT}"), reverse=True):
        try:
            result: dict[str, Any] = json.loads(path.read_text("utf-8"))
            same = all(result[key] == value for key, value in material.origin.items())
            there = not result["accepted"] or Path(result["folder"], "manifest.json").is_file()
        except (OSError, ValueError, KeyError):
            continue  # a run that was cut off says nothing
        if same and there:
            return result
    return None


def main() -> int:
    """Train a model of one brand's search from the command line."""
    arguments = command_line("training.retriever", __doc__, recipe="retriever").parse_args()
    say: Callable[[str], object] = len if arguments.progress == "json" else sys.stderr.write
    try:
        recipe = read_search_recipe(recipe_path(arguments.recipe))
        with show_progress(arguments.progress) as progress:
            progress(Report(f"making pairs of the pages of {arguments.brand}", 0, 0))
            result = train_retriever(
                gather(arguments.brand, recipe, os.environ),
                recipe,
                model_of(recipe, progress, say),
                version=arguments.version,
                force=arguments.force,
                progress=progress,
            )
    except (TrainingError, ConfigError, RetrievalError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(result) + "\n")
    return 0
