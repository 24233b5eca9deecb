"""One number for a set of data, 0 to 100, with its reasons in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from training.data.doctor import Examined
from training.data.rows import Rule

_WEIGHTS: Mapping[Rule, tuple[float, float, str]] = {
    "abuse": (30, 0.01, "rows insult or judge people"),
    "bias": (20, 0.01, "rows treat people unequally or judge a group"),
    "contradiction": (20, 0.05, "rows contradict another one"),
    "overlap": (20, 0.02, "rows ask what the evaluation asks"),
    "pii": (15, 0.10, "rows hold personal data"),
    "placeholder": (15, 0.10, "rows hold slots that nobody filled"),
    "language": (15, 0.10, "rows are in another language"),
    "cut": (10, 0.10, "rows break off"),
    "duplicate": (10, 0.20, "rows repeat another one"),
    "near_duplicate": (5, 0.30, "rows nearly repeat another one"),
    "off_voice": (10, 0.05, "rows are out of the voice"),
}
"""Most points that a rule can cost, and the share of rows from which on it costs them all. Own judgement: what harms a
customer or makes the evaluation lie weighs most, what training gets over weighs least."""
_REJECTED = (30.0, 0.25)
_WHOLE: Mapping[Rule, str] = {
    "few_refusals": "too few replies refuse",
    "few_handoffs": "too few replies hand over",
    "few_followups": "too few conversations go on",
    "few_paraphrases": "too few answers are asked for in several wordings",
    "skewed_lengths": "lengths are skewed",
}
_WHOLE_COST = 5.0
_VERDICTS = ((90, "good to train on"), (70, "worth a look first"), (40, "clean it first"), (0, "do not train on this"))


@dataclass(frozen=True, slots=True)
class Score:
    """What the data is worth."""

    points: int
    """0 to 100."""
    verdict: str
    reasons: tuple[str, ...]
    """Each with the points that it costs, the costliest first."""


def score(found: Examined) -> Score:
    """Sum up what the doctor found; 100 where nothing is doubtful."""
    costs = [
        (_cost(len(found.rejected), found.rows, *_REJECTED), f"{len(found.rejected)} of {found.rows} rows rejected")
    ]
    for rule, (weight, full, what) in _WEIGHTS.items():
        rows = len({(one.file, one.line) for one in found.warnings if one.rule == rule})
        costs.append((_cost(rows, len(found.accepted), weight, full), f"{rows} of {len(found.accepted)} {what}"))
    costs += [(_WHOLE_COST, what) for rule, what in _WHOLE.items() if found.count(rule)]
    costs = sorted((one for one in costs if one[0]), key=lambda one: (-one[0], one[1]))
    points = max(0, round(100 - sum(cost for cost, _ in costs))) if found.accepted else 0
    if costs and points == 100:
        points = 99
    verdict = next(text for least, text in _VERDICTS if points >= least)
    return Score(points, verdict, tuple(f"-{cost:.1f}  {what}" for cost, what in costs))


def _cost(rows: int, of: int, weight: float, full: float) -> float:
    return weight * min(1.0, rows / of / full) if rows and of else 0.0
