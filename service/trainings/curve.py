"""How far a training is: the last word of its log, and the losses of its run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOSSES = "losses.jsonl"
TAIL_BYTES = 64_000
POINTS = 400
"""Of a curve that is drawn; more are thinned out."""


@dataclass(frozen=True, slots=True)
class Point:
    """The loss after a step."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a command stands."""

    stage: str
    step: int
    total: int
    """0 where the end is not known."""
    loss: float | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """The losses of a run."""

    losses: tuple[Point, ...] = ()
    held_back: tuple[Point, ...] = ()
    """On what is not trained on."""


def standing(log: Path) -> Standing | None:
    """What a command reported last; None where it has said nothing yet."""
    for line in reversed(tail(log).splitlines()):
        report = _object(line)
        if "stage" in report:
            return Standing(
                str(report["stage"]),
                int(report.get("step") or 0),
                int(report.get("total") or 0),
                report.get("loss"),
                report.get("eta_s"),
            )
    return None


def complaint(log: Path) -> str | None:
    """What a command said of its failure: its last line that is no report."""
    lines = [line for line in tail(log).splitlines() if line.strip() and "stage" not in _object(line)]
    errors = [at for at, line in enumerate(lines) if line.startswith("error: ")]
    if errors:
        # An error may go over several lines, which name rows of data.
        return "\n".join(lines[errors[-1] :]).removeprefix("error: ")[:2000]
    return lines[-1][:2000] if lines else None


def tail(log: Path) -> str:
    """The end of a log; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def curve(run: Path) -> Curve:
    """The losses that a run has written so far."""
    try:
        lines = (run / LOSSES).read_text("utf-8").splitlines()
    except OSError:
        return Curve()
    losses: list[Point] = []
    held: list[Point] = []
    for line in lines:
        row = _object(line)
        for name, points in (("loss", losses), ("held_back_loss", held)):
            value = row.get(name)
            if isinstance(value, int | float) and math.isfinite(value):
                points.append(Point(int(row["step"]), float(value)))
    return Curve(tuple(_thinned(losses)), tuple(_thinned(held)))


def newest_run(runs: Path, brand: str, since: float) -> Path | None:
    """The run of a brand that has been written to since a moment; one of a brand trains at a time.

    Args:
        runs: Folder of all runs.
        brand: Whose.
        since: Seconds since the epoch.
    """
    found: list[tuple[float, Path]] = []
    for folder in runs.glob(f"{brand}-*"):
        # The brand's name is a part of another one's, such as `acme` and `acme-pets`.
        if not folder.name.removeprefix(f"{brand}-")[:8].isdigit():
            continue
        written = (folder / name for name in (LOSSES, "origin.json"))
        found += [(one.stat().st_mtime, folder) for one in written if one.is_file()]
    newest = max(found, default=None, key=lambda one: one[0])
    return newest[1] if newest and newest[0] >= since else None


def _thinned(points: list[Point]) -> list[Point]:
    if len(points) <= POINTS:
        return points
    step = len(points) / POINTS
    kept = [points[int(at * step)] for at in range(POINTS - 1)]
    return [*kept, points[-1]]


def _object(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
