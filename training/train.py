"""Train one brand from its conversations to a version in the state folder; what `brandvoice train` starts.

    python -m training.train --brand velmora --recipe quick_cpu [--set lora.r=32] [--version V] [--force]
                             [--questions N] [--pairs FILE] [--progress bar|lines|json]
    accelerate launch --num_processes N -m training.train --brand velmora ...       several GPUs

Nothing is trained where a version made of the same conversations or pairs, recipe, template, base and knowledge is
there already; a run of the same that a crash ended goes on from its last checkpoint. Progress goes to stderr (as JSON
lines where asked), the result as one JSON object to stdout. Which version serves is not changed here: promoting is
another command's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from configs.adapter_manifest import AdapterManifest, read_adapter
from configs.adapter_signature import sign_adapter, signing_keys
from configs.base_manifest import base_folder
from configs.brand import Brand
from configs.errors import AdapterInvalid, ConfigError
from configs.load import configs_folder
from configs.training import AdapterRecipe, DpoRecipe, Recipe, read_adapter_recipe
from retrieval.errors import RetrievalError
from training.base_model import prepare_base_model
from training.conversations import Conversation, read_questions
from training.data.preferences import Shop, pairs_sha256, read_pairs
from training.data.split import assert_no_overlap, near_any
from training.errors import RecipeInvalid, TrainingError, TrainingFailed
from training.examples.command import build, data_digest, probes
from training.examples.rendering import Built
from training.examples.sources import Source, asked
from training.judging.evaluation import generate, score
from training.progress import LineProgress, Progress, Report, silent
from training.recipes import dpo, sft
from training.runs.adapter_run import Metrics, Trained
from training.runs.folder import one_at_a_time, unfinished
from training.runs.packaging import Origin, adapter_matches
from training.trainer.ranks import is_main


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    manifest: AdapterManifest | None
    """None where all weights were trained, which makes no adapter."""
    folder: Path
    metrics: Mapping[str, Any]
    skipped: bool
    """An up-to-date version was there already."""
    run: Path | None
    shipped: Mapping[str, Any]
    """Metrics of the adapter that ships with the project, to be shown beside; empty where none ships."""


def train_brand(
    name: str,
    recipe: AdapterRecipe,
    environment: Mapping[str, str],
    *,
    version: str | None = None,
    force: bool = False,
    questions: int = 0,
    progress: Progress = silent,
    say: Callable[[str], object] = sys.stderr.write,
) -> Result:
    """Train one brand, unless a version is up to date.

    Args:
        name: The brand.
        recipe: How.
        environment: Usually `os.environ`.
        version: Name of the new version; the time where absent.
        force: Train even where a version is up to date.
        questions: Held-out questions to answer for the metrics; each takes seconds on a CPU.
        progress: Told of stages and steps.
        say: Shown every resolved value before the first step.

    Raises:
        TrainingError: With the reason and the cure.
        ConfigError: The deployment is not valid.
        RetrievalError: The knowledge base is not intact.
    """
    source = Source.open(name, environment)
    # Before hours are spent: an adapter that cannot be signed would not be served.
    keys = signing_keys(source.config.service, environment)
    # Processes that train together hold one lock.
    with one_at_a_time(source.home.runs, name) if is_main() else nullcontext():
        result = _train(source, recipe, version, force=force, questions=questions, progress=progress, say=say)
    if keys and result.manifest is not None and not result.skipped:
        sign_adapter(result.folder, keys)
    return result


def _train(
    source: Source,
    recipe: AdapterRecipe,
    version: str | None,
    *,
    force: bool,
    questions: int,
    progress: Progress,
    say: Callable[[str], object],
) -> Result:
    """Train an opened brand that nobody else trains."""
    name = source.brand.name
    models, base_name = source.home.models, source.config.service.models.base
    base = prepare_base_model(base_name, base_folder(models, base_name), progress)
    adapters = source.home.adapters / name
    recipe = starting(recipe, adapters)
    digest = pairs_sha256(pairs_file(recipe)) if isinstance(recipe, DpoRecipe) else data_digest(source, recipe.data)
    origin = Origin.of(name, base, recipe, digest)
    if not force:
        ready = up_to_date(adapters, origin, source.knowledge.version)
        if ready is not None:
            progress(Report(f"{name} is up to date", 1, 1))
            manifest = read_adapter(ready)
            return Result(manifest, ready, manifest.metrics, True, None, _shipped(source))
    folder = adapters / (version or datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))
    if folder.exists():
        raise TrainingFailed(f"{folder} exists already and versions never change; give another --version")

    def evaluate(model: Any, tokenizer: Any) -> Metrics:
        held = probes(source)[:questions]
        replies = generate(model, tokenizer, [one.messages for one in held], batch=4)
        return score(held, replies, source.judge())

    run: dict[str, Any] = {
        "data_sha256": digest,
        "knowledge_version": source.knowledge.version,
        "base": base_folder(models, base_name),
        "out": folder,
        "runs": source.home.runs,
        "display_name": source.brand.display_name,
        "progress": progress,
        "say": say,
        "resume": None if force else unfinished(source.home.runs, origin.digests(source.knowledge.version)),
        "evaluate": evaluate if questions else None,
        "start": None if recipe.start_from == BASE else adapters / recipe.start_from,
    }
    trained = _from_pairs(source, recipe, run) if isinstance(recipe, DpoRecipe) else _from_chats(source, recipe, run)
    return Result(trained.manifest, trained.folder, trained.metrics, False, trained.run, _shipped(source))


def _from_chats(source: Source, recipe: Recipe, run: Mapping[str, Any]) -> Trained:
    """Train on the brand's conversations."""
    run["progress"](Report(f"building the examples of {source.brand.name}", 0, 0))
    built = build(source, recipe.data)
    keep_apart(source.brand, source.learnt(recipe.data), built)
    return sft.main(sft.Job(recipe=recipe, examples=built.examples, **run))


