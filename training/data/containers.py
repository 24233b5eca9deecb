"""Files to values: JSON lines, JSON, CSV and Parquet, streamed, so that no file and no line fills the memory.

Every reader yields, in the order of the file, a value with its line or why a line is none. Nothing is skipped silently.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from retrieval.errors import BadLine
from retrieval.json_lines import (
    MAX_LINE_BYTES,
    WIDE,
    Line,
    TextLine,
    is_wide,
    json_lines,
    open_bytes,
    parse,
    text_lines,
    too_long,
)

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
MAX_ROW_GROUP_BYTES = 2 * 2**30
"""Of a Parquet file: a group of rows is unpacked as a whole."""
_CHUNK_BYTES = 2**20
_MARKS = re.compile(rb'["\\\[\]{},]')
_DELIMITERS = ",;\t|"


def read_values(path: Path, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line | BadLine]:
    """The rows of a file, whose suffix says what it is.

    Args:
        path: `.jsonl`, `.ndjson`, `.json`, `.csv`, `.tsv` or `.parquet`; all but the last may end in `.gz`.
        max_bytes: Longest row.

    Yields:
        A row, or why it is none; line 0 stands for a file that cannot be read.
    """
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    match suffix.lower():
        case ".jsonl" | ".ndjson":
            yield from json_lines(path, max_bytes=max_bytes)
        case ".json":
            yield from _json(path, max_bytes)
        case ".csv" | ".tsv":
            yield from _csv(path, max_bytes)
        case ".parquet":
            yield from _parquet(path, max_bytes)
        case _:
            yield BadLine(path, 0, f"cannot be read: the name must end in {', '.join(SUFFIXES)}", "unreadable")


def _json(path: Path, max_bytes: int) -> Iterator[Line | BadLine]:
    """A list of objects, or objects one after the other."""
    try:
        with open_bytes(path) as file:
            if is_wide(file.read(2)):
                yield BadLine(path, 0, WIDE, "unreadable")
                return
            file.seek(0)
            elements = _Elements(file, max_bytes)
            for number, raw in elements:
                yield _element(path, number, raw, max_bytes)
            if elements.cut:
                yield BadLine(path, elements.line, "the list of the file does not end: the file is cut")
    except (OSError, EOFError, zlib.error) as error:
        yield BadLine(path, 0, f"cannot be read ({getattr(error, 'strerror', None) or error})", "unreadable")


def _element(path: Path, number: int, raw: bytes | None, max_bytes: int) -> Line | BadLine:
    if raw is None:
        return too_long(path, number, max_bytes)
    try:
        value = parse(raw.decode())
    except UnicodeDecodeError as error:
        return BadLine(path, number, f"not UTF-8 at byte {error.start} of the row", "encoding")
    except ValueError as error:
        return BadLine(path, number, str(error))
    if not isinstance(value, dict):
        return BadLine(path, number, "not a JSON object, such as {...}")
    return Line(number, value)


class _Elements:
    """Cuts a stream of JSON into its top values, or into those of its one list, each with the line it begins in.

    Only brackets, commas and quotes are looked at, so that a broken element costs itself and not those after it.
    """

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        self._file = file
        self._max = max_bytes
        self._depth = 0
        self._in_text = False
        self._in_list: bool | None = None
        """None until the first bracket is seen."""
        self._held = bytearray()
        self._over = False
        self._closed = False
        self._inside = 0
        """Ends of lines in what is held."""
        self.line = 1

    @property
    def cut(self) -> bool:
        """Whether the list was begun and not ended."""
        return bool(self._in_list) and not self._closed

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        skip = -1
        offset = 0
        while chunk := self._file.read(_CHUNK_BYTES):
            if not offset:
                chunk = chunk.removeprefix(b"\xef\xbb\xbf")
            start = 0
            for mark in _MARKS.finditer(chunk):
                at, sign = mark.start(), mark[0]
                if offset + at == skip:
                    continue
                if sign == b"\\":
                    # What is escaped may be the first byte of the next chunk.
                    skip = offset + at + 1 if self._in_text else skip
                    continue
                end = self._step(sign)
                if end is not None:
                    self._hold(chunk[start : at + end])
                    yield from self._take()
                    start = at + 1
            self._hold(chunk[start:])
            offset += len(chunk)
        yield from self._take()

    def _step(self, sign: bytes) -> int | None:
        """Go on by one mark; where an element ends, whether the mark belongs to it (1) or not (0)."""
        if sign == b'"':
            self._in_text = not self._in_text
        elif self._in_text:
            pass
        elif sign in b"[{":
            if self._in_list is None:
                self._in_list = sign == b"["
                if self._in_list:
                    return 0
            self._depth += 1
        elif sign in b"]}":
            if not self._depth:
                self._closed = True
                return 0
            self._depth -= 1
            return 1 if not self._depth and not self._in_list else None
        elif not self._depth:
            return 0
        return None

    def _hold(self, piece: bytes) -> None:
        if not self._held and not self._over:
            blank = len(piece) - len(piece.lstrip())
            self.line += piece[:blank].count(b"\n")
            piece = piece[blank:]
        self._inside += piece.count(b"\n")
        if len(self._held) + len(piece) > self._max:
            self._over = True
            self._held.clear()
        elif not self._over:
            self._held += piece

    def _take(self) -> Iterator[tuple[int, bytes | None]]:
        if self._over:
            yield self.line, None
        elif held := self._held.strip():
            yield self.line, bytes(held)
        self.line += self._inside
        self._inside = 0
        self._held.clear()
        self._over = False


class _CsvLines:
    """The lines of a file for `csv.reader`; a line that cannot be read is raised, and the next call goes on."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.lines = text_lines(path, max_bytes=max_bytes)
        self.number = 0

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.number = line.number if isinstance(line, TextLine) else line.line
        if isinstance(line, BadLine):
            raise _BadCsvLine(line)
        return line.text + "\n"


