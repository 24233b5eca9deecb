"""`voice score` and `voice profile`: lines in, scores and reasons out, and a bad line costs only itself."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from service.cli.voice import MAX_LINE_BYTES
from tests.unit.cli.conftest import Cli, Done

IN_VOICE = "Kindly note that the gift wrapping costs $5 for each item. We would be delighted to assist you further."
OFF_VOICE = "As an AI language model, I don't know. Feel free to ask!"


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder that keeps the voice from one test to the next."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def score(cli: Cli, learnt: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Scores these bytes."""
    monkeypatch.setenv("BRANDVOICE_HOME", str(learnt))

    def run(given: bytes, *options: str) -> Done:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        return cli("voice", "score", "--brand", "velmora", *options)

    return run


def rows(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


def test_texts_and_json_lines_are_scored_in_order(score: Any) -> None:
    given = f"{IN_VOICE}\r\n{json.dumps({'text': OFF_VOICE, 'id': 7})}\n\n{IN_VOICE}".encode()
    done = score(given, "--json")
    found = rows(done)
    assert done.code == 0
    assert [row["line"] for row in found] == [1, 2, 4]
    assert [set(row) for row in found] == [{"line", "score", "reasons"}] * 3
    assert found[0]["score"] == found[2]["score"] > 0.8 > 0.1 > found[1]["score"]
    assert "opens with 'As an AI'" in found[1]["reasons"]


def test_a_person_reads_score_text_and_reasons(score: Any) -> None:
    done = score(OFF_VOICE.encode())
    first, *others = done.out.splitlines()
    assert first == f"0.00  {OFF_VOICE}"
    assert "      opens with 'As an AI'" in others


def test_broken_json_is_named_and_the_others_are_scored(score: Any) -> None:
    done = score(
        b'{"text": "cut\n{"words": "no text"}\n{"text": 5}\n{{name}}, we thank you.\n' + IN_VOICE.encode(), "--json"
    )
    found = rows(done)
    assert ["error" in row for row in found] == [True, True, True, False, False]
    assert found[0]["error"].startswith("not JSON")
    assert 'line 2: the key "text" is missing' in done.err
    assert "3 of the lines could not be scored" in done.err
    assert done.code == 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b'{"text": ""}', "empty: there is nothing to judge"),
        (bytes(range(128, 256)), "not text: it is full of characters that no text has"),
        (b"\x00\x01\x02\x03 a", "not text: it is full of characters that no text has"),
        (b"word " * (MAX_LINE_BYTES // 2), "longer than 20000 characters: only the beginning is judged"),
        (b"Leider haben wir dazu keine Auskunft, bitte fragen Sie uns.", "hardly a word of the brand's language in it"),
    ],
)  # fmt: skip
def test_what_is_no_good_text_says_why(score: Any, given: bytes, reason: str) -> None:
    done = score(given + b"\n" + IN_VOICE.encode(), "--json")
    assert done.code == 0
    first, second = rows(done)
    assert first["score"] < 0.5
    assert reason in first["reasons"]
    assert (second["line"], second["score"] > 0.8) == (2, True)


def test_json_that_would_fill_the_memory_is_an_error(score: Any) -> None:
    done = score(b'{"text": "' + b"x" * (3 * MAX_LINE_BYTES) + b'"}\n' + IN_VOICE.encode(), "--json")
    first, second = rows(done)
    assert first["error"] == f"JSON of {MAX_LINE_BYTES} bytes or more"
    assert second["line"] == 2


def test_nothing_on_stdin_is_said(score: Any) -> None:
    done = score(b"\n \n")
    assert (done.code, done.out) == (0, "")
    assert "nothing was scored" in done.err


def test_the_profile_reads_as_a_person_would_say_it(cli: Cli) -> None:
    told = cli("voice", "profile", "--brand", "velmora").out
    assert told.startswith("Maison Velmora, learnt from 281 texts of its own")
    assert "contractions  never" in told
    assert "we would be (10%)" in told
    assert "awesome" in told
    data = cli("voice", "profile", "--brand", "velmora", "--json").json
    assert data["with_contractions"] == 0
    assert data["words_per_sentence"]["low"] < data["words_per_sentence"]["mean"]


def test_a_brand_without_conversations_is_told_what_to_set(cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    configs = tmp_path / "configs"
    (configs / "brands").mkdir(parents=True)
    (configs / "service.yaml").write_text(Path("configs/service.yaml").read_text("utf-8"), encoding="utf-8")
    (tmp_path / "pages").mkdir()
    (tmp_path / "voice.md").write_text("# Voice\n")
    (configs / "brands/acme.yaml").write_text(
        "name: acme\ndisplay_name: Acme\npages: pages\nvoice_guide: voice.md\n"
        "words: {greeting: Hi., refusals: [No.], handovers: [Wait.], unavailable: Sorry.}\n"
        "widget: {site_key: pk_acme0a7c41d9}\n"
    )
    monkeypatch.setenv("BRANDVOICE_CONFIGS", str(configs))
    done = cli("voice", "score", "--brand", "acme")
    assert done.code == 1
    assert "names no conversations" in done.err
    assert "set `conversations` in configs/brands/acme.yaml" in done.err


def test_an_unknown_brand_is_wrong_use(cli: Cli) -> None:
    done = cli("voice", "profile", "--brand", "velmorra")
    assert done.code == 2
    assert "velmora" in done.err
