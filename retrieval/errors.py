"""What can go wrong in retrieval.

RetrievalError
├── DocumentUnreadable   the document's fault: it is skipped, with the reason
├── DocumentUnknown      the caller's fault: no such document in the knowledge base
├── DocumentChanged      nobody's fault: it reads otherwise now than when its change was looked at
├── VersionChanged       nobody's fault: another version serves now than when a change was looked at
├── MetadataInvalid      the document's fault: what it says about itself cannot be used
├── VersionUnknown       the caller's fault: no such version of the knowledge
├── IndexCorrupt         files of a version do not match their manifest
├── IndexMismatch        built with another encoder: build it again
├── EncoderInvalid       the encoder's files are missing or changed
├── RerankerInvalid      the re-ranker's files are missing or changed, or it was made for something else
├── LinesInvalid         lines of a corpus or of a file of questions cannot be used
├── IntentsInvalid       examples of intents, or a trained classifier, that cannot be used
└── StorageFull          the disk is full; the version that serves is untouched
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


class RetrievalError(Exception):
    """Root of everything that retrieval raises."""


class DocumentUnreadable(RetrievalError):
    """A document that cannot be taken in."""


class DocumentUnknown(RetrievalError):
    """No document of this name."""


class DocumentChanged(RetrievalError):
    """A document reads otherwise now than when somebody looked at a change of it."""


class VersionChanged(RetrievalError):
    """Another version serves now than when somebody looked at a change of it."""


class MetadataInvalid(RetrievalError):
    """What a document says about itself cannot be used."""


class VersionUnknown(RetrievalError):
    """No version of this name, or none before the one that serves."""


class IndexCorrupt(RetrievalError):
    """A version's files are not what was written."""


class IndexMismatch(RetrievalError):
    """A version that belongs to another encoder."""


class EncoderInvalid(RetrievalError):
    """The encoder cannot be used."""


class RerankerInvalid(RetrievalError):
    """The re-ranker cannot be used."""


class IntentsInvalid(RetrievalError):
    """Examples that cannot be learnt from, or a classifier that is damaged or belongs to another encoder."""


class StorageFull(RetrievalError):
    """Nothing could be written; nothing was changed."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line of a data file that cannot be used."""

    file: Path
    line: int
    """From 1; 0 for the file as a whole."""
    reason: str
    kind: Literal["structure", "encoding", "too_long", "unreadable"] = "structure"
    """What is wrong; `unreadable` is said of a file as a whole."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class LinesInvalid(RetrievalError):
    """Lines of a data file cannot be read; nothing was used of it."""

    def __init__(self, lines: Sequence[BadLine], *, shown: int = 20) -> None:
        listed = "\n".join(f"  {line}" for line in lines[:shown])
        rest = f"\n  and {len(lines) - shown} more" if len(lines) > shown else ""
        super().__init__(
            f"{len(lines)} bad line(s), nothing was used of the file:\n{listed}{rest}. "
            "Correct or delete these lines, then run the same command again."
        )
        self.lines = tuple(lines)