class _BadCsvLine(Exception):
    """Carries a line through `csv.reader`."""

    def __init__(self, line: BadLine) -> None:
        super().__init__(line.reason)
        self.line = line


def _csv(path: Path, max_bytes: int) -> Iterator[Line | BadLine]:
    """Rows under a head that names the columns; commas, semicolons, tabs or bars between them."""
    csv.field_size_limit(max_bytes)
    lines = _CsvLines(path, max_bytes)
    try:
        head_line = next(lines, "")
    except _BadCsvLine as bad:
        yield bad.line
        return
    delimiter = max(_DELIMITERS, key=head_line.count)
    head = [name.strip() for name in next(csv.reader([head_line], delimiter=delimiter), [])]
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        begins = lines.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except _BadCsvLine as bad:
            yield bad.line
        except csv.Error as error:
            long = "field larger" in str(error)
            where = f"lines {begins} to {lines.number}: " if lines.number > begins else ""
            yield too_long(path, begins, max_bytes) if long else BadLine(path, begins, f"{where}not CSV: {error}")
        else:
            if any(field.strip() for field in fields):
                yield _csv_row(path, begins, head, fields)


def _csv_row(path: Path, number: int, head: list[str], fields: list[str]) -> Line | BadLine:
    if len(fields) != len(head):
        return BadLine(path, number, f"{len(fields)} fields under a head of {len(head)}")
    value: dict[str, Any] = {}
    for name, field in zip(head, fields, strict=True):
        # Messages stand in a field as JSON.
        if name in ("messages", "conversations", "chosen", "rejected", "prompt") and field.lstrip()[:2] in ("[{", "[]"):
            try:
                value[name] = parse(field)
            except ValueError as error:
                return BadLine(path, number, f"{name}: {error}")
        else:
            value[name] = field
    return Line(number, value)


def _parquet(path: Path, max_bytes: int) -> Iterator[Line | BadLine]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            groups = (file.metadata.row_group(at).total_byte_size for at in range(file.metadata.num_row_groups))
            if max(groups, default=0) > MAX_ROW_GROUP_BYTES:
                yield BadLine(
                    path, 0, "cannot be read: a group of rows unpacks to over 2 GiB; write more", "unreadable"
                )
                return
            for batch in file.iter_batches(batch_size=64):
                for at in range(batch.num_rows):
                    number += 1
                    yield _parquet_row(path, number, batch.slice(at, 1), max_bytes)
    except (OSError, pyarrow.ArrowException) as error:
        reason = str(getattr(error, "strerror", None) or error).splitlines()[0]
        place = "cannot be read" if not number else f"cannot be read after row {number}"
        yield BadLine(path, 0, f"{place} ({reason})", "unreadable")


def _parquet_row(path: Path, number: int, row: Any, max_bytes: int) -> Line | BadLine:
    if row.nbytes > max_bytes:
        return too_long(path, number, max_bytes)
    try:
        return Line(number, _without_nulls(row.to_pylist()[0]))
    except UnicodeDecodeError as error:
        return BadLine(path, number, f"not UTF-8 at byte {error.start} of a field", "encoding")


def _without_nulls(value: Any) -> Any:
    """What was written: Parquet gives every message all keys that any message has."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
