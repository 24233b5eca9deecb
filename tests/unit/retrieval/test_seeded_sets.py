"""The seeded sets of the sentence check hold what their benchmark says they hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.answers_seed import RIGHT, SEED_FILES, WRONG, cases


@pytest.mark.parametrize("file", SEED_FILES, ids=lambda file: file.stem)
def test_cases_are_the_same_each_time_and_name_their_passage(file: Path) -> None:
    found = cases(file)
    assert found == cases(file)
    assert all(case.passage in {name for name, _ in case.passages} for case in found if case.passage)


def test_every_class_is_measured_on_what_nobody_looked_at() -> None:
    found = Counter((case.part, case.name) for file in SEED_FILES for case in cases(file))
    assert all(found["unseen", name] >= 5 for name in (*RIGHT, *WRONG))


def test_a_sentence_made_wrong_is_another_than_the_right_one() -> None:
    right = {case.answer for file in SEED_FILES for case in cases(file) if case.right}
    changed = ("number", "price", "name", "unit", "negation")
    assert not [case for file in SEED_FILES for case in cases(file) if case.name in changed and case.answer in right]
