"""The doctor finds what was planted, and little else: precision and recall of every rule."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.unit.training.planted import EVALUATION, FRESH_EVALUATION, fresh_set, planted_set, unbalanced_sets
from training.data.balance import balance
from training.data.doctor import Examined, Options, examine, read_rows
from training.data.rows import REJECTING, Row

LEAST = 0.95
ONE_ROW = [
    "structure", "encoding", "empty", "no_assistant", "too_long", "cut", "duplicate", "near_duplicate", "contradiction",
    "pii", "placeholder", "language", "off_voice", "overlap", "abuse", "bias",
]  # fmt: skip

WHOLE_SET = ["few_refusals", "few_handoffs", "few_followups", "few_paraphrases", "skewed_lengths"]


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


def test_what_a_whole_set_lacks_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = {rule: [0, 0, 0] for rule in WHOLE_SET}
    for number, (wanted, rows) in enumerate(unbalanced_sets()):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        found = {rule for rule, _ in balance([one for one in read_rows(path) if isinstance(one, Row)])}
        for rule, count in counts.items():
            count[0] += rule in wanted
            count[1] += rule in found
            count[2] += rule in wanted and rule in found
    table = [f"\n{'rule':16} {'planted':>7} {'found':>6} {'precision':>10} {'recall':>7}\n"]
    for rule, (planted, told, right) in counts.items():
        precision, recall = right / max(1, told), right / planted
        table.append(f"{rule:16} {planted:7} {told:6} {precision:10.3f} {recall:7.3f}\n")
    with capsys.disabled():
        sys.stdout.writelines(table)
    assert all(planted == told == right for planted, told, right in counts.values())


def test_a_set_that_the_rules_were_not_made_for_fares_as_well(tmp_path: Path) -> None:
    planted = fresh_set()
    found = examine([planted.write(tmp_path / "fresh.jsonl")], Options(evaluation=FRESH_EVALUATION))
    wanted = {(number, rule) for number, rules in enumerate(planted.rules, start=1) for rule in rules}
    told = {(one.line, one.rule) for one in found.warnings if one.line}
    assert not found.rejected
    assert len(wanted & told) >= LEAST * len(wanted), sorted(wanted - told)
    assert len(wanted & told) >= LEAST * len(told), sorted(told - wanted)


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
