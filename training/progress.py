"""How long jobs report to whoever shows them: one small function type, and a plain one for a log."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Report:
    """Where a job stands."""

    stage: str
    """What is being done, in a few words."""
    step: int
    total: int
    """0 where the end is not known."""
    loss: float | None = None
    eta_s: float | None = None
    """Seconds left, estimated from the steps so far."""


class Progress(Protocol):
    """Called as often as there is something new; must return at once."""

    def __call__(self, report: Report, /) -> None:
        """Show the report."""
        ...


def silent(report: Report) -> None:
    """Show nothing."""
    del report


class LineProgress:
    """A line on stderr whenever a tenth is done, a stage begins or it ends."""

    def __init__(self) -> None:
        self._shown: tuple[str, int] | None = None

    def __call__(self, report: Report, /) -> None:
        """Print the report where it says something new."""
        tenth = 10 * report.step // report.total if report.total else 0
        if (report.stage, tenth) == self._shown:
            return
        self._shown = (report.stage, tenth)
        loss = "" if report.loss is None else f"  loss {report.loss:.3f}"
        left = "" if report.eta_s is None else f"  {report.eta_s / 60:.1f} min left"
        sys.stderr.write(f"{report.stage}  {report.step}/{report.total or '?'}{loss}{left}\n")
        sys.stderr.flush()
