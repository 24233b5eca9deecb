"""A passage taken apart into the smallest things that bind facts together: sentences, list items and table rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.language.sentences import split_sentences

_RULE = re.compile(r"^[|\s:-]+$")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, with the table's head."""

    head: str
    line: str

    @property
    def cells(self) -> list[str]:
        """What it says, without the columns' names."""
        return _cells(self.line)

    @property
    def named(self) -> list[tuple[str, str]]:
        """Each cell after its column's name."""
        return list(zip(_cells(self.head), self.cells, strict=False))


def units(text: str) -> Iterator[str | Row]:
    """The sentences, list items (without their marks) and table rows of a text, in order."""
    head = ""
    for line in text.split("\n"):
        bare = line.strip()
        if not bare.startswith("|"):
            head = ""
            yield from split_sentences(_ITEM.sub("", line).replace("**", ""))
        elif not head:
            head = bare
        elif not _RULE.match(bare):
            yield Row(head, bare)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]
