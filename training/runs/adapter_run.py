"""What the recipes of an adapter have in common: what a run is given, how it begins, what may break it, how it ends."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from configs.adapter_manifest import AdapterManifest, Provenance, base_mismatch, read_adapter
from configs.adapter_proof import AdapterProof
from configs.base_manifest import BASE_FILE, BaseManifest, read_base
from configs.training import DpoRecipe, Lora, Recipe, Sft
from training.base_model import DEFAULT, describe_base
from training.errors import RecipeInvalid, TrainingFailed
from training.progress import Progress, Report, silent
from training.proof import record
from training.runs.folder import ORIGIN_FILE, LossLog, last_checkpoint, new_run
from training.runs.packaging import Origin, package_adapter
from training.runs.plot import draw_losses, terminal_plot
from training.runs.provenance import provenance
from training.trainer.ranks import disband, is_main, of_main, processes

Metrics = Mapping[str, float | int | str | None]


class OfBrand(Protocol):
    """What is learnt from: an example or a pair, each of one brand."""

    @property
    def brand(self) -> str:
        """The brand's name."""
        ...


Chosen = TypeVar("Chosen", Recipe, DpoRecipe)
Item = TypeVar("Item", bound=OfBrand)


@dataclass(frozen=True, slots=True)
class Job(Generic[Chosen, Item]):
    """One training run."""

    recipe: Chosen
    examples: Sequence[Item]
    """Of one brand; the recipe selects from them."""
    data_sha256: str
    knowledge_version: str | None
    base: Path
    """Folder in Hugging Face layout, with or without `base.json`."""
    out: Path
    """The folder of the new version; must not exist."""
    runs: Path
    parent: str | None = None
    display_name: str | None = None
    """The brand's name as customers know it, for the proof that service asks of an engine; without it none is made."""
    progress: Progress = silent
    say: Callable[[str], object] = sys.stderr.write
    """Shown every resolved value before the first step."""
    resume: Path | None = None
    """Folder of an earlier run of the same job that a crash ended; it goes on from its last checkpoint."""
    evaluate: Callable[[Any, Any], Metrics] | None = None
    """Called with the trained model and the tokenizer; what it returns is kept in the manifest."""
    start: Path | None = None
    """The adapter to go on from; None begins with a new one on the base."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it."""

    manifest: AdapterManifest | None
    """None where all weights were trained: that is no adapter, and the engine serves adapters."""
    folder: Path
    """Of the adapter, or of the whole model."""
    run: Path
    metrics: Metrics
    losses: tuple[float, ...]
    """At each step."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has begun."""

    folder: Path
    brand: str
    origin: Origin
    provenance: Provenance
    checkpoint: Path | None
    """To go on from; None at the start."""
    began: float
    """`time.monotonic()`."""

    @property
    def step(self) -> int:
        """The last step of the checkpoint; 0 at the start."""
        return int(self.checkpoint.name.rpartition("-")[2]) if self.checkpoint else 0

    @property
    def goes_on_from(self) -> str:
        """In words."""
        return f"step {self.step} of {self.folder.name}" if self.checkpoint else "the start"

    def log(self, progress: Progress) -> LossLog:
        """The log of its losses; the main process keeps it."""
        path = self.folder / "losses.jsonl" if is_main() else None
        return LossLog(path, progress, f"training {self.brand}", resumed_at=self.step)


def settings(recipe: Recipe | DpoRecipe) -> tuple[str, Sft]:
    """The section of a recipe that optimises, with its name."""
    return ("dpo", recipe.dpo) if isinstance(recipe, DpoRecipe) else ("sft", recipe.sft)


def begin(job: Job[Any, Any]) -> Run:
    """Open the run's folder, or that of the run that goes on, and say in it what it is made of.

    Raises:
        RecipeInvalid: The examples are not of one brand.
        TrainingFailed: Nothing can be written there.
    """
    brand = _brand(job.examples)
    base = _base(job.base)
    origin = Origin.of(brand, base, job.recipe, job.data_sha256)
    made_with = provenance(job.recipe)
    folder = of_main(lambda: _open(job, brand, origin, made_with))
    checkpoint = last_checkpoint(folder / "trainer")
    return Run(folder, brand, origin, made_with, checkpoint, time.monotonic())


