import json
from pathlib import Path
from typing import Any

import pytest

from training.conversations import data_sha256, read_conversations, read_questions
from training.errors import DataInvalid


def row(name: str = "returns-1", **changes: Any) -> dict[str, Any]:
    reply = {"role": "assistant", "content": "30 days.", "outcome": "answered", "documents": ["returns.md"]}
    messages = [{"role": "user", "content": "How long?"}, reply]
    return {"id": name, "topic": "returns", "shared_policy": True, "messages": messages} | changes


def written(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "conversations.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def test_conversations_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps(row("b")), "", json.dumps(row("a")))
    assert [one.id for one in read_conversations(path)] == ["b", "a"]


def test_all_bad_lines_are_named_with_file_line_and_reason(tmp_path: Path) -> None:
    path = written(
        tmp_path, json.dumps(row()), "{broken", json.dumps(row("x", topic=3)), b"\xff\xfe", json.dumps(row())
    )
    with pytest.raises(DataInvalid) as caught:
        read_conversations(path)
    assert [line.line for line in caught.value.lines] == [2, 3, 4, 5]
    text = str(caught.value)
    assert f"{path}:2: not JSON" in text
    assert f"{path}:3: topic" in text
    assert "not UTF-8 at byte 0" in text
    assert "the id 'returns-1' stands in line 1 already" in text


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        pytest.param([], "at least 2", id="no messages"),
        pytest.param(row()["messages"][:1], "at least 2", id="no reply"),
        pytest.param(row()["messages"][::-1], "take turns", id="the brand begins"),
        pytest.param(
            [row()["messages"][0], {"role": "assistant", "content": "30.", "outcome": "answered"}],
            "names the documents",
            id="an answer without a page",
        ),
        pytest.param(
            [row()["messages"][0], {**row()["messages"][1], "outcome": "refused"}],
            "names no documents",
            id="a refusal with a page",
        ),
        pytest.param([{"role": "user", "content": "  "}, row()["messages"][1]], "at least 1 char", id="blank message"),
    ],
)
def test_a_row_that_cannot_be_learnt_from_is_refused(tmp_path: Path, messages: list[Any], reason: str) -> None:
    with pytest.raises(DataInvalid, match=reason):
        read_conversations(written(tmp_path, json.dumps(row(messages=messages))))


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="outcom: Extra inputs"):
        read_conversations(written(tmp_path, json.dumps(row(outcom=1))))


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="the file is empty"):
        read_conversations(written(tmp_path, ""))
    with pytest.raises(DataInvalid, match="cannot be read"):
        read_conversations(tmp_path / "none.jsonl")


def test_the_digest_is_over_values_and_not_over_formatting(tmp_path: Path) -> None:
    plain = data_sha256(read_conversations(written(tmp_path, json.dumps(row()))))
    spaced = json.dumps(dict(reversed(row().items())), indent=None, separators=(" , ", " : "))
    assert data_sha256(read_conversations(written(tmp_path, spaced, ""))) == plain
    assert data_sha256(read_conversations(written(tmp_path, json.dumps(row(topic="other"))))) != plain


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"handoff": True}, "belongs to a person names no document", id="a page and a person"),
        pytest.param({"document": None, "reference": "30 days."}, "only where a document", id="a reference of nothing"),
        pytest.param({"reference": " "}, "at least 1 char", id="a blank reference"),
    ],
)
def test_a_held_out_question_that_contradicts_itself_is_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    line = {"id": "q1", "question": "How long?", "document": "returns.md"}
    with pytest.raises(DataInvalid, match=reason):
        read_questions(written(tmp_path, json.dumps(line | changes)))
    kept = {"reference": "30 days."}
    assert [one.reference for one in read_questions(written(tmp_path, json.dumps(line | kept)))] == ["30 days."]
