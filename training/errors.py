"""What can go wrong in training.

TrainingError
├── DataInvalid       the author's fault: lines of a data file cannot be read; all of them are listed
├── DataOverlap       the author's fault: what is measured with would be trained on
├── RecipeInvalid     the operator's fault: a recipe that does not fit the data, the base or the machine
├── BaseUnavailable   the network's or the disk's fault: the base model could not be fetched or is not intact
├── VoiceUnlearnable  the operator's fault: a brand with too few texts of its own to know its voice
├── EngineFailed      the network's or the operator's fault: the model that writes examples cannot be asked
├── EvaluationBroken  the engine's or the candidate's: not all questions could be asked; what was answered is kept
└── TrainingFailed    the machine's fault: disk full, out of memory, a loss that is not a number
"""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.errors import BadLine


class TrainingError(Exception):
    """Root of everything that training raises."""


class DataInvalid(TrainingError):
    """Lines of a data file cannot be read; nothing was used of it."""

    def __init__(self, lines: Sequence[BadLine], *, shown: int = 20) -> None:
        listed = "\n".join(f"  {line}" for line in lines[:shown])
        rest = f"\n  and {len(lines) - shown} more" if len(lines) > shown else ""
        super().__init__(
            f"{len(lines)} bad line(s), nothing was used of the file:\n{listed}{rest}\n"
            "Correct or delete these lines, then run the same command again."
        )
        self.lines = tuple(lines)


class DataOverlap(TrainingError):
    """Questions of the evaluation are in the training data, so that what is measured would say nothing."""

    def __init__(self, pairs: Sequence[tuple[str, str]], *, shown: int = 10) -> None:
        listed = "\n".join(f"  {asked!r} is trained on as {trained!r}" for asked, trained in pairs[:shown])
        rest = f"\n  and {len(pairs) - shown} more" if len(pairs) > shown else ""
        super().__init__(
            f"{len(pairs)} question(s) of the evaluation are in the training data:\n{listed}{rest}. "
            "Take them out of one of the two, then run the same command again."
        )
        self.pairs = tuple(pairs)


class RecipeInvalid(TrainingError):
    """The recipe cannot be run as it stands."""


class BaseUnavailable(TrainingError):
    """The base model could not be fetched, or what lies there is not intact."""


class VoiceUnlearnable(TrainingError):
    """There is not enough of the brand's own writing to know its voice."""


class EngineFailed(TrainingError):
    """A model that was to write examples does not answer, or not as it should."""


class EvaluationBroken(TrainingError):
    """A candidate could not be compared: it cannot speak, or the engine is gone."""


class TrainingFailed(TrainingError):
    """Training began and could not be finished; no adapter was left behind."""