def _open(job: Job[Any, Any], brand: str, origin: Origin, made_with: Provenance) -> Path:
    """The run's folder, with what it is made of."""
    folder = job.resume or new_run(job.runs, brand, job.recipe)
    made_of = origin.digests(job.knowledge_version)
    whole = {**made_of, **made_with.model_dump(mode="json")}
    for name, values in ((ORIGIN_FILE, made_of), ("provenance.json", whole)):
        (folder / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return folder


def lora_config(lora: Lora) -> Any:
    """A recipe's adapter, as PEFT takes it."""
    from peft import LoraConfig

    targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=targets,
    )


def started(model: Any, start: Path, run: Run) -> Any:
    """The base with an earlier version on it, to be trained on.

    Raises:
        RecipeInvalid: That version was made for another base.
    """
    from peft import PeftModel

    if why := base_mismatch(read_adapter(start), run.origin.base):
        raise RecipeInvalid(f"{why}; or set start_from: base")
    return PeftModel.from_pretrained(model, start, is_trainable=True)


def computes_in_bfloat16(precision: str, *, on_gpu: bool) -> bool:
    """Whether the machine has units for bfloat16, or the recipe asks for it anyway."""
    import torch

    if precision != "auto":
        return precision == "bfloat16"
    if on_gpu:
        return bool(torch.cuda.is_bf16_supported())
    # Without AMX, bfloat16 on a CPU is emulated and slower than float32.
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return probe is not None and bool(probe())


def trainer_arguments(job: Job[Any, Any], run: Run, *, half: bool, on_gpu: bool, watched: bool) -> dict[str, Any]:
    """What the trainers of both recipes are told alike, in their own words.

    Raises:
        RecipeInvalid: The tracker is not installed.
    """
    _, sft = settings(job.recipe)
    return {
        "output_dir": str(run.folder / "trainer"),
        "learning_rate": sft.learning_rate,
        "num_train_epochs": sft.num_train_epochs,
        "max_steps": sft.max_steps,
        "per_device_train_batch_size": sft.per_device_train_batch_size,
        "per_device_eval_batch_size": sft.per_device_train_batch_size,
        "gradient_accumulation_steps": sft.gradient_accumulation_steps,
        "lr_scheduler_type": sft.lr_scheduler_type,
        "warmup_steps": sft.warmup_ratio,
        "weight_decay": sft.weight_decay,
        "max_grad_norm": sft.max_grad_norm,
        "max_length": sft.max_length,
        "bf16": half,
        "use_cpu": not on_gpu,
        "seed": sft.seed,
        "data_seed": sft.seed,
        "gradient_checkpointing": sft.gradient_checkpointing,
        "dataloader_pin_memory": on_gpu,
        "logging_steps": 1,
        **_watching(sft, watched=watched),
        **_reporting(job, run),
        # A loss that is not a number is to be seen, not left out of the mean.
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
    }


def _watching(sft: Sft, *, watched: bool) -> dict[str, Any]:
    """When the trainer looks at what is held back and when it keeps its state, in its own words."""
    if watched:
        looks = {"eval_strategy": "steps", "eval_steps": sft.evaluate_every, "eval_on_start": True}
        # The best state can only be taken if it was kept.
        keeps = {"save_strategy": "steps", "save_steps": sft.evaluate_every, "load_best_model_at_end": True}
        return {**looks, **keeps, "save_total_limit": 2, "metric_for_best_model": "eval_loss"}
    if sft.checkpoint_every:
        return {"save_strategy": "steps", "save_steps": sft.checkpoint_every, "save_total_limit": 2}
    return {"save_strategy": "no"}


