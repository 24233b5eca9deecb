"""Tables and lists in Markdown-like text: where they stand, and where they may be cut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DELIMITER = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_ITEM = re.compile(r"^ {0,3}(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_INDENTED = re.compile(r"^(?: {2,}|\t)\s*\S")


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of text that is better not cut."""

    start: int
    """Offset of its first line."""
    end: int
    """Offset behind its last line, the newline included."""
    rows: tuple[int, ...]
    """Offsets of the rows or entries at which it may be cut, in order; the first is behind a table's head."""
    head: str = ""
    """The cells of a table's head, such as `Size | Price`; empty for a list."""


def tables_and_lists(text: str, start: int, end: int) -> Iterator[Block]:
    """Tables and lists within a stretch of text, in order; nothing is inside another."""
    lines = list(_lines(text, start, end))
    at = 0
    while at < len(lines):
        last = _table_end(text, lines, at)
        if last is not None:
            head = " | ".join(cell.strip() for cell in _line(text, lines[at]).strip().strip("|").split("|"))
            rows = tuple(first for first, _ in lines[at + 2 : last])
            yield Block(lines[at][0], lines[last - 1][1], rows, head)
            at = last
        elif _ITEM.match(_line(text, lines[at])):
            last = _list_end(text, lines, at)
            rows = tuple(first for first, behind in lines[at:last] if _ITEM.match(text[first:behind]))
            yield Block(lines[at][0], lines[last - 1][1], rows)
            at = last
        else:
            at += 1


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        behind = text.find("\n", start, end) + 1 or end
        yield start, behind
        start = behind


def _line(text: str, line: tuple[int, int]) -> str:
    return text[line[0] : line[1]].rstrip("\n")


def _table_end(text: str, lines: list[tuple[int, int]], at: int) -> int | None:
    """The line behind a table that begins here; None where none does."""
    if at + 1 >= len(lines) or "|" not in _line(text, lines[at]):
        return None
    below = _line(text, lines[at + 1])
    if "|" not in below or not _DELIMITER.match(below):
        return None
    at += 2
    while at < len(lines) and "|" in _line(text, lines[at]):
        at += 1
    return at


def _list_end(text: str, lines: list[tuple[int, int]], at: int) -> int:
    """The line behind a list: it ends at a blank line that neither an entry nor indented text follows."""
    end = at + 1
    at += 1
    while at < len(lines):
        line = _line(text, lines[at])
        if not line.strip():
            at += 1
            continue
        if at > end and not (_ITEM.match(line) or _INDENTED.match(line)):
            break
        at += 1
        end = at
    return end
