"""Every form of training data in every kind of file, and files that are broken in every way."""

from __future__ import annotations

import csv
import gzip
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.data import doctor
from training.data.containers import read_values
from training.data.doctor import examine, read_rows
from training.data.rows import Finding, Row, Turn
from training.errors import DataInvalid

ASKED, SAID = "How long?", 'Within 30 days.\nOf delivery, "always".'
MESSAGES = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]
FORMS: dict[str, dict[str, Any]] = {
    "instruction": {"instruction": ASKED, "input": "", "output": SAID},
    "conversation": {"messages": MESSAGES},
    "sharegpt": {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}]},
    "completion": {"prompt": ASKED, "completion": SAID},
    "preference": {"prompt": ASKED, "chosen": SAID, "rejected": "No idea."},
    "openai": {"messages": [{**MESSAGES[0], "name": "ada"}, {**MESSAGES[1], "weight": 1}]},
    "brandvoice": {
        "id": "returns-1",
        "topic": "returns",
        "messages": [MESSAGES[0], {**MESSAGES[1], "outcome": "answered", "documents": ["returns.md"]}],
    },
}


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, indent=2), encoding="utf-8")


def _csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t" if path.suffix == ".tsv" else ";")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: json.dumps(one) if isinstance(one, list) else one for key, one in row.items()})


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], None]] = {
    "x.jsonl": _jsonl,
    "x.json": _json,
    "x.csv": _csv,
    "x.tsv": _csv,
    "x.parquet": _parquet,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_from_every_kind_of_file(tmp_path: Path, name: str, form: str) -> None:
    WRITERS[name](tmp_path / name, [FORMS[form]])
    (row,) = read_rows(tmp_path / name)
    assert isinstance(row, Row), row
    assert row.form == form
    assert [(one.role, one.content) for one in row.turns] == [("user", ASKED), ("assistant", SAID)]
    assert row.rejected == ("No idea." if form == "preference" else None)


def rows_of(path: Path, *values: Any) -> list[Row | Finding]:
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values), encoding="utf-8")
    return list(read_rows(path))


def test_a_form_can_be_named_and_then_every_row_must_have_it(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows_of(path, FORMS["completion"], FORMS["sharegpt"])
    good, bad = read_rows(path, "completion")
    assert isinstance(good, Row)
    assert isinstance(bad, Finding)
    assert (bad.line, bad.rule, bad.reason) == (2, "structure", "prompt is missing")


def test_a_fine_tuning_file_of_openai_is_taken_as_it_stands(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    tools = {
        "messages": [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "Where is it?"}]},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "{}"},
            {"role": "assistant", "content": "On its way.", "weight": 1},
        ],
        "tools": [{"type": "function", "function": {"name": "find"}}],
        "parallel_tool_calls": False,
    }
    preference = {
        "input": {"messages": [{"role": "user", "content": "Hi"}], "tools": []},
        "preferred_output": [{"role": "assistant", "content": "Good day."}],
        "non_preferred_output": [{"role": "assistant", "content": "Yo."}],
    }
    picture = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, MESSAGES[1]]}
    first, second, third = rows_of(tmp_path / "x.jsonl", tools, preference, picture)
    assert isinstance(first, Row)
    assert [one.role for one in first.turns] == ["system", "user", "assistant", "tool", "assistant"]
    assert first.turns[2] == Turn("assistant", "", acts=True)
    assert first.replies == ("On its way.",)
    assert isinstance(second, Row)
    assert (second.replies, second.rejected) == (("Good day.",), "Yo.")
    assert isinstance(third, Finding)
    assert third.reason == "messages: message 1 holds something other than text"


def test_preferences_may_be_whole_conversations(tmp_path: Path) -> None:
    start = [{"role": "user", "content": "Hi"}]
    good, bad = ([*start, {"role": "assistant", "content": text}] for text in ("Good day.", "Yo."))
    (row,) = rows_of(tmp_path / "x.jsonl", {"chosen": good, "rejected": bad})
    assert isinstance(row, Row)
    assert (row.questions, row.replies, row.rejected) == (("Hi",), ("Good day.",), "Yo.")


def test_our_own_conversations_are_read_as_strictly_as_the_trainer_does(tmp_path: Path) -> None:
    reply = {**MESSAGES[1], "outcome": "answered"}
    (bad,) = rows_of(tmp_path / "x.jsonl", {"id": "a", "topic": "t", "messages": [MESSAGES[0], reply]})
    assert isinstance(bad, Finding)
    assert "names the documents" in bad.reason


def test_history_and_system_of_an_instruction_come_before_it(tmp_path: Path) -> None:
    row = {**FORMS["instruction"], "input": "Of silk.", "system": "Be kind.", "history": [["Hi", "Hello."]]}
    (read,) = rows_of(tmp_path / "x.jsonl", row)
    assert isinstance(read, Row)
    assert [one.role for one in read.turns] == ["system", "user", "assistant", "user", "assistant"]
    assert read.turns[3].content == f"{ASKED}\n\nOf silk."


