"""The one reader of JSON lines: streamed, bad lines named by file, line and reason, no line over a limit in memory.

A line that is not UTF-8, not JSON, no object or too long is given back as `BadLine`; the lines after it are read on.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar, cast

from pydantic import BaseModel, ValidationError

from retrieval.errors import BadLine

MAX_LINE_BYTES = 4 * 2**20
"""Longer than any conversation or document that is learnt from or searched; a longer line is skipped unread."""
_SKIP_BYTES = 2**20
WIDE = "cannot be read: it is UTF-16; save it as UTF-8"
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Line:
    """One line that holds a JSON object."""

    number: int
    """From 1."""
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line that is text, without its end."""

    number: int
    """From 1."""
    text: str


def json_lines(path: Path, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line | BadLine]:
    """Read JSON objects, in the order of the file; blank lines are left out.

    Args:
        path: UTF-8, with or without a byte order mark; `.gz` is unpacked on the way.
        max_bytes: Longest line.

    Yields:
        A line, or why it is none. Line 0 stands for a file that cannot be read at all.
    """
    for line in text_lines(path, max_bytes=max_bytes):
        if isinstance(line, BadLine):
            yield line
        elif line.text.strip():
            try:
                value = parse(line.text)
            except ValueError as error:
                yield BadLine(path, line.number, str(error))
            else:
                yield Line(line.number, value) if isinstance(value, dict) else _no_object(path, line.number)


def read_lines(path: Path, kind: type[Model], bad: list[BadLine]) -> Iterator[tuple[int, Model]]:
    """Read lines of one kind, numbered from 1; what is wrong is put to `bad`."""
    for line in json_lines(path):
        if isinstance(line, BadLine):
            bad.append(line)
            continue
        try:
            yield line.number, kind.model_validate(line.value)
        except ValidationError as error:
            bad.append(BadLine(path, line.number, "; ".join(reasons(error))))


def text_lines(path: Path, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[TextLine | BadLine]:
    """Read lines of text, blank ones too, as `json_lines` does."""
    try:
        with open_bytes(path) as file:
            for number, raw in _raw_lines(file, max_bytes):
                yield _decoded(path, number, raw, max_bytes)
                if number == 1 and raw is not None and is_wide(raw):
                    return
    except (OSError, EOFError, zlib.error) as error:
        yield BadLine(path, 0, f"cannot be read ({getattr(error, 'strerror', None) or error})", "unreadable")


def parse(text: str) -> Any:
    """The value of one JSON text.

    Raises:
        ValueError: With the reason as people read it.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
        if "\\ud" in text or "\\uD" in text:
            # Half of a surrogate pair is allowed by the grammar and cannot be written as UTF-8 again.
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    except UnicodeEncodeError as error:
        raise ValueError("not text: half of a surrogate pair stands alone") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, unpacked where its name ends in `.gz`."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def is_wide(start: bytes) -> bool:
    """Whether a text that begins so is UTF-16: by its mark, or by the zero beside its first letter."""
    return start[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(start) > 1 and (start[0] == 0) != (start[1] == 0))


def too_long(path: Path, number: int, max_bytes: int) -> BadLine:
    """What is said of a line, or of a row, over the limit."""
    return BadLine(path, number, f"longer than {max_bytes // 2**20} MiB, skipped unread", "too_long")


def _raw_lines(file: IO[bytes], max_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers; None for one that is too long, of which no more than a part is ever held."""
    number = 0
    while line := file.readline(max_bytes + 1):
        number += 1
        if len(line) <= max_bytes or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(_SKIP_BYTES)
        yield number, None


def _decoded(path: Path, number: int, raw: bytes | None, max_bytes: int) -> TextLine | BadLine:
    if raw is None:
        return too_long(path, number, max_bytes)
    if number == 1:
        if is_wide(raw):
            return BadLine(path, 0, WIDE, "unreadable")
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return TextLine(number, raw.removesuffix(b"\n").removesuffix(b"\r").decode())
    except UnicodeDecodeError as error:
        return BadLine(path, number, f"not UTF-8 at byte {error.start}", "encoding")


def _no_object(path: Path, number: int) -> BadLine:
    return BadLine(path, number, "not a JSON object, such as {...}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: {name} is no value")


def reasons(error: ValidationError) -> Iterator[str]:
    """What is wrong with a value, a line for each place in it."""
    for one in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in one["loc"] if part not in {"user", "assistant"})
        message = one["msg"].removeprefix("Value error, ")
        yield f"{where}: {message}" if where else message
