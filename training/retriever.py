"""Train the encoder of a brand's search and let the gate judge it; what `brandvoice train retriever` starts.

    python -m training.retriever --brand velmora [--recipe retriever] [--version V] [--force]
                                 [--progress bar|lines|json]

An accepted encoder becomes `models/encoders/<brand>/<version>`; a refused one leaves its figures in the run's folder
and nothing else. Nothing is trained where the pages, the held-out questions, the recipe and the packaged encoder are
those of an earlier run. Progress goes to stderr, the result as one JSON object to stdout; a refusal is a result.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.brand import Brand
from configs.errors import ConfigError
from configs.home import Home
from configs.training import RetrieverRecipe, read_retriever_recipe
from retrieval.documents.loading import load_documents
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.encoder_export import NAME, export_encoder, packaged_model
from retrieval.errors import RetrievalError
from retrieval.evaluation.question_sets import Asked
from training.conversations import read_questions
from training.errors import RecipeInvalid, TrainingError, TrainingFailed
from training.packaging import publish
from training.progress import Progress, Report, silent
from training.recipes import retriever as recipe_script
from training.retriever_gate import Exam, Examiner, Verdict, examine, judge
from training.retriever_pairs import Pair, ask_about, digest, make_pairs, split_pages, with_negatives
from training.runs import new_run
from training.sources import configured, encoder_folder
from training.train import command_line, recipe_path, show_progress

RESULT = "result.json"
MIN_QUESTIONS = 10
"""About pages kept out: with fewer, no difference is more than chance."""


@dataclass(frozen=True, slots=True)
class Material:
    """What one brand gives: pairs to train on, and the exam."""

    brand: Brand
    home: Home
    encoder: Encoder
    """The packaged one, which the training starts from."""
    pairs: tuple[Pair, ...]
    exam: Exam
    origin: Mapping[str, str]
    """Digests of all that a result depends on."""


Train = Callable[[Material, Path, Path], tuple[float, ...]]
"""From the material, a folder for the trained encoder and the run's folder to the losses."""


def gather(name: str, recipe: RetrieverRecipe, environment: Mapping[str, str]) -> Material:
    """Read a brand's pages and questions, and make pairs and exam of them.

    Raises:
        ConfigError: Unknown brand, or a config that is not valid.
        RecipeInvalid: Another encoder than the packaged one, no held-out questions, or too few pages.
        RetrievalError: Pages or encoder cannot be read.
    """
    config, brand = configured(name, environment)
    home = Home.from_environment(environment)
    encoder = OnnxEncoder.load(encoder_folder(config, home))
    if encoder.name != NAME:
        raise RecipeInvalid(
            f"models.encoder is {encoder.name!r}, whose weights are not here to be trained; only {NAME!r} can be"
        )
    if brand.questions is None:
        raise RecipeInvalid(f"the brand {name!r} names no held-out questions to be judged by; set `questions`")
    # What customers never find is neither learnt nor asked.
    documents = tuple(one for one in load_documents(brand.pages).documents if one.metadata.audience == "public")
    learnt, out = split_pages(documents, recipe.pairs)
    kept_out = ask_about(documents, out, recipe.pairs)
    pairs = with_negatives(make_pairs(learnt, recipe.pairs), learnt, encoder, recipe.pairs.hard_negatives)
    questions = sum(len(half.questions) for half in kept_out)
    if questions < MIN_QUESTIONS or not pairs:
        raise RecipeInvalid(
            f"{len(documents)} pages of {name!r} give {len(pairs)} pairs and {questions} questions about "
            f"pages kept out, at least {MIN_QUESTIONS} of which are needed; add pages, or raise pairs.kept_out"
        )
    held_out = tuple(
        Asked(one.question, (), (one.document,) if one.document else (), one.document is not None)
        for one in read_questions(brand.questions)
    )
    settings = brand.retrieval
    exam = Exam(documents, held_out, kept_out, settings.top_k, settings.min_answerability)
    origin = {
        "parent_sha256": encoder.sha256,
        "pairs_sha256": digest(pairs),
        "exam_sha256": digest([exam]),
        "recipe_sha256": recipe.sha256(),
    }
    return Material(brand, home, encoder, pairs, exam, origin)


