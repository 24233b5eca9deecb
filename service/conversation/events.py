"""The typed results of a turn: what the pipeline's steps hand on, what a channel gets to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["answered", "refused", "handed_off", "small_talk", "stopped"]
"""`stopped`: its reader had read enough, or did not want to wait."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that supports a sentence of the reply."""

    number: int
    document: str
    title: str
    passage: str
    score: float
    """How well the passage supports what is said, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the assistant is doing now; shown, never stored."""

    state: Literal["queued", "searching", "writing"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that passed the check, ready to be shown."""

    index: int
    text: str
    """With its citation marks, such as `... within 30 days [1].`"""
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """Text as it comes from the engine, for a brand that switched the check before showing off."""

    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished turn."""

    text: str
    """The sentences joined by blanks, citation marks included."""
    outcome: Outcome
    citations: tuple[Citation, ...]
    adapter: Mapping[str, str]
    """`brand` and `version`."""
    usage: Mapping[str, int]
    """`prompt_tokens` and `completion_tokens`, over all generations of the turn."""
    timings_ms: Mapping[str, float]
    evidence: Mapping[str, object] = field(default_factory=dict)
    """Everything that explains the reply, JSON-serialisable."""

    @property
    def support(self) -> float | None:
        """Of an answer: the score of its best citation, 0 to 1, and 0 where it has none."""
        return max((one.score for one in self.citations), default=0.0) if self.outcome == "answered" else None


TurnEvent = Status | Sentence | Token | Reply
"""A turn is any number of Status, Sentence and Token events and one last Reply."""
