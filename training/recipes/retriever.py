"""Fine-tune the packaged encoder on pairs of one brand; read it from top to bottom.

The loss wants each question nearer to its own passage than to those of the other pairs in the batch and to its hard
negatives. The same pairs, recipe and seed give the same weights on the same machine.

Source: Henderson et al., "Efficient Natural Language Response Suggestion for Smart Reply", 2017 (in-batch negatives).
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.training import Contrastive
from retrieval.encoder import MAX_TOKENS
from training.errors import RecipeInvalid, TrainingFailed
from training.plot import loss_plot
from training.progress import Progress, Report, silent
from training.retriever_pairs import Pair, batches
from training.runs import LossLog


@dataclass(frozen=True, slots=True)
class Job:
    """One training run."""

    brand: str
    pairs: Sequence[Pair]
    settings: Contrastive
    start: Path
    """Folder of the packaged model, in Hugging Face layout."""
    out: Path
    """Where the trained model goes, in the same layout; must not exist."""
    run: Path
    """The run's folder: it keeps the losses and their plot."""
    progress: Progress = silent
    say: Callable[[str], object] = lambda _: None


def main(job: Job) -> tuple[float, ...]:
    """Train and write the model; the loss at each step.

    Raises:
        RecipeInvalid: Too few pairs for one batch.
        TrainingFailed: Memory, disk, or a loss that is not a number.
    """
    settings = job.settings
    steps = batches(job.pairs, settings.per_device_train_batch_size, settings.num_train_epochs, settings.seed)
    if settings.max_steps > 0:
        steps = steps[: settings.max_steps]
    if not steps:
        raise RecipeInvalid(
            f"{len(job.pairs)} pairs fill no batch of {settings.per_device_train_batch_size}; "
            "lower contrastive.per_device_train_batch_size"
        )
    job.progress(Report("loading the encoder", 0, 0))

    # 1. The model, as its package describes it: transformer, mean pooling, unit vectors.
    import datasets
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(settings.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = SentenceTransformer(str(job.start), device=device, local_files_only=True)
    model.max_seq_length = MAX_TOKENS

    # 2. The pairs, in the batches that were made of them.
    class Given(DefaultBatchSampler):
        """Hands out the batches as they are."""

        def __iter__(self) -> Iterator[list[int]]:
            return iter(steps)

        def __len__(self) -> int:
            return len(steps)

    class Trainer(SentenceTransformerTrainer):
        """Draws no examples for a card that nobody reads."""

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """Add none."""

    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(job.run / "trainer"),
        learning_rate=settings.learning_rate,
        num_train_epochs=1,
        per_device_train_batch_size=settings.per_device_train_batch_size,
        warmup_steps=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        batch_sampler=Given,
        use_cpu=device == "cpu",
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_pin_memory=device == "cuda",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    log = LossLog(job.run / "losses.jsonl", job.progress, f"training the retriever of {job.brand}")
    _show(job, len(steps), device)

    # 3. Train. Whatever breaks leaves the run folder to look at, and no encoder.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = Trainer(
                model=model,
                args=arguments,
                train_dataset=datasets.Dataset.from_list([_row(pair) for pair in job.pairs]),
                loss=MultipleNegativesRankingLoss(model, scale=settings.scale),
                callbacks=[log.callback()],
            )
            trainer.remove_callback(transformers.PrinterCallback)
            trainer.train()
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingFailed(
            f"memory ran out while training the retriever of {job.brand}: lower "
            f"contrastive.per_device_train_batch_size (now {settings.per_device_train_batch_size})"
        ) from error
    if not log.losses or not math.isfinite(log.losses[-1]):
        raise TrainingFailed(
            f"the loss of {job.brand} is not a number; lower contrastive.learning_rate (now {settings.learning_rate})"
        )

    # 4. Keep the curve and the weights. The tokenizer was not trained.
    title = f"{job.brand}: retriever"
    (job.run / "loss.svg").write_text(loss_plot(log.losses, title=title), encoding="utf-8")
    trained: Any = model[0].auto_model
    trained.to("cpu").save_pretrained(job.out)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(job.start / name, job.out / name)
    return tuple(log.losses)


def _row(pair: Pair) -> dict[str, str]:
    negatives = {f"negative_{number}": text for number, text in enumerate(pair.negatives, start=1)}
    return {"anchor": pair.question, "positive": pair.passage, **negatives}


def _show(job: Job, steps: int, device: str) -> None:
    """Every resolved value."""
    values = {"device": device, "pairs": len(job.pairs), "steps": steps, **job.settings.model_dump()}
    job.say("".join(f"  {key:32} {value}\n" for key, value in values.items()))
