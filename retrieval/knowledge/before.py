"""What a brand's knowledge holds before a change: its documents, and the files that they were read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from retrieval.encoder import Encoder
from retrieval.errors import IndexCorrupt, IndexMismatch
from retrieval.knowledge.growing import Fresh
from retrieval.knowledge.segment import SPLITTER, read_documents, read_manifest, read_rows
from retrieval.knowledge.version import Entry
from retrieval.knowledge.version_folder import SEGMENTS, check_whole, current_version, read_entries
from retrieval.passages import Document

Documents = Mapping[str, Entry | Fresh]
"""By name: where they are, or, where they must be embedded again, what they say."""


@dataclass(frozen=True, slots=True)
class Before:
    """What a writer saw before it was its turn."""

    version: str | None = None
    """The version that served."""
    entries: tuple[Entry, ...] = ()
    """Its documents; none where they could not be read, which the writer's turn says."""

    @classmethod
    def read(cls, folder: Path) -> Before:
        """What serves just now."""
        name = None
        try:
            name = current_version(folder)
            if name is None:
                return cls()
            read_manifest(folder / name, checksums=False)
            return cls(name, read_entries(folder / name))
        except (IndexCorrupt, IndexMismatch):
            return cls(name)

    def files(self) -> dict[str, str]:
        """The digests of the files that the documents were read from, by the documents' names."""
        return {one.id: one.digest for one in self.entries if one.digest}


def documents_of(folder: Path, encoder: Encoder, before: Before | None = None) -> Documents:
    """The documents of the version that serves, by name; to be embedded again where that was made in another way.

    Args:
        folder: The brand's folder.
        encoder: What they must be embedded with.
        before: What was read already; a version never changes.

    Raises:
        IndexCorrupt: The version is damaged.
    """
    name = current_version(folder)
    if name is None:
        return {}
    try:
        for segment in check_whole(folder, name, encoder)["segments"]:
            if read_manifest(folder / SEGMENTS / segment, checksums=False)["splitter"] != SPLITTER:
                return _texts(folder, name)
    except IndexMismatch:
        return _texts(folder, name)
    read = before is not None and before.version == name and before.entries
    return {one.id: one for one in read or read_entries(folder / name)}


def document_at(folder: Path, entry: Entry) -> Document:
    """A document with its whole text.

    Args:
        folder: The brand's folder.
        entry: Where a version of it holds the document.

    Raises:
        IndexCorrupt: It cannot be read.
    """
    rows = read_documents(folder / SEGMENTS / entry.segment, frozenset((entry.id,)))
    return Document(**rows[entry.id], metadata=entry.metadata)


def _texts(folder: Path, name: str) -> Documents:
    """All documents of a version with their texts; also of the layout in which a version held them itself."""
    first_layout = folder / name / "documents.jsonl"
    if first_layout.exists():
        return {row["id"]: Fresh(Document(**row), "") for row in read_rows(first_layout)}
    found: dict[str, Entry | Fresh] = {}
    entries = read_entries(folder / name)
    for segment in {one.segment for one in entries}:
        held = {one.id: one for one in entries if one.segment == segment}
        for key, row in read_documents(folder / SEGMENTS / segment, frozenset(held)).items():
            one = held[key]
            document = Document(**row, metadata=one.metadata)
            found[key] = Fresh(document, one.origin, one.digest, one.changed, one.by)
    return found
