"""`brandvoice data synthesize` and `data review`: what they ask for, what they print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.cli import synthetic
from tests.unit.cli.conftest import Cli

RESULT = {
    "rows": 3,
    "accepted": 2,
    "kinds": {"answer": 2},
    "rejected": [
        {"file": "x.rejected.jsonl", "line": 1, "kind": "answer", "rule": "not_found", "reason": "the question finds "
         "nothing", "question": "What?"}
    ],
    "rules": {"not_found": 1},
    "approved": 0,
    "resumed": 0,
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The words that each process was started with."""
    seen: list[tuple[str, ...]] = []

    def run(module: str, *words: str, what: str) -> str:
        seen.append((module, *words))
        return json.dumps(RESULT)

    monkeypatch.setattr(synthetic, "run_module", run)
    return seen


def test_people_see_what_passed_and_why_the_rest_did_not(cli: Cli, asked: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    words = ("--brand", "velmora", "--engine", "http://h:1", "--out", str(out))
    done = cli("data", "synthesize", *words, "--kinds", "answer, refusal", "--per-passage", "3")
    assert done.code == 0, done.err
    assert "3 examples: 2 passed (2 answer), 1 rejected\n  1 not_found, such as What?: the question finds" in done.out
    assert f"brandvoice data review {out}" in done.out
    assert asked[0][1:] == (
        "--brand", "velmora", "--out", str(out), "--engine", "http://h:1", "--kinds", "answer,refusal",
        "--per-passage", "3", "--seed", "7", "--parallel", "4",
    )  # fmt: skip
    assert cli("data", "synthesize", *words, "--json").json == RESULT


def test_wrong_use_is_told_before_anything_is_asked(cli: Cli, asked: list[Any], tmp_path: Path) -> None:
    out = ("--out", f"{tmp_path}/x.jsonl")
    none = cli("data", "synthesize", "--brand", "velmora", *out)
    assert (none.code, "name one with --engine" in none.err) == (2, True)
    engine = ("--engine", "http://h:1")
    assert cli("data", "synthesize", "--brand", "nobody", *engine, *out).code == 2
    assert cli("data", "synthesize", "--brand", "velmora", *engine, *out, "--kinds", "jokes").code == 2
    assert cli("data", "synthesize", "--brand", "velmora", *engine, "--out", f"{tmp_path}/x.csv").code == 2
    assert cli("data", "synthesize", "--brand", "velmora", *engine, *out, "--against", f"{tmp_path}/no").code == 2
    assert cli("data", "review", f"{tmp_path}/no.jsonl").code == 2
    (tmp_path / "x.jsonl").write_text("{}\n")
    nobody = cli("data", "review", f"{tmp_path}/x.jsonl", "--approve-all")
    assert (nobody.code, "--by NAME" in nobody.err) == (2, True)
    assert asked == []


def test_an_engine_that_is_not_there_fails_at_once(cli: Cli, tmp_path: Path) -> None:
    words = ("--brand", "velmora", "--engine", "http://127.0.0.1:9", "--out", f"{tmp_path}/x.jsonl")
    done = cli("data", "synthesize", *words)
    assert (done.code, "not all examples were written" in done.err) == (1, True)


def test_rows_are_approved_by_name_and_written_for_the_trainer(cli: Cli, tmp_path: Path) -> None:
    from training.conversations import read_conversations

    made = {
        "kind": "answer", "brand": "velmora", "model": "m", "prompt": "synthetic-1", "seed": 1,
        "made_at": "2026-11-25T20:00:00Z", "document": "returns.md", "passage": "returns.md#0",
        "passage_text": "Within 30 days.",
    }  # fmt: skip
    rows = [
        {
            "id": f"synthetic-{at}", "topic": "returns", "synthetic": made, "messages": [
                {"role": "user", "content": "How long?"},
                {"role": "assistant", "content": "Within 30 days.", "outcome": "answered", "documents": ["returns.md"]},
            ],
        }
        for at in range(3)
    ]  # fmt: skip
    path, out = tmp_path / "x.jsonl", tmp_path / "good.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first = cli("data", "review", str(path), "--reject", "synthetic-1", "--by", "Ada", "--json")
    assert first.json == {"rows": 3, "approved": 0, "rejected": 1, "waiting": 2, "by_people": 0}
    done = cli("data", "review", str(path), "--approve-all", "--by", "Ada", "--out", str(out))
    assert "3 rows: 2 approved, 1 rejected, 0 wait\n2 may be trained on" in done.out
    assert [one.id for one in read_conversations(out)] == ["synthetic-0", "synthetic-2"]
    assert cli("data", "review", str(path), "--approve", "nobody", "--by", "Ada").code == 1
