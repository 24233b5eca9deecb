"""The comparison as one page that needs nothing else: verdict, measures with their intervals, what changed most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from configs.verdict import BASE_VERSION
from training.conversations import Question
from training.judging.comparison.asking import Answer, Asked
from training.judging.comparison.measuring import TOLD
from training.judging.gate import KINDS, Measured

SHOWN = {**KINDS, **TOLD}
CHANGED = 20
"""Answers that are shown side by side."""
TEXT_MEASURES = ("facts", "citation_recall", "voice", "groundedness", "overlap", "refusal", "handoff")
"""What counts, besides the words, for how much an answer changed."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One question whose answer changed."""

    question: Question
    passages: tuple[str, ...]
    before: Answer
    after: Answer
    moved: tuple[tuple[str, float, float], ...]
    """(measure, before, after) where they differ."""
    change: float
    """What the list is ordered by."""


def render(
    report: Mapping[str, Any],
    questions: Sequence[Question],
    asked: Sequence[Asked],
    values: Mapping[str, Measured],
    *,
    current: str,
    candidate: str,
) -> str:
    """The page.

    Args:
        report: As `report.json` holds it.
        questions: All that were asked.
        asked: Their answers, in the same order.
        values: Of each version, by measure and question.
        current: What speaks now.
        candidate: What was judged.
    """
    changed = most_changed(questions, asked, values[current], values[candidate], current, candidate)
    return _template().render(
        report=report,
        rows=[_row(report, name) for name in SHOWN if name in report["means"][candidate]],
        versions=list(report["means"]),
        current=current,
        candidate=candidate,
        changed=changed,
        called={version: _called(report["brand"], version) for version in report["means"]},
    )


def most_changed(
    questions: Sequence[Question],
    asked: Sequence[Asked],
    before: Measured,
    after: Measured,
    current: str,
    candidate: str,
    most: int = CHANGED,
) -> list[Changed]:
    """The questions whose answers differ most: in what they are worth first, then in their words."""
    found = []
    for question, one in zip(questions, asked, strict=True):
        old, new = one.answers[current], one.answers[candidate]
        moved = tuple(
            (name, before[name][question.id], after[name][question.id])
            for name in TEXT_MEASURES
            if question.id in before.get(name, {}) and question.id in after.get(name, {})
            if before[name][question.id] != after[name][question.id]
        )
        words = 1 - SequenceMatcher(None, old.text.split(), new.text.split(), autojunk=False).ratio()
        change = sum(abs(new_value - old_value) for _, old_value, new_value in moved) + words
        if change:
            found.append(Changed(question, one.passages, old, new, moved, change))
    return sorted(found, key=lambda one: (-one.change, one.question.id))[:most]


def _row(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One measure: the means of all voices, their places on a line, and the gate's word."""
    means = {version: told[name] for version, told in report["means"].items() if name in told}
    top = max(1e-9, *(one["high"] for one in means.values()), *(one["mean"] for one in means.values()))
    scale = 1.0 if top <= 1 and not SHOWN[name].relative else top
    judged = next((one for one in report["measures"] if one["measure"] == name), None)
    places = {
        version: {key: round(100 * min(max(one[key] / scale, 0), 1), 2) for key in ("mean", "low", "high")}
        for version, one in means.items()
    }
    return {"name": name, "kind": SHOWN[name], "means": means, "places": places, "judged": judged}


def _called(brand: str, version: str) -> str:
    return "base + voice guide" if version == BASE_VERSION else f"{brand}@{version}"


@cache
def _template() -> Template:
    loader = PackageLoader("training.judging.comparison", package_path=".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["figure"] = _figure
    return environment.get_template("report.html.jinja")


def _figure(value: float | None) -> str:
    """A number as a reader wants it: three places below ten, none above a hundred."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
