"""`answer check`: one line in, one line out, and a bad line costs only itself."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from retrieval.testing import HashEncoder
from service.cli import answers
from tests.unit.cli.conftest import Cli, Done

PASSAGES = [{"id": "fees", "text": "A replacement card costs $6."}, {"id": "hours", "text": "The desk opens at 9 am."}]


@pytest.fixture
def check(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Checks these lines with an encoder that needs no file."""
    monkeypatch.setattr(answers, "_encoder", HashEncoder)

    def run(*lines: Any) -> Done:
        file = tmp_path / "lines.jsonl"
        file.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines), "utf-8")
        return cli("answer", "check", str(file), "--json")

    return run


def test_each_sentence_has_its_kind_and_its_passage(check: Any) -> None:
    text = "Great pick! A replacement card costs $6. I will send you one. The desk opens at 9 am."
    done = check({"answer": text, "passages": PASSAGES})
    sentences = json.loads(done.out)["sentences"]
    assert [(one["kind"], one["supported"], one["passage"]) for one in sentences] == [
        ("style", True, None),
        ("claim", True, "fees"),
        ("promise", False, None),
        ("claim", True, "hours"),
    ]
    assert [one["text"] for one in sentences] == [
        "Great pick!",
        "A replacement card costs $6.",
        "I will send you one.",
        "The desk opens at 9 am.",
    ]
    assert done.code == 0


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("A replacement card costs $20.", "the price $20 is in no passage"),
        ("A replacement card is free.", "says free where the passage says $6"),
        ("The desk opens at 8 am.", "the time 8 am is in no passage"),
        ("A replacement card does not cost $6.", "says no where the passage says yes"),
        ("We will refund you.", "promises an action"),
    ],
)
def test_the_reason_is_in_words_that_a_person_understands(check: Any, sentence: str, reason: str) -> None:
    found = json.loads(check({"answer": sentence, "passages": PASSAGES}).out)["sentences"][0]
    assert (found["supported"], found["passage"], found["reason"]) == (False, None, reason)


def test_a_question_counts_as_style(check: Any) -> None:
    found = json.loads(check({"answer": "Would you like to know more?", "passages": PASSAGES}).out)["sentences"]
    assert [(one["kind"], one["supported"]) for one in found] == [("style", True)]


def test_a_bad_line_is_named_and_the_others_are_checked(check: Any) -> None:
    done = check(
        {"answer": "A replacement card costs $6.", "passages": PASSAGES},
        "no json",
        {"answer": "Hi"},
        {"answer": "The desk opens at 9 am.", "passages": PASSAGES},
    )
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert ["error" in line for line in lines] == [False, True, True, False]
    assert "line 2: not JSON" in done.err
    assert "line 3: passages: " in done.err
    assert done.code == 1


def test_lines_come_from_stdin_where_no_file_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_encoder", HashEncoder)
    line = json.dumps({"answer": "A replacement card costs $6.", "passages": PASSAGES})
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    done = cli("answer", "check", "--json")
    assert json.loads(done.out)["sentences"][0]["passage"] == "fees"


def test_without_an_encoder_the_command_says_what_to_run(cli: Cli) -> None:
    done = cli("answer", "check", "--json")
    assert done.code == 1
    assert "python -m retrieval.encoder" in done.err
    assert done.out == ""