def train_retriever(
    material: Material,
    recipe: RetrieverRecipe,
    *,
    version: str | None = None,
    force: bool = False,
    progress: Progress = silent,
    train: Train,
    load: Callable[[Path], Encoder] = OnnxEncoder.load,
    examiner: Examiner = examine,
) -> dict[str, Any]:
    """Train, judge, and keep the encoder where it is accepted.

    Args:
        material: As `gather` gives it.
        recipe: How.
        version: Name of the new version; the time where absent.
        force: Train even where an earlier run had the same material.
        progress: Told of the stages.
        train: Writes a trained encoder's folder.
        load: Opens it.
        examiner: Asks an encoder the exam.

    Returns:
        `brand`, `version` and `folder` (null where refused), `accepted`, `reasons`, `figures`, `pairs`, `run`,
        `skipped`, and the digests.

    Raises:
        TrainingError: With the reason and the cure; nothing was changed.
    """
    name, home = material.brand.name, material.home
    if not force and (earlier := _earlier(home, material)) is not None:
        progress(Report(f"the retriever of {name} is up to date", 1, 1))
        return {**earlier, "skipped": True}
    folder = home.encoders / name / (version or datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))
    if folder.exists():
        raise TrainingFailed(f"{folder} exists already and versions never change; give another --version")
    run = new_run(home.runs, f"{name}-retriever", recipe)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
            built = Path(scratch) / "encoder"
            losses = train(material, built, run)
            progress(Report(f"asking the packaged encoder of {name}", 0, 0))
            before = examiner(material.encoder, material.exam)
            progress(Report(f"asking the trained encoder of {name}", 0, 0))
            verdict = judge(before, examiner(load(built), material.exam))
            result = _result(material, verdict, losses, run, folder)
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
    """What an encoder was made from, and how it was judged, into its manifest."""
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


def _earlier(home: Home, material: Material) -> dict[str, Any] | None:
    """The newest result of the same material whose encoder, where one was accepted, is still there."""
    for path in sorted(home.runs.glob(f"{material.brand.name}-retriever-*/{RESULT}"), reverse=True):
        try:
            result: dict[str, Any] = json.loads(path.read_text("utf-8"))
            same = all(result[key] == value for key, value in material.origin.items())
            there = not result["accepted"] or Path(result["folder"], "manifest.json").is_file()
        except (OSError, ValueError, KeyError):
            continue  # a run that was cut off says nothing
        if same and there:
            return result
    return None


def fine_tune(recipe: RetrieverRecipe, progress: Progress, say: Callable[[str], object]) -> Train:
    """The real training: fine-tune, export to ONNX, quantise, compare with the model."""

    def train(material: Material, built: Path, run: Path) -> tuple[float, ...]:
        with tempfile.TemporaryDirectory(dir=built.parent) as scratch:
            model = Path(scratch) / "model"
            name = material.brand.name
            losses = recipe_script.main(
                recipe_script.Job(
                    name, material.pairs, recipe.contrastive, packaged_model(), model, run, progress=progress, say=say
                )
            )
            progress(Report(f"exporting the retriever of {name}", 0, 0))
            export_encoder(model, built, name=f"{NAME}/{name}")
            return losses

    return train


def main() -> int:
    """Train the retriever of one brand from the command line."""
    arguments = command_line("training.retriever", __doc__, recipe="retriever").parse_args()
    say: Callable[[str], object] = len if arguments.progress == "json" else sys.stderr.write
    try:
        recipe = read_retriever_recipe(recipe_path(arguments.recipe))
        with show_progress(arguments.progress) as progress:
            progress(Report(f"making pairs of the pages of {arguments.brand}", 0, 0))
            result = train_retriever(
                gather(arguments.brand, recipe, os.environ),
                recipe,
                version=arguments.version,
                force=arguments.force,
                progress=progress,
                train=fine_tune(recipe, progress, say),
            )
    except (TrainingError, ConfigError, RetrievalError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
