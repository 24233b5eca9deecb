"""One line of a table an experiment's question, the same in every module here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """What was tried, how often, what should come of it and what did."""

    what: str
    n: int
    goal: str
    result: str
    met: bool | None
    """None where the figure has no goal: it is only counted."""
    seconds: float


@dataclass
class Stopwatch:
    """Seconds since it was made."""

    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Until now."""
        return time.monotonic() - self.began


def table(rows: Iterable[Row]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| experiment | N | goal | result | | seconds |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        verdict = "counted" if row.met is None else "met" if row.met else "**missed**"
        yield f"| {row.what} | {row.n:,} | {row.goal} | {row.result} | {verdict} | {row.seconds:.0f} |"
