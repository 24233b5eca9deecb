"""What can go wrong in training.

TrainingError
├── DataInvalid       the author's fault: lines of a data file cannot be read; all of them are listed
├── RecipeInvalid     the operator's fault: a recipe that does not fit the data, the base or the machine
├── BaseUnavailable   the network's or the disk's fault: the base model could not be fetched or is not intact
├── VoiceUnlearnable  the operator's fault: a brand with too few texts of its own to know its voice
└── TrainingFailed    the machine's fault: disk full, out of memory, a loss that is not a number
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class TrainingError(Exception):
    """Root of everything that training raises."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line of a data file that cannot be used."""

    file: Path
    line: int
    """From 1."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


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


class RecipeInvalid(TrainingError):
    """The recipe cannot be run as it stands."""


class BaseUnavailable(TrainingError):
    """The base model could not be fetched, or what lies there is not intact."""


class VoiceUnlearnable(TrainingError):
    """There is not enough of the brand's own writing to know its voice."""


class TrainingFailed(TrainingError):
    """Training began and could not be finished; no adapter was left behind."""