def _reporting(job: Job[Any, Any], run: Run) -> dict[str, Any]:
    """Whom the trainer reports to, in its own words: nobody, or a tracker that keeps what it hears on this machine.

    Raises:
        RecipeInvalid: The tracker is not installed.
    """
    section, sft = settings(job.recipe)
    if sft.tracker == "none":
        return {"report_to": "none"}
    if importlib.util.find_spec(sft.tracker) is None:
        raise RecipeInvalid(
            f"{section}.tracker is {sft.tracker}, which is not installed: `pip install {sft.tracker}`, or set it "
            "to none"
        )
    # Where the operator says nothing else: beside the runs. None of them sends anything anywhere then.
    os.environ.setdefault("TRACKIO_DIR", str(job.runs / "trackio"))
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{job.runs / 'mlflow.db'}")
    os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", run.brand)
    return {"report_to": sft.tracker, "project": run.brand, "run_name": run.folder.name}


def steps(rows: int, sft: Sft) -> int:
    """How many steps so many rows take."""
    if sft.max_steps > 0:
        return sft.max_steps
    batch = sft.per_device_train_batch_size * sft.gradient_accumulation_steps * processes()
    return math.ceil(math.ceil(rows / batch) * sft.num_train_epochs)


def count_trained(model: Any) -> int:
    """Weights that training changes."""
    return sum(int(one.numel()) for one in model.parameters() if one.requires_grad)


def show(job: Job[Any, Any], facts: Mapping[str, object], parts: Sequence[str]) -> None:
    """Say every resolved value: facts first, then the named parts of the recipe."""
    values = dict(facts)
    for part in parts:
        values |= {f"{part}.{key}": value for key, value in getattr(job.recipe, part).model_dump().items()}
    if not is_main():
        return
    job.say("".join(f"  {key:32} {value}\n" for key, value in values.items()))


class KeepsLastGood:
    """Mixed into a trainer: a state that cannot be written leaves the ones before it, and nothing of itself."""

    def _save_checkpoint(self, *given: Any, **named: Any) -> None:
        trainer: Any = self
        step = trainer.state.global_step
        try:
            super()._save_checkpoint(*given, **named)  # type: ignore[misc]
        except Exception as error:
            # Each writer tells a full disk in its own way: an OSError, torch a RuntimeError, tokenizers an Exception.
            if ran_out_of_memory(error):
                raise
            shutil.rmtree(Path(trainer.args.output_dir) / f"checkpoint-{step}", ignore_errors=True)
            raise OSError(f"the state of step {step} could not be written ({error})") from error


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the GPU or the machine had no memory left."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # What allocates on the CPU, and cuBLAS, have no error of their own.
    told = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in told)


