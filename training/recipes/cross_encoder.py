"""Make a cross-encoder of the packaged encoder, on pairs of one brand; read it from top to bottom.

It reads a question and a passage together and gives one logit. The loss is binary cross-entropy: the passage that the
question was made of is right, the nearest passages of other pages are wrong. The same pairs, recipe and seed give the
same weights on the same machine.

Source: Nogueira, Cho, "Passage Re-ranking with BERT", arXiv 1901.04085 (a pair, one score, cross-entropy).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from configs.training import CrossEntropy
from retrieval.encoder import MAX_TOKENS
from training.errors import RecipeInvalid
from training.progress import Report
from training.retriever.fitting import Job, NoCard, arguments, fit, keep, seeded, show
from training.retriever.pairs import Pair


def main(job: Job[CrossEntropy]) -> tuple[float, ...]:
    """Train and write the model; the loss at each step.

    Raises:
        RecipeInvalid: No pair has a wrong passage.
        TrainingFailed: Memory, disk, or a loss that is not a number.
    """
    settings = job.settings
    examples = list(_examples(job.pairs))
    if len(examples) == len(job.pairs):
        raise RecipeInvalid(f"one page alone of {job.brand} gives passages, so that none is a wrong one; add pages")
    job.progress(Report("loading the encoder", 0, 0))

    # 1. The model: the transformer of the encoder; its head is new, drawn by the seed.
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
    from sentence_transformers.cross_encoder.trainer import CrossEncoderTrainer
    from sentence_transformers.cross_encoder.training_args import CrossEncoderTrainingArguments

    device = seeded(settings.seed)
    model = CrossEncoder(str(job.start), num_labels=1, device=device, local_files_only=True)
    model.max_seq_length = MAX_TOKENS

    # 2. The examples, a question with one passage each; the trainer shuffles them by the seed.
    class Trainer(NoCard, CrossEncoderTrainer):
        """Writes no card."""

    rows = Dataset.from_list(examples)
    told = CrossEncoderTrainingArguments(
        **arguments(job, device), num_train_epochs=settings.num_train_epochs, max_steps=settings.max_steps
    )
    show(job, device=device, examples=len(examples))

    # 3. Train. Whatever breaks leaves the run folder to look at, and no cross-encoder.
    def trainer(callback: Any) -> Any:
        loss = BinaryCrossEntropyLoss(model)
        return Trainer(model=model, args=told, train_dataset=rows, loss=loss, callbacks=[callback])

    losses = fit(job, "cross-encoder", "cross_entropy", trainer)

    # 4. Keep the weights.
    keep(job, model.model)
    return losses


def _examples(pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
    for pair in pairs:
        yield {"question": pair.question, "passage": pair.passage, "label": 1.0}
        for negative in pair.negatives:
            yield {"question": pair.question, "passage": negative, "label": 0.0}
