"""What a judge said of chunks when they were taken in: sentences of theirs that a model must not read.

A turn looks the judgement up rather than making it. It counts only while the judge is the same: each note says by whom
it is, and chunks without one, or with another's, are judged where they are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson

from retrieval.errors import IndexCorrupt
from retrieval.passages import Chunk, Noted

FILE = "instructions.json"


class Judge(Protocol):
    """Finds the sentences of a chunk that a model must not read."""

    fingerprint: str
    """Names everything that decides: encoder, weights, rules."""

    def instructions(self, chunk: Chunk) -> tuple[str, ...]:
        """The sentences, as written, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Notes:
    """The judgement of all chunks of one segment."""

    by: str
    found: Mapping[int, tuple[str, ...]]
    """By row; a row that is absent holds no instruction."""

    @classmethod
    def of(cls, by: str, instructions: Sequence[tuple[str, ...]]) -> Notes:
        """The notes on chunks, in the order of their rows."""
        return cls(by, {row: found for row, found in enumerate(instructions) if found})

    @classmethod
    def load(cls, home: Path) -> Notes | None:
        """Read the notes of a segment; None where it was written without a judge, or before there was one.

        Raises:
            IndexCorrupt: They cannot be read.
        """
        try:
            read = orjson.loads((home / FILE).read_bytes())
            return cls(str(read["by"]), {int(row): tuple(found) for row, found in read["found"].items()})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexCorrupt(
                f"{home / FILE} cannot be read ({error}). Go back with `brandvoice kb rollback`, or move the brand's "
                f"folder of knowledge away and add the pages again."
            ) from error

    def save(self, home: Path) -> None:
        """Write the notes into the folder of a segment."""
        found = {str(row): list(sentences) for row, sentences in self.found.items()}
        (home / FILE).write_bytes(orjson.dumps({"by": self.by, "found": found}))

    def at(self, row: int) -> Noted:
        """The note on one chunk."""
        return Noted(self.by, self.found.get(row, ()))