def _from_pairs(source: Source, recipe: DpoRecipe, run: Mapping[str, Any]) -> Trained:
    """Train on pairs of replies."""
    brand = source.brand
    run["progress"](Report(f"reading the pairs of {brand.name}", 0, 0))
    pairs = read_pairs(
        pairs_file(recipe),
        recipe.pairs,
        Shop(
            brand.name,
            brand.display_name,
            source.knowledge,
            top_k=brand.retrieval.top_k,
            min_answerability=brand.retrieval.min_answerability,
        ),
    )
    if brand.questions is not None:
        held = [one.question for one in read_questions(brand.questions)]
        if pairs_file(recipe) == source.home.corrections(brand.name).pairs:
            # Whoever corrected an answer did not choose the question.
            pairs = tuple(one for one in pairs if not near_any(one.row.questions, held))
        assert_no_overlap([question for pair in pairs for question in pair.row.questions], held)
    return dpo.main(dpo.Job(recipe=recipe, examples=pairs, **run))


BASE = "base"
"""What `start_from` calls the base model."""
Started = TypeVar("Started", Recipe, DpoRecipe, AdapterRecipe)


def pairs_file(recipe: DpoRecipe) -> Path:
    """The file that a recipe learns from.

    Raises:
        RecipeInvalid: It names none.
    """
    if recipe.pairs.file is None:
        raise RecipeInvalid(f"the recipe {recipe.name} learns from pairs of replies and names none; give --pairs FILE")
    return recipe.pairs.file


def starting(recipe: Started, adapters: Path) -> Started:
    """The recipe with the version named that it starts from, so that its digest says which.

    Args:
        recipe: With `active`, `base` or a version.
        adapters: The brand's folder.

    Raises:
        RecipeInvalid: There is no such version.
    """
    if recipe.start_from == BASE:
        return recipe
    version = recipe.start_from
    if version == "active":
        pointer = adapters / "active"
        version = pointer.read_text("utf-8").strip() if pointer.is_file() else ""
        if not version:
            raise RecipeInvalid(
                f"no adapter of {adapters.name} speaks yet, so that there is none to go on from; promote one "
                "(`brandvoice adapter promote`), or give --set start_from=base"
            )
    if not (adapters / version).is_dir():
        raise RecipeInvalid(
            f"start_from names {version!r}, and {adapters.name} has no such version; "
            "`brandvoice adapter list` shows what there is"
        )
    return recipe.model_copy(update={"start_from": version})


def keep_apart(brand: Brand, learnt: Sequence[Conversation], built: Built) -> None:
    """Make sure that no held-out question of a brand is trained on.

    Raises:
        DataOverlap: Some are.
    """
    if brand.questions is None:
        return
    general = [said.content for one in built.examples if one.kind == "general" for said in one.messages]
    assert_no_overlap([*asked(learnt), *general], [one.question for one in read_questions(brand.questions)])


def up_to_date(adapters: Path, origin: Origin, knowledge_version: str) -> Path | None:
    """The newest whole version below `adapters` that was made of exactly this; None where there is none."""
    found: list[tuple[datetime, Path]] = []
    for folder in adapters.iterdir() if adapters.is_dir() else ():
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        try:
            manifest = read_adapter(folder)
            if manifest.knowledge_version == knowledge_version and not adapter_matches(folder, origin):
                found.append((manifest.created_at, folder))
        except AdapterInvalid:
            # A broken version is no reason not to train; `adapter list` and `doctor` name it.
            continue
    return max(found)[1] if found else None