def numbered(path: Path, text: str | bytes, **options: int) -> list[tuple[int, str]]:
    """Lines with what is wrong with them, `ok` where nothing is."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [(getattr(one, "number", 0) or one.line, getattr(one, "kind", "ok")) for one in read_values(path, **options)]  # type: ignore[union-attr]


def test_rows_of_a_json_file_are_named_by_the_line_that_they_begin_in(tmp_path: Path) -> None:
    text = '[\n  {"a": "x, ]}\\" {",\n   "b": [1, 2]},\n\n  {"a": 2}, {"a": 3},\n  broken,\n  {"a": 4}\n]\n'
    assert numbered(tmp_path / "x.json", text) == [(2, "ok"), (5, "ok"), (5, "ok"), (6, "structure"), (7, "ok")]


def test_objects_one_after_the_other_are_read_too(tmp_path: Path) -> None:
    assert numbered(tmp_path / "x.json", '\ufeff{"a": 1}\n{\n"a": 2}\n7\n') == [(1, "ok"), (2, "ok"), (4, "structure")]


def test_lines_are_counted_over_the_edge_of_what_is_read_at_once(tmp_path: Path) -> None:
    text = '[{"a": [\n' + "1,\n" * 400_000 + '1]},\n{"a": 2}\n]'
    assert numbered(tmp_path / "x.json", text) == [(1, "ok"), (400_003, "ok")]


def test_data_that_does_not_fit_into_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MAX_CHARS", 100)
    _jsonl(tmp_path / "x.jsonl", [FORMS["completion"]] * 5)
    with pytest.raises(DataInvalid, match=r"x\.jsonl:3: over a gigabyte of text"):
        examine([tmp_path / "x.jsonl"])


def test_a_json_file_that_is_cut_says_so(tmp_path: Path) -> None:
    whole = '[\n{"a": 1},\n{"a": 2}\n]'
    assert [kind for _, kind in numbered(tmp_path / "x.json", whole[:-8])] == ["ok", "structure", "structure"]
    assert numbered(tmp_path / "x.json", whole[:-2]) == [(2, "ok"), (3, "ok"), (3, "structure")]


def test_a_long_element_costs_itself_alone(tmp_path: Path) -> None:
    text = '[{"a": "' + "x" * 3000 + '"},\n{"a": 1}]'
    assert numbered(tmp_path / "x.json", text, max_bytes=1000) == [(1, "too_long"), (2, "ok")]


@pytest.mark.parametrize("shift", range(4))
def test_an_element_over_the_edge_of_what_is_read_at_once_is_whole(tmp_path: Path, shift: int) -> None:
    # A backslash, what it escapes, and a quote fall on each side of the edge in turn.
    values = [{"a": "x" * (2**20 - 40 + shift)}, {"a": '\\\\"' * 10}, {"b": 1}]
    (tmp_path / "x.json").write_text(json.dumps(values), encoding="utf-8")
    read = list(read_values(tmp_path / "x.json", max_bytes=2**22))
    assert [getattr(one, "value", one) for one in read] == values


def test_bad_rows_of_a_csv_file_cost_themselves(tmp_path: Path) -> None:
    text = b'prompt,completion\na,"b\nc"\nd\ne,\xe9\n"f"g,h\ni,"j"\n'
    assert numbered(tmp_path / "x.csv", text) == [
        (2, "ok"), (4, "structure"), (5, "encoding"), (6, "structure"), (7, "ok"),
    ]  # fmt: skip


def test_an_open_quote_names_the_lines_that_it_swallowed(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('prompt,completion\na,b\nc,"d\ne,f\n', encoding="utf-8")
    _, bad = read_rows(tmp_path / "x.csv")
    assert isinstance(bad, Finding)
    assert (bad.line, bad.reason.partition(" not")[0]) == (3, "lines 3 to 4:")


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.tsv"])
def test_a_huge_line_is_named_and_takes_no_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b'prompt,completion\n"a' if name.endswith("sv") else b'{"prompt": "')
        file.truncate(2**30 if name == "x.jsonl" else 2**27)  # a hole: zeros that take no disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (bad,) = read_rows(path)
    assert isinstance(bad, Finding)
    assert bad.rule == "too_long"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_long_cell_of_a_parquet_file_is_named_by_its_row(tmp_path: Path) -> None:
    rows = [FORMS["completion"], {"prompt": "a", "completion": "x" * 5000}]
    _parquet(tmp_path / "x.parquet", rows)
    read = list(read_values(tmp_path / "x.parquet", max_bytes=1000))
    assert [(getattr(one, "line", 0), getattr(one, "kind", "ok")) for one in read] == [(0, "ok"), (2, "too_long")]


LATIN = "prompt,completion\nCafé?,Oui.\nTea?,Yes.\n".encode("latin-1")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.jsonl", b'\xef\xbb\xbf{"prompt": "a", "completion": "b"}\n', [(1, "ok")]),
        ("x.jsonl", '{"prompt": "é", "completion": "b"}\n{"prompt": "a", "completion": "b"}\n'.encode("latin-1"),
         [(1, "encoding: not UTF-8 at byte 12"), (2, "ok")]),
        ("x.json", b'\xef\xbb\xbf[{"prompt": "a", "completion": "b"}]', [(1, "ok")]),
        ("x.json", '[{"prompt": "é", "completion": "b"},\n{"prompt": "a", "completion": "b"}]'.encode("latin-1"),
         [(1, "encoding: not UTF-8 at byte 12 of the row"), (2, "ok")]),
        ("x.csv", b"\xef\xbb\xbfprompt,completion\na,b\n", [(2, "ok")]),
        ("x.csv", LATIN, [(2, "encoding: not UTF-8 at byte 3"), (3, "ok")]),
        ("x.tsv", LATIN.replace(b",", b"\t"), [(2, "encoding: not UTF-8 at byte 3"), (3, "ok")]),
        ("x.csv", b"prompt,completion\na,b,c\nd,e\n", [(2, "structure: 3 fields under a head of 2"), (3, "ok")]),
        ("x.csv", b"a,b\n1,2\n", [(2, "structure: no form has these keys: a, b")]),
        ("x.csv", b'messages\n"[{broken"\n', [(2, "structure: messages: not JSON")]),
        ("x.csv", b"pr\xf6mpt,completion\na,b\n", [(1, "encoding: not UTF-8 at byte 2")]),
    ],
)  # fmt: skip
def test_other_encodings_and_broken_rows_are_named_where_they_stand(
    tmp_path: Path, name: str, content: bytes, told: list[tuple[int, str]]
) -> None:
    (tmp_path / name).write_bytes(content)
    read = list(read_rows(tmp_path / name))
    found = [(one.line, f"{one.rule}: {one.reason}" if isinstance(one, Finding) else "ok") for one in read]
    assert len(found) == len(told), found
    for (line, said), (wanted, beginning) in zip(found, told, strict=True):
        assert (line, said[: len(beginning)]) == (wanted, beginning)


def test_broken_parquet_files_say_what_is_wrong(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    rows = [{"prompt": f"Question {at}?", "completion": f"Answer {at}."} for at in range(500)]
    table = pyarrow.Table.from_pylist(rows)
    parquet.write_table(table, path, row_group_size=100, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(DataInvalid, match=r"x\.parquet:0: cannot be read \("):
        examine([path])
    # The page of the fourth group of rows.
    at = whole.index(b"Question 350?")
    path.write_bytes(whole[: at - 4] + b"\xff\xff\xff\x7f" + whole[at:])
    with pytest.raises(DataInvalid, match=r"cannot be read after row 3[0-4]\d \("):
        examine([path])
    path.write_bytes(whole.replace(b"Answer 2.", b"Answer\xe9\xe9\xe9"))
    bad = [one for one in read_rows(path) if isinstance(one, Finding)]
    assert [(one.line, one.rule) for one in bad] == [(3, "encoding")]
    parquet.write_table(pyarrow.table({"prompt": [b"a"], "completion": [b"b"]}), path)
    (binary,) = read_rows(path)
    assert isinstance(binary, Finding)
    assert binary.reason == "prompt is no text"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.parquet", b"PAR1 is not all", "cannot be read"),
        ("x.jsonl", '{"a": 1}'.encode("utf-16"), "UTF-16"),
        ("x.json", '[{"a": 1}]'.encode("utf-16"), "UTF-16"),
        ("x.jsonl", '{"a": 1}'.encode("utf-16-le"), "UTF-16"),
        ("x.json", '[{"a": 1}]'.encode("utf-16-be"), "UTF-16"),
        ("x.csv", "prompt,completion\na,b\n".encode("utf-16-le"), "UTF-16"),
        ("x.tsv", "prompt\tcompletion\na\tb\n".encode("utf-16-be"), "UTF-16"),
        ("x.csv", "prompt,completion\na,b\n".encode("utf-16"), "UTF-16"),
        ("x.jsonl.gz", b"not packed", "cannot be read"),
        ("x.json.gz", gzip.compress(b'[{"a": 1}, ' * 5000)[:-20], "cannot be read"),
        ("x.txt", b"a", "the name must end in"),
        ("x.jsonl", b"\n\n", "the file is empty"),
        ("x.csv", b"prompt,completion\n", "the file is empty"),
        ("x.json", b"[]", "the file is empty"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataInvalid, match=reason):
        examine([tmp_path / name])
