"""The nouns of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row

State = Literal["running", "stopped", "interrupted", "failed", "trained", "done"]
"""`interrupted`: its process is gone without a word. `trained`: the gate is yet to be asked. `done`: nothing is left to
do, whatever the gate said."""
Step = Literal["train", "gate"]
RESUMABLE: frozenset[State] = frozenset({"stopped", "interrupted", "failed", "trained"})


@dataclass(frozen=True, slots=True)
class Choice:
    """What is trained, and how."""

    brand: str
    recipe: str
    changes: tuple[str, ...] = ()
    """Values to take instead of the recipe's, such as `lora.r=32`."""
    corrections: bool = True
    """Whether accepted corrections are learnt beside the brand's conversations."""
    gate: bool = True
    """Whether the gate is asked as soon as it is trained."""
    general: bool = True
    """Whether the gate also measures what is left of the base's general ability."""
    baseline: bool = True
    """Whether the gate also asks the base model, to be shown beside, where a version of the voice speaks."""
    limit: int | None = None
    """The gate asks this many questions only: a first look, never a verdict."""

    @classmethod
    def of(cls, brand: str, values: Mapping[str, Any]) -> Choice:
        """As a row keeps it."""
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values and one.name != "brand"}
        return cls(brand, **(known | {"changes": tuple(known.get("changes", ()))}))

    def to_json(self) -> dict[str, Any]:
        """For a row; the brand stands beside it."""
        return {**asdict(self), "changes": list(self.changes)}


@dataclass(frozen=True, slots=True)
class Job:
    """One training as it is kept."""

    id: str
    brand: str
    state: State
    step: Step
    choice: Mapping[str, Any]
    data: Mapping[str, Any]
    version: str | None
    run: str | None
    host: str
    pid: int | None
    pid_began: str | None
    attempts: int
    error: str | None
    started_by: str
    started_at: datetime
    attempt_at: datetime
    ended_at: datetime | None
    discarded_by: str | None

    @classmethod
    def of(cls, row: Row[Any]) -> Job:
        """As the table has it."""
        return cls(**{name: getattr(row, name) for name in cls.__slots__})

    @property
    def chosen(self) -> Choice:
        """What was asked for."""
        return Choice.of(self.brand, self.choice)