class BarProgress:
    """A bar with the live loss and the minutes left, for a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._bars = Bars(*columns, console=Console(stderr=True))
        self._stage: str | None = None
        self._task: Any = None

    def __enter__(self) -> BarProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, report: Report, /) -> None:
        """Move the bar, a new one for each stage."""
        if report.stage != self._stage:
            if self._task is not None:
                self._bars.update(self._task, total=1, completed=1, note="")
            self._stage = report.stage
            self._task = self._bars.add_task(report.stage, total=report.total or None, note="")
        loss = "" if report.loss is None else f"loss {report.loss:.3f}  "
        left = "" if report.eta_s is None else f"{report.eta_s / 60:.1f} min left"
        self._bars.update(self._task, completed=report.step, total=report.total or None, note=loss + left)


class JsonProgress:
    """A JSON line on stderr for each report, for a program that shows them."""

    def __call__(self, report: Report, /) -> None:
        """Write the report."""
        sys.stderr.write(json.dumps(asdict(report)) + "\n")
        sys.stderr.flush()


def main() -> int:
    """Train one brand from the command line."""
    parser = command_line("training.train", __doc__, recipe="quick_cpu")
    parser.add_argument("--questions", type=int, default=0, help="held-out questions to answer for the metrics")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as lora.r=32")
    parser.add_argument("--pairs", type=Path, help="pairs of replies, for a recipe with method: dpo")
    arguments = parser.parse_args()
    try:
        told = arguments.progress if is_main() else "none"
        recipe = with_pairs(read_adapter_recipe(recipe_path(arguments.recipe), arguments.set), arguments.pairs)
        # Stdout is for the result alone, whatever a library says (Trackio greets there).
        with redirect_stdout(sys.stderr), show_progress(told) as progress:
            result = train_brand(
                arguments.brand,
                recipe,
                os.environ,
                version=arguments.version,
                force=arguments.force,
                questions=arguments.questions,
                progress=progress,
                say=len if told in ("json", "none") else sys.stderr.write,
            )
    except (TrainingError, ConfigError, RetrievalError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if not is_main():
        return 0
    answer = {
        "brand": arguments.brand,
        "version": result.manifest.version if result.manifest else None,
        "folder": str(result.folder),
        "run": str(result.run) if result.run else None,
        "skipped": result.skipped,
        "metrics": result.metrics,
        "shipped_metrics": result.shipped,
    }
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def with_pairs(recipe: AdapterRecipe, file: Path | None) -> AdapterRecipe:
    """A recipe that learns from this file of pairs.

    Raises:
        RecipeInvalid: The recipe learns from no pairs.
    """
    if file is None:
        return recipe
    if not isinstance(recipe, DpoRecipe):
        raise RecipeInvalid(f"the recipe {recipe.name} learns from no pairs; leave --pairs out, or take the recipe dpo")
    return recipe.model_copy(update={"pairs": recipe.pairs.model_copy(update={"file": file})})


def command_line(module: str, about: str | None, *, recipe: str) -> argparse.ArgumentParser:
    """The options that every training has.

    Args:
        module: What is run.
        about: Its docstring.
        recipe: Which one is taken where none is named.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--brand", required=True)
    parser.add_argument("--recipe", default=recipe, help="name of a file under configs/training")
    parser.add_argument("--version", help="name of the new version; the time where absent")
    parser.add_argument("--force", action="store_true", help="train even where nothing has changed")
    shown = "bar" if sys.stderr.isatty() else "lines"
    parser.add_argument("--progress", choices=("bar", "lines", "json"), default=shown)
    return parser


def recipe_path(name: str) -> Path:
    """The file of a recipe."""
    return configs_folder(os.environ) / "training" / f"{name}.yaml"


def show_progress(kind: str) -> AbstractContextManager[Progress]:
    """What shows reports: a bar, lines, JSON, or `none`."""
    if kind == "bar":
        return BarProgress()
    shown: Mapping[str, Progress] = {"json": JsonProgress(), "none": silent}
    return nullcontext(shown.get(kind, LineProgress()))


def _shipped(source: Source) -> Mapping[str, Any]:
    folder = source.brand.shipped_adapter
    return read_adapter(folder).metrics if folder is not None and folder.is_dir() else {}


if __name__ == "__main__":
    sys.exit(main())
