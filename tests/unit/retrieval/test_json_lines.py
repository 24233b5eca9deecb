"""The one reader of JSON lines."""

from __future__ import annotations

import gzip
import resource
from pathlib import Path

import pytest

from retrieval.errors import BadLine
from retrieval.json_lines import Line, json_lines


def read(path: Path, *lines: bytes, **options: int) -> list[Line | BadLine]:
    path.write_bytes(b"\n".join(lines))
    return list(json_lines(path, **options))


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        (b"{broken", "structure", "not JSON"),
        (b"[1]", "structure", "no"),
        (b'{"a": NaN}', "structure", "NaN"),
        (b'{"a": ' + b"9" * 5000 + b"}", "structure", ""),
        (b'{"a": "\\ud800"}', "structure", "surrogate"),
        (b"[" * 100_000, "structure", "deep"),
        (b'{"a": "\xe9t\xe9"}', "encoding", "not UTF-8 at byte 7"),
    ],
)
def test_a_bad_line_is_named_and_the_next_is_read(tmp_path: Path, line: bytes, kind: str, reason: str) -> None:
    bad, good = read(tmp_path / "x.jsonl", b"", line, b'{"a": 1}')
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.kind) == (2, kind)
    assert reason in bad.reason
    assert good == Line(3, {"a": 1})


def test_marks_and_line_ends_of_other_systems_are_no_part_of_a_line(tmp_path: Path) -> None:
    assert read(tmp_path / "x.jsonl", b'\xef\xbb\xbf{"a": 1}\r', b'{"b": "\xe2\x80\xa8"}') == [
        Line(1, {"a": 1}),
        Line(2, {"b": "\u2028"}),
    ]


def test_a_line_over_the_limit_is_skipped_and_counted_as_one(tmp_path: Path) -> None:
    long = b'{"a": "' + b"x" * 5000 + b'"}'
    bad, good = read(tmp_path / "x.jsonl", long, b'{"a": 1}', max_bytes=1000)
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.kind) == (1, "too_long")
    assert good == Line(2, {"a": 1})


def test_a_huge_line_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("wb") as file:
        file.write(b'{"a": "')
        file.truncate(2**30)  # a hole: a gigabyte of zeros that takes no disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (bad,) = json_lines(path)
    assert isinstance(bad, BadLine)
    assert bad.kind == "too_long"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("name", ["absent.jsonl", "broken.jsonl.gz", "cut.jsonl.gz", "utf16.jsonl"])
def test_a_file_that_cannot_be_read_says_so_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.jsonl.gz").write_bytes(b"no gzip")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
    (tmp_path / "utf16.jsonl").write_bytes('{"a": 1}\n{"a": 2}'.encode("utf-16"))
    *_, bad = json_lines(tmp_path / name)
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.kind) == (0, "unreadable")


def test_a_packed_file_is_unpacked_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert list(json_lines(tmp_path / "x.jsonl.gz")) == [Line(1, {"a": 1})]
