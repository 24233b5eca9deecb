"""CSV and JSON: questions with answers become sections, any other table stays a table."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from retrieval.documents.readers.extract import TOO_LONG, Extract, Limits, Refused
from retrieval.documents.readers.markdown import blocks, heading, plain, table

PAIRS = (("question", "answer"), ("title", "text"))
DELIMITERS = ",;\t|"
_BOMS = (
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def bom_encoding(data: bytes) -> str | None:
    """The encoding that a byte order mark names."""
    return next((name for mark, name in _BOMS if data.startswith(mark)), None)


def decoded(data: bytes, declared: str | None = None) -> str:
    """Text of bytes: by the byte order mark, else as declared, else UTF-8.

    Encodings are not guessed: a wrong guess turns a price or a name into another.

    Raises:
        Refused: The bytes are not in that encoding.
    """
    encoding = bom_encoding(data) or declared or "utf-8"
    try:
        return data.decode(encoding)
    except LookupError:
        raise Refused(f"its encoding {encoding!r} is not known; save it as UTF-8") from None
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding == "utf-8" else f"the {encoding} that it says it is"
        raise Refused(f"not {name} (byte {error.start}); save it as UTF-8") from None


def sections(rows: Iterable[Mapping[str, Any]], *, level: int = 2) -> str | None:
    """Questions as headings over their answers; None where the rows have neither pair of columns."""
    found: list[str] = []
    for row in rows:
        lower = {str(key).strip().lower(): value for key, value in row.items()}
        pair = next(((one, other) for one, other in PAIRS if one in lower and other in lower), None)
        if pair is None:
            return None
        head, body = (str(lower[key]).strip() if lower[key] is not None else "" for key in pair)
        if head and body:
            found.append(blocks([heading(level, head), plain(body)]))
    return blocks(found)


def from_table(rows: Sequence[Sequence[str]], *, level: int = 2) -> str:
    """The text of a table: sections of a level where its head names a pair, else the table."""
    if not rows:
        return ""
    head = rows[0]
    text = sections((dict(zip(head, row, strict=False)) for row in rows[1:] if any(row)), level=level)
    return table(rows) if text is None or len(rows) == 1 else text


def read_csv(data: bytes, limits: Limits) -> Extract:
    """Read a CSV file; the delimiter is the one that its first line holds most of."""
    text = decoded(data)
    if len(text) > limits.chars:
        raise Refused(TOO_LONG)
    first = text.lstrip("\n").split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    csv.field_size_limit(limits.chars)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise Refused(f"not a CSV file ({error})") from None
    return Extract((from_table(rows),))


def read_json(data: bytes, _limits: Limits) -> Extract:
    """Read a list of objects, an object that holds one, or JSON lines."""
    text = decoded(data)
    try:
        value = json.loads(text)
    except ValueError as error:
        value = _lines(text, error)
    rows = _rows(value)
    found = sections(rows) if rows else None
    if found is None:
        raise Refused("no list of objects with the keys question and answer, or title and text")
    return Extract((found,))


def _lines(text: str, whole: ValueError) -> list[Any]:
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        raise Refused(f"not JSON ({whole})") from None


def _rows(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, dict):
        lists = [one for one in value.values() if isinstance(one, list)]
        value = lists[0] if lists else [value]
    if not isinstance(value, list):
        return []
    return value if all(isinstance(row, dict) for row in value) else []
