"""The general conversations that ship: whole, and nothing that general ability is measured with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from training.data.doctor import examine, read_rows
from training.data.rows import Row
from training.judging.general.cases import SHIPPED

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "samples/general.jsonl"
RUN = 8
"""Words in a row that two texts have in common by copying, hardly by chance."""
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


def words(text: str) -> tuple[str, ...]:
    return tuple(one.casefold() for one in _WORD.findall(text))


def runs(text: str) -> Iterator[tuple[str, ...]]:
    """Runs of eight words; of a shorter text, all of it."""
    held = words(text)
    yield from (held[at : at + RUN] for at in range(max(1, len(held) - RUN + 1)))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


def asked_in(path: Path) -> list[str]:
    """What a file of cases asks, and its texts; of a question with options the question alone."""
    text = path.read_text("utf-8")
    if path.suffix != ".jsonl":
        return [one for one in re.split(r"\n", text) if one.strip()]
    keys = ("question", "solution", "prompt", "turns", "reference", "text")
    return [one for line in text.splitlines() for one in strings([json.loads(line).get(key) for key in keys])]


def shared(texts: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Rows that have a run of words in common with a text, or hold a short question as a whole turn."""
    there = {run for text in texts for run in runs(text)}
    return [
        f"line {row.line}: {' '.join(run)}"
        for row in rows
        for turn in row.turns
        for run in runs(turn.content)
        if len(run) > 2 and run in there
    ]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    found = list(read_rows(FILE))
    assert all(isinstance(one, Row) for one in found)
    return [one for one in found if isinstance(one, Row)]


def test_all_rows_can_be_learnt_from() -> None:
    found = examine([FILE])
    assert not found.rejected
    assert found.rows >= 600
    hard = {"placeholder", "pii", "abuse", "cut", "duplicate", "contradiction", "bias"}
    assert [one for one in found.warnings if one.rule in hard] == []


def test_they_are_of_many_kinds(rows: list[Row]) -> None:
    asked = [row.questions for row in rows]
    assert len(set(asked)) == len(rows)
    assert sum(len(one) > 1 for one in asked) >= len(rows) // 20
    assert sum(row.turns[0].role == "system" for row in rows) >= len(rows) // 30
    written_on = [one for one in asked if re.match(r"Continue|Write an? (?:encyclopedia|textbook)", one[0])]
    assert len(written_on) >= 100


def test_none_speaks_of_the_sample_brands(rows: list[Row]) -> None:
    names = re.compile(r"velmora|dicehollow|smollm|hugging face", re.IGNORECASE)
    assert [row.line for row in rows if any(names.search(turn.content) for turn in row.turns)] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_none_holds_what_general_ability_is_measured_with(path: Path, rows: list[Row]) -> None:
    texts = asked_in(path)
    assert len(texts) > 30
    assert shared(texts, rows) == []


def test_what_is_shared_is_found(rows: list[Row]) -> None:
    """The check itself can fail."""
    reply = words(rows[0].replies[0])
    assert shared([f"before {' '.join(reply[:RUN])} after"], rows)
    assert shared([rows[1].questions[0].upper()], rows)
    assert not shared(["words that stand in no row whatever, as far as anybody can know"], rows)