@contextmanager
def enough_memory(job: Job[Any, Any], run: Run) -> Iterator[None]:
    """Around a whole training.

    Raises:
        TrainingFailed: There was not, with what to lower.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        raise TrainingFailed(f"memory ran out while training {run.brand}: {_less_memory(job)}") from error


@contextmanager
def enough_disk(run: Run) -> Iterator[None]:
    """Around the steps, which write the log and the states to go on from.

    Raises:
        TrainingFailed: There was not; the last good state stays.
    """
    try:
        yield
    except OSError as error:
        kept = last_checkpoint(run.folder / "trainer")
        again = f"the same command goes on from {kept.name}" if kept else "then train again"
        raise TrainingFailed(f"training {run.brand} stopped: {error}; free some disk, {again}") from error


def _less_memory(job: Job[Any, Any]) -> str:
    """What to lower."""
    section, sft = settings(job.recipe)
    longest = f"{section}.max_length (now {sft.max_length}), and leave longer examples out"
    if isinstance(job.recipe, Recipe):
        longest = f"data.max_source_tokens (now {job.recipe.data.max_source_tokens}) and {longest}"
    if not sft.gradient_checkpointing:
        longest += f"; or set {section}.gradient_checkpointing, which is slower"
    if sft.per_device_train_batch_size == 1:
        return f"a batch is one row already, so lower {longest}"
    return (
        f"lower {section}.per_device_train_batch_size (now {sft.per_device_train_batch_size}) and raise "
        f"{section}.gradient_accumulation_steps as much; or lower {longest}"
    )


def check_losses(job: Job[Any, Any], run: Run, log: LossLog) -> None:
    """Plot the losses.

    Raises:
        TrainingFailed: One is not a number.
    """
    section, sft = settings(job.recipe)
    if log.broke_at is not None or not log.losses:
        kept = last_checkpoint(run.folder / "trainer")
        raise TrainingFailed(
            f"the loss of {run.brand} is not a number at step {log.broke_at or 0}: lower {section}.learning_rate (now "
            f"{sft.learning_rate}) or {section}.max_grad_norm (now {sft.max_grad_norm}), or raise "
            f"{section}.warmup_ratio (now {sft.warmup_ratio})" + (f"; the last good state is {kept}" if kept else "")
        )
    if is_main():
        draw_losses(run.folder / "loss.png", log.losses, log.held_back, title=f"{run.brand}: {job.recipe.name}")
        job.say(terminal_plot(log.losses, log.held_back))


def finish(
    job: Job[Any, Any], run: Run, log: LossLog, model: Any, tokenizer: Any, *, device: str, examples: int
) -> Trained:
    """Evaluate where asked, then package: a folder with all its files, or none; the main process does.

    Raises:
        TrainingFailed: The disk does not take it.
    """
    losses = log.losses
    disband()
    if not is_main():
        return Trained(None, job.out, run.folder, {}, tuple(losses))
    metrics: dict[str, float | int | str | None] = {
        "examples": examples,
        "steps": len(losses),
        "loss_first": round(statistics.mean(losses[: max(1, len(losses) // 10)]), 4),
        "loss_last": round(statistics.mean(losses[-max(1, len(losses) // 10) :]), 4),
        "train_seconds": round(time.monotonic() - run.began, 1),
        "train_device": device,
        "recipe": job.recipe.name,
        **log.held_back_metrics(),
    }
    if job.evaluate is not None:
        job.progress(Report(f"evaluating {run.brand}", 0, 0))
        model.eval()
        metrics.update(job.evaluate(model, tokenizer))
    job.progress(Report(f"packaging {run.brand}", 0, 0))
    manifest, folder = _keep(job, run, model, tokenizer, metrics)
    # The run is over: what it could have gone on from is large, and of no more use.
    (run.folder / ORIGIN_FILE).unlink()
    shutil.rmtree(run.folder / "trainer", ignore_errors=True)
    return Trained(manifest, folder, run.folder, metrics, tuple(losses))


def _keep(
    job: Job[Any, Any], run: Run, model: Any, tokenizer: Any, metrics: Metrics
) -> tuple[AdapterManifest | None, Path]:
    """Package the adapter; a whole model stays with its run."""
    if job.recipe.method == "full":
        _keep_model(model, tokenizer, run.folder / "model", metrics)
        return None, run.folder / "model"
    manifest = package_adapter(
        model,
        job.out,
        origin=run.origin,
        knowledge_version=job.knowledge_version,
        metrics=metrics,
        parent=job.parent,
        provenance=run.provenance,
        prove=partial(_proof, job) if job.display_name else None,
    )
    (run.folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return manifest, job.out


def _proof(job: Job[Any, Any], adapter: Path, weights_sha256: str) -> AdapterProof | None:
    proof = record(adapter, job.base, job.display_name or "", weights_sha256)
    if proof is None:
        job.say("  the adapter hardly changes the base model: no engine can be seen to use it, so no proof is kept\n")
    return proof


def _keep_model(model: Any, tokenizer: Any, folder: Path, metrics: Metrics) -> None:
    """Write a whole model in Hugging Face layout, with its figures beside it."""
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingFailed(f"the model could not be written to {folder}: {error}; free some disk") from error


def _brand(examples: Sequence[OfBrand]) -> str:
    brands = sorted({example.brand for example in examples})
    if len(brands) != 1:
        raise RecipeInvalid(f"an adapter speaks for one brand, the examples hold {brands or 'none'}; give one file")
    return brands[0]


def _base(folder: Path) -> BaseManifest:
    """What the base is; a folder without `base.json` (another machine's copy) is read and described."""
    if (folder / BASE_FILE).is_file():
        return read_base(folder)
    return describe_base(folder, name=DEFAULT, source=f"folder:{folder.name}")
