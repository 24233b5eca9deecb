"""`brandvoice data check`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.cli import data
from tests.unit.cli.conftest import Cli

REPORT = {
    "rows": 2,
    "accepted": 1,
    "rejected": [{"file": "x.jsonl", "line": 2, "rule": "empty", "reason": "no messages"}],
    "warnings": [{"file": "x.jsonl", "line": 0, "rule": "few_refusals", "reason": "too few"}],
    "masked": 0,
    "duplicates": 0,
    "near_duplicates": 0,
    "pii": 0,
}
RESULT = {
    "report": REPORT,
    "score": 85,
    "verdict": "worth a look first",
    "reasons": ["-15.0  1 of 2 rows rejected"],
    "split": {"train": 1, "evaluation": 0, "sha256": "d" * 64},
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The words that the process was started with."""
    seen: list[tuple[str, ...]] = []

    def run(module: str, *words: str, what: str) -> str:
        seen.append((module, *words))
        return json.dumps(RESULT)

    monkeypatch.setattr(data, "run_module", run)
    return seen


def test_people_see_each_row_and_the_score(cli: Cli, asked: list[tuple[str, ...]], tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n")
    done = cli("data", "check", f"{tmp_path}/x.jsonl", "--brand", "velmora", "--mask", "--out", f"{tmp_path}/o.jsonl")
    assert done.code == 0, done.err
    assert "rejected  x.jsonl:2  empty: no messages" in done.out
    assert "warning   x.jsonl  few_refusals: too few" in done.out
    assert "score: 85 of 100, worth a look first\n  -15.0  1 of 2 rows rejected" in done.out
    words = ("--brand", "velmora", "--mask", "--out", f"{tmp_path}/o.jsonl", "--", f"{tmp_path}/x.jsonl")
    assert asked == [("training.data.check", *words)]


def test_programs_get_the_report_alone(cli: Cli, asked: list[tuple[str, ...]], tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n")
    assert cli("data", "check", f"{tmp_path}/x.jsonl", "--json").json == REPORT


def test_no_file_an_unknown_brand_and_an_unknown_form_are_wrong_use(
    cli: Cli, asked: list[tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n")
    assert cli("data", "check", f"{tmp_path}/none.jsonl").code == 2
    assert cli("data", "check", f"{tmp_path}/x.jsonl", "--brand", "nobody").code == 2
    assert cli("data", "check", f"{tmp_path}/x.jsonl", "--format", "csv").code == 2
    assert cli("data", "check", f"{tmp_path}/x.jsonl", "--against", f"{tmp_path}/none").code == 2
    assert asked == []


def test_the_real_process_checks_a_brands_data_and_writes_what_was_asked(cli: Cli, tmp_path: Path) -> None:
    rows = [("Is it open? I am a@x.example", "Yes."), ("When?", "At noon."), ("Where?", "")]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"prompt": asked, "completion": said}) + "\n" for asked, said in rows))
    (tmp_path / "e.jsonl").write_text('{"question": "When?"}\n')
    done = cli(
        "data", "check", str(path), "--brand", "velmora", "--mask", "--json",
        "--out", f"{tmp_path}/out.jsonl", "--card", f"{tmp_path}/card", "--against", f"{tmp_path}/e.jsonl",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (done.json["rows"], done.json["accepted"], done.json["masked"], done.json["pii"]) == (3, 2, 1, 1)
    assert {(one["line"], one["rule"]) for one in done.json["warnings"]} == {(1, "pii"), (2, "overlap")}
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert {one["source"] for one in out} == {"x.jsonl:1", "x.jsonl:2"}
    assert "[masked e-mail]" in json.dumps(out)
    assert (tmp_path / "card" / "card.md").is_file()


def test_a_file_that_cannot_be_read_fails(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    done = cli("data", "check", f"{tmp_path}/x.parquet", "--json")
    assert (done.code, done.out) == (1, "")
    assert "the data was not checked" in done.err


def test_our_own_conversations_keep_what_the_trainer_needs_and_lose_personal_data(cli: Cli, tmp_path: Path) -> None:
    from training.conversations import read_conversations

    own = {
        "id": "returns-1", "topic": "returns", "messages": [
            {"role": "user", "content": "I am at ada@x.example. How long do I have?"},
            {"role": "assistant", "content": "Within 30 days.", "outcome": "answered", "documents": ["returns.md"]},
        ],
    }  # fmt: skip
    path, out = tmp_path / "x.jsonl", tmp_path / "out.jsonl"
    path.write_text(json.dumps(own) + "\n")
    assert cli("data", "check", str(path), "--mask", "--out", str(out)).code == 0
    (read,) = read_conversations(out)
    assert read.messages[0].content == "I am at [masked e-mail]. How long do I have?"
    assert read.messages[1].model_dump(mode="json", exclude={"learnt"}) == own["messages"][1]
    assert (read.id, read.split, read.source) == ("returns-1", "train", "x.jsonl:1")


def test_the_longest_row_can_be_named(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"prompt": "When?", "completion": "At noon. " * 40}) + "\n")
    assert cli("data", "check", str(path), "--json").json["rejected"] == []
    (long,) = cli("data", "check", str(path), "--max-tokens", "50", "--json").json["rejected"]
    assert (long["rule"], "the model takes 50" in long["reason"]) == ("too_long", True)
