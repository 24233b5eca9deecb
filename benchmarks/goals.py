"""A figure held against its goal: one row of a table, the same in every benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure, and what it must reach or must not exceed."""

    what: str
    figure: float
    limit: float
    at_least: bool = True
    note: str = ""
    """What the verdict needs to be read with."""

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.missed_by <= 0

    @property
    def missed_by(self) -> float:
        """How far it is on the wrong side; 0 or less where it is met."""
        return self.limit - self.figure if self.at_least else self.figure - self.limit

    @property
    def bound(self) -> str:
        """The goal in words."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"

    @property
    def verdict(self) -> str:
        """Met, or missed by how much."""
        told = "met" if self.met else f"**missed** by {self.missed_by:.3g}"
        return f"{told}; {self.note}" if self.note else told


def at_most(what: str, limit: float, figure: float) -> Goal:
    """A goal that is met from `limit` down."""
    return Goal(what, figure, limit, at_least=False)


def at_least(what: str, limit: float, figure: float, note: str = "") -> Goal:
    """A goal that is met from `limit` up."""
    return Goal(what, figure, limit, note=note)


def goal_table(goals: Iterable[Goal]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| | goal | figure | |"
    yield "|---|---|---|---|"
    for one in goals:
        yield f"| {one.what} | {one.bound} | {one.figure:.4g} | {one.verdict} |"
