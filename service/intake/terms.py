"""What a job of taking in is, how far it is, and what became of each file or page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Kind = Literal["upload", "crawl"]
State = Literal["running", "done", "failed", "stopped", "interrupted"]
"""`interrupted`: the gateway that did it ended first."""
Step = Literal["waiting", "reading", "embedding"]
Outcome = Literal["added", "changed", "unchanged", "refused"]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one file or page."""

    name: str
    """The document; of what was refused, the file's name or the address."""
    outcome: Outcome
    reason: str = ""
    """Why it was refused."""
    notes: tuple[str, ...] = ()
    """What was hidden in it and left out, or how it was read."""
    left_out: tuple[str, ...] = ()
    """Sentences that no model will read, because they instruct an assistant."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Result:
        """As `to_json` gave it."""
        return cls(row["name"], row["outcome"], row["reason"], tuple(row["notes"]), tuple(row["left_out"]))

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "name": self.name, "outcome": self.outcome, "reason": self.reason, "notes": list(self.notes),
            "left_out": list(self.left_out),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """One taking in."""

    id: str
    brand: str
    kind: Kind
    source: str
    """The address; of files, the first one's name."""
    state: State
    step: Step
    done: int
    """Files or pages read; then passages embedded."""
    total: int | None
    """Of how many; None where nobody knows yet."""
    at: str
    """The file or page that is read now."""
    results: tuple[Result, ...]
    version: str | None
    """That serves the result; None where nothing was taken in."""
    error: str | None
    stopping: bool
    """Somebody wants it to stop."""
    gateway: str
    started_by: str
    started_at: datetime
    ended_at: datetime | None
