"""What the trainings of an encoder and of a cross-encoder have in common: what a run is given, and how it ends."""

from __future__ import annotations

import logging
import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from configs.training import Contrastive, CrossEntropy
from training.errors import TrainingFailed
from training.progress import Progress, silent
from training.retriever.pairs import Pair
from training.runs.folder import LossLog
from training.runs.plot import draw_losses

Settings = TypeVar("Settings", Contrastive, CrossEntropy)


@dataclass(frozen=True, slots=True)
class Job(Generic[Settings]):
    """One training run."""

    brand: str
    pairs: Sequence[Pair]
    settings: Settings
    start: Path
    """Folder of the packaged model, in Hugging Face layout."""
    out: Path
    """Where the trained model goes, in the same layout; must not exist."""
    run: Path
    """The run's folder: it keeps the losses and their plot."""
    progress: Progress = silent
    say: Callable[[str], object] = lambda _: None


class NoCard:
    """Mixed into a trainer: draws no examples for a card that nobody reads."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add none."""


def seeded(seed: int) -> str:
    """Make what follows repeatable and quiet; the device to train on."""
    import datasets
    import torch
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    # Both would tell at length that the head of a cross-encoder is new.
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    transformers.set_seed(seed)
    return "cuda" if torch.cuda.is_available() else "cpu"


def arguments(job: Job[Settings], device: str) -> dict[str, Any]:
    """What the trainers of both kinds of model are told."""
    settings = job.settings
    return {
        "output_dir": str(job.run / "trainer"),
        "learning_rate": settings.learning_rate,
        "per_device_train_batch_size": settings.per_device_train_batch_size,
        "warmup_steps": settings.warmup_ratio,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "use_cpu": device == "cpu",
        "seed": settings.seed,
        "data_seed": settings.seed,
        "dataloader_pin_memory": device == "cuda",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def show(job: Job[Settings], **more: object) -> None:
    """Every resolved value."""
    values = {**more, "pairs": len(job.pairs), **job.settings.model_dump()}
    job.say("".join(f"  {key:32} {value}\n" for key, value in values.items()))


def fit(job: Job[Settings], what: str, section: str, make: Callable[[Any], Any]) -> tuple[float, ...]:
    """Train, keep the losses and their plot.

    Args:
        job: The run.
        what: Is trained, in words.
        section: Of the recipe, which an error names.
        make: From a callback to the trainer.

    Returns:
        The loss at each step.

    Raises:
        TrainingFailed: Memory ran out, or a loss is not a number; the run's folder is there to look at.
    """
    import torch
    import transformers

    log = LossLog(job.run / "losses.jsonl", job.progress, f"training the {what} of {job.brand}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = make(log.callback())
            trainer.remove_callback(transformers.PrinterCallback)
            trainer.train()
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingFailed(
            f"memory ran out while training the {what} of {job.brand}: lower "
            f"{section}.per_device_train_batch_size (now {job.settings.per_device_train_batch_size})"
        ) from error
    if not log.losses or not math.isfinite(log.losses[-1]):
        raise TrainingFailed(
            f"the loss of {job.brand} is not a number; lower {section}.learning_rate (now {job.settings.learning_rate})"
        )
    draw_losses(job.run / "loss.png", log.losses, {}, title=f"{job.brand}: {what}")
    return tuple(log.losses)


def keep(job: Job[Settings], trained: Any) -> None:
    """Write the weights, and the tokenizer, which was not trained."""
    trained.to("cpu").save_pretrained(job.out)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(job.start / name, job.out / name)
