"""The doctor finds what was planted, and little else: precision and recall of every rule."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.unit.training.planted import EVALUATION, planted_set
from training.data.doctor import Examined, Options, examine
from training.data.rows import REJECTING

LEAST = 0.95
ONE_ROW = [
    "structure", "encoding", "empty", "no_assistant", "too_long", "cut", "duplicate", "near_duplicate", "contradiction",
    "pii", "placeholder", "language", "off_voice", "overlap", "abuse", "bias",
]  # fmt: skip


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Examined:
    path = planted_set().write(tmp_path_factory.mktemp("planted") / "planted.jsonl")
    return examine([path], Options(evaluation=EVALUATION))


def test_every_rule_is_planted_and_found(examined: Examined, capsys: pytest.CaptureFixture[str]) -> None:
    wanted: dict[str, set[int]] = defaultdict(set)
    for number, rules in enumerate(planted_set().rules, start=1):
        for rule in rules:
            wanted[rule].add(number)
    found: dict[str, set[int]] = defaultdict(set)
    for one in (*examined.rejected, *examined.warnings):
        if one.line:
            found[one.rule].add(one.line)
    assert set(wanted) == set(ONE_ROW)
    assert set(found) <= set(ONE_ROW)
    poor = []
    table = [f"\n{'rule':16} {'planted':>7} {'found':>6} {'precision':>10} {'recall':>7}\n"]
    for rule in ONE_ROW:
        right = len(wanted[rule] & found[rule])
        precision, recall = right / max(1, len(found[rule])), right / len(wanted[rule])
        table.append(f"{rule:16} {len(wanted[rule]):7} {len(found[rule]):6} {precision:10.3f} {recall:7.3f}\n")
        if min(precision, recall) < LEAST:
            poor.append((rule, sorted(wanted[rule] - found[rule]), sorted(found[rule] - wanted[rule])))
    with capsys.disabled():
        sys.stdout.writelines(table)
    assert not poor


def test_each_row_is_accepted_or_rejected_once(examined: Examined) -> None:
    planted = planted_set()
    assert examined.rows == len(planted.lines) == len(examined.accepted) + len(examined.rejected)
    lines = [one.line for one in (*examined.accepted, *examined.rejected)]
    assert sorted(lines) == list(range(1, len(planted.lines) + 1))
    assert {one.rule for one in examined.rejected} <= REJECTING
    assert not {one.rule for one in examined.warnings} & REJECTING


def test_the_same_file_gives_the_same_report(examined: Examined, tmp_path: Path) -> None:
    path = planted_set().write(tmp_path / "planted.jsonl")
    again = examine([path], Options(evaluation=EVALUATION)).as_json()
    first = examined.as_json()
    assert [(one["line"], one["rule"], one["reason"]) for one in again["warnings"]] == [
        (one["line"], one["rule"], one["reason"]) for one in first["warnings"]
    ]
