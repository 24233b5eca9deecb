"""The answers that changed most from one version to another, as the gate's questions showed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from configs.home import Home
from retrieval.errors import BadLine
from retrieval.json_lines import json_lines
from service.engines.promotion import evaluation_folder

ANSWERS = "answers.jsonl"
MOST = 20


@dataclass(frozen=True, slots=True)
class Changed:
    """One question whose answer changed."""

    question: str
    before: str
    after: str
    before_outcome: str
    after_outcome: str
    change: float
    """Share of the words that differ, 0 to 1."""


def changed(home: Home, brand: str, before: str, after: str, most: int = MOST) -> list[Changed]:
    """What two versions answered to the same questions, where the words differ; most first.

    Args:
        home: The state folder.
        brand: Whose versions.
        before: The one that spoke.
        after: The candidate.
        most: So many at most.
    """
    old = _answers(evaluation_folder(home, brand, before) / ANSWERS)
    new = _answers(evaluation_folder(home, brand, after) / ANSWERS)
    found = []
    for name in old.keys() & new.keys():
        first, second = old[name]["answer"], new[name]["answer"]
        words = SequenceMatcher(None, first["text"].split(), second["text"].split(), autojunk=False).ratio()
        if words < 1:
            found.append(
                Changed(
                    new[name]["question"],
                    first["text"],
                    second["text"],
                    first.get("outcome", ""),
                    second.get("outcome", ""),
                    1 - words,
                )
            )
    return sorted(found, key=lambda one: (-one.change, one.question))[:most]


def _answers(path: Path) -> dict[str, Mapping[str, Any]]:
    """Lines of a version's answers, by question; a line that is cut or of another form is passed over."""
    found: dict[str, Mapping[str, Any]] = {}
    for line in json_lines(path):
        if isinstance(line, BadLine):
            continue
        row = line.value
        try:
            if isinstance(row["answer"]["text"], str) and isinstance(row["question"], str):
                found[str(row["id"])] = row
        except (KeyError, TypeError):
            continue
    return found
