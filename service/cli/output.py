"""What commands print: data on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def data(value: Any) -> None:
    """A JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def line(text: str = "") -> None:
    """A line of data on stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line about progress on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns on stdout, as wide as their widest cell."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(headings, *cells, strict=True)]
    for row in [list(headings), *cells]:
        line("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def answer(result: Mapping[str, Any]) -> None:
    """A reply with its sources, for people."""
    line(result["text"])
    for citation in result["citations"]:
        passage = " ".join(str(citation["passage"]).split())
        shown = passage if len(passage) <= 160 else passage[:157].rstrip() + "..."
        line(f"  [{citation['number']}] {citation['title']} ({citation['document']}): {shown}")
