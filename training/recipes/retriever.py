"""Fine-tune the packaged encoder on pairs of one brand; read it from top to bottom.

The loss wants each question nearer to its own passage than to those of the other pairs in the batch and to its hard
negatives. The same pairs, recipe and seed give the same weights on the same machine.

Source: Henderson et al., "Efficient Natural Language Response Suggestion for Smart Reply", 2017 (in-batch negatives).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from configs.training import Contrastive
from retrieval.encoder import MAX_TOKENS
from training.errors import RecipeInvalid
from training.progress import Report
from training.retriever.fitting import Job, NoCard, arguments, fit, keep, seeded, show
from training.retriever.pairs import Pair, batches


def main(job: Job[Contrastive]) -> tuple[float, ...]:
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
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

    device = seeded(settings.seed)
    model = SentenceTransformer(str(job.start), device=device, local_files_only=True)
    model.max_seq_length = MAX_TOKENS

    # 2. The pairs, in the batches that were made of them.
    class Given(DefaultBatchSampler):
        """Hands out the batches as they are."""

        def __iter__(self) -> Iterator[list[int]]:
            return iter(steps)

        def __len__(self) -> int:
            return len(steps)

    class Trainer(NoCard, SentenceTransformerTrainer):
        """Writes no card."""

    rows = Dataset.from_list([_row(pair) for pair in job.pairs])
    told = SentenceTransformerTrainingArguments(**arguments(job, device), num_train_epochs=1, batch_sampler=Given)
    show(job, device=device, steps=len(steps))

    # 3. Train. Whatever breaks leaves the run folder to look at, and no encoder.
    def trainer(callback: Any) -> Any:
        loss = MultipleNegativesRankingLoss(model, scale=settings.scale)
        return Trainer(model=model, args=told, train_dataset=rows, loss=loss, callbacks=[callback])

    losses = fit(job, "retriever", "contrastive", trainer)

    # 4. Keep the weights.
    keep(job, model[0].auto_model)
    return losses


def _row(pair: Pair) -> dict[str, str]:
    negatives = {f"negative_{number}": text for number, text in enumerate(pair.negatives, start=1)}
    return {"anchor": pair.question, "positive": pair.passage, **negatives}
