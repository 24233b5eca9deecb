"""What search is to reach on the public question sets, beside what it reaches."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.goals import Goal, at_least, goal_table
from benchmarks.retrieval_systems import Run
from retrieval.evaluation import metrics

OURS = "brandvoice"
LEGS = ("BM25", "dense")
HIT_AT_5: Mapping[str, float] = {"mtrag": 0.91, "doc2dial": 0.975, "tau2": 0.75, "plausible": 0.98, "squad2": 0.97}
GAIN: Mapping[str, float] = {"RRF": 1.04, "LangChain ensemble": 1.20, "Haystack hybrid": 1.04}
"""nDCG@10 of ours against theirs."""
GAIN_OVER_LEG = 1.08
FASTER: Mapping[str, float] = {"LangChain ensemble": 5, "Haystack hybrid": 10}
"""Their p50 against ours."""


def machine() -> str:
    """The machine, in words."""
    names = [line.split(":", 1)[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{os.cpu_count()} cores ({names[0].strip() if names else platform.machine()}), {platform.system()}"


def verdicts(name: str, runs: Mapping[str, Run], golds: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The table of one set: every goal beside the figure."""
    return goal_table(_goals(name, runs, golds))


def _goals(name: str, runs: Mapping[str, Run], golds: Sequence[tuple[str, ...]]) -> Iterator[Goal]:
    gains = {each: _gains(run, golds) for each, run in runs.items()}
    if name in HIT_AT_5:
        hits = fmean(metrics.hit(*pair, 5) for pair in zip(runs[OURS].ranked, golds, strict=True))
        yield at_least("hit@5", HIT_AT_5[name], hits)
    best = max(LEGS, key=lambda leg: fmean(gains[leg]))
    others = {best: GAIN_OVER_LEG, **{other: goal for other, goal in GAIN.items() if other in runs}}
    for other, goal in others.items():
        yield _gain(other, goal, gains[OURS], gains[other])
    for other, goal in FASTER.items():
        if other in runs:
            ours, theirs = (metrics.percentile(runs[one].milliseconds, 0.5) for one in (OURS, other))
            yield at_least(f"times as fast as {other}, p50", goal, theirs / ours)


def _gains(run: Run, golds: Sequence[tuple[str, ...]]) -> list[float]:
    return [metrics.ndcg(*pair, 10) for pair in zip(run.ranked, golds, strict=True)]


def _gain(other: str, goal: float, ours: Sequence[float], theirs: Sequence[float]) -> Goal:
    low, high = metrics.interval([one - two for one, two in zip(ours, theirs, strict=True)])
    label = f"nDCG@10 against {other}: difference {fmean(ours) - fmean(theirs):+.3f} ({low:+.3f} to {high:+.3f})"
    needed = goal * fmean(theirs)
    doubt = "" if low > 0 else "the interval holds 0"
    note = f"out of reach, it would be an nDCG of {needed:.3f}" if needed > 1 else doubt
    return at_least(label, goal, fmean(ours) / fmean(theirs), note)
