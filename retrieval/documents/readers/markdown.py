"""Markdown as the readers write it: headings, lists, tables; never markup by accident."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"^(\s{0,3})(?=#{1,6}(?:\s|$)|`{3}|~{3})", re.MULTILINE)
MAX_LEVEL = 6


def inline(text: str) -> str:
    """One line, blanks folded."""
    return " ".join(text.split())


def plain(text: str) -> str:
    """Text that is shown as it is: a `#` or a fence at the start of a line is no markup."""
    return _MARKUP.sub(r"\1\\", text)


def heading(level: int, text: str) -> str:
    """A heading, or nothing where it has no text."""
    text = inline(text)
    return f"{'#' * min(max(level, 1), MAX_LEVEL)} {text}" if text else ""


def item(text: str, *, depth: int = 0, mark: str = "-") -> str:
    """One entry of a list; `depth` 0 is the outermost."""
    return f"{'   ' * depth}{mark} {inline(text)}"


def table(rows: Iterable[Sequence[str]]) -> str:
    """A table whose first row is its head; empty rows and columns are left out."""
    full = [[inline(cell).replace("|", "\\|") for cell in row] for row in rows]
    full = [row for row in full if any(row)]
    if not full:
        return ""
    width = max(map(len, full))
    full = [row + [""] * (width - len(row)) for row in full]
    used = [at for at in range(width) if any(row[at] for row in full)]
    lines = ["| " + " | ".join(row[at] for at in used) + " |" for row in full]
    return "\n".join([lines[0], "|" + "---|" * len(used), *lines[1:]])


def blocks(texts: Iterable[str]) -> str:
    """Blocks with a blank line between them."""
    return "\n\n".join(text.strip("\n") for text in texts if text.strip())
