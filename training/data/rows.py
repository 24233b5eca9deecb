"""What the doctor works on: rows of messages, and findings about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
Form = Literal["instruction", "conversation", "sharegpt", "completion", "preference", "openai", "brandvoice"]
Rule = Literal[
    "structure",
    "encoding",
    "empty",
    "no_assistant",
    "too_long",
    "cut",
    "duplicate",
    "near_duplicate",
    "contradiction",
    "pii",
    "placeholder",
    "language",
    "off_voice",
    "overlap",
    "abuse",
    "bias",
    "few_refusals",
    "few_handoffs",
    "few_followups",
    "few_paraphrases",
    "skewed_lengths",
]
REJECTING: frozenset[Rule] = frozenset({"structure", "encoding", "empty", "no_assistant", "too_long"})
"""A row that breaks one of these is not learnt from; every other rule warns."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message."""

    role: Role
    content: str
    outcome: str | None = None
    """Of a reply, where the row says it: answered, refused, handed_off or small_talk."""
    acts: bool = False
    """A reply that calls tools; it may be without text."""


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation, in whatever form it was written."""

    file: Path
    line: int
    """From 1: where it begins; of a Parquet file the number of the row."""
    form: Form
    turns: tuple[Turn, ...]
    rejected: str | None = None
    """Of a preference, the reply that was not chosen."""
    group: str | None = None
    """Id of the conversation, where the row names one; rows of one stay on one side of a split."""
    own: Mapping[str, Any] | None = field(default=None, compare=False)
    """One of our own conversations as it was read, with what the turns do not hold: outcomes, documents, origin."""
    withheld: str | None = None
    """Why it may be looked at and not learnt from: a model wrote it, and no person approved it."""

    @property
    def questions(self) -> tuple[str, ...]:
        """What the customer wrote, oldest first."""
        return tuple(one.content for one in self.turns if one.role == "user")

    @property
    def replies(self) -> tuple[str, ...]:
        """What the brand wrote, oldest first; replies without text are left out."""
        return tuple(one.content for one in self.turns if one.role == "assistant" and one.content)

    @property
    def first_exchange(self) -> tuple[str, str] | None:
        """The first question with the reply that follows it; None where something else follows."""
        spoken = [one for one in self.turns if one.role != "system"]
        for one, after in pairwise(spoken):
            if one.role == "user":
                return (one.content, after.content) if after.role == "assistant" and after.content else None
        return None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or doubtful with a row; line 0 stands for the data as a whole."""

    file: Path
    line: int
    rule: Rule
    reason: str
