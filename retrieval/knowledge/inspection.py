"""What the knowledge on disk holds, for a person who looks: documents, chunks, versions. No encoder is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from retrieval.errors import DocumentUnknown, IndexMismatch, VersionUnknown
from retrieval.knowledge.before import document_at
from retrieval.knowledge.noted import Notes
from retrieval.knowledge.segment import read_manifest, read_rows, read_same
from retrieval.knowledge.version import Entry
from retrieval.knowledge.version_folder import SEGMENTS, brand_folder, current_version, read_entries, version_names
from retrieval.metadata import Metadata
from retrieval.passages import Chunk, Document


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """One version, and what it changed against the one that was made before it."""

    name: str
    created: str
    """ISO 8601, UTC."""
    documents: int
    chunks: int
    active: bool
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    by: str = ""
    """Who made it; empty for the command line."""
    duplicates: int = 0
    """Chunks that are not searched because another says the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of documents by which one version differs from another."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownChunk:
    """A chunk, and the chunks that say the same."""

    chunk: Chunk
    alias_of: str | None
    """The chunk that is searched instead of this one."""
    aliases: tuple[str, ...]
    """The chunks that are not searched because this one is."""
    instructions: tuple[str, ...] | None = None
    """Sentences that were found to instruct an assistant when it was taken in; None where nobody looked."""


def list_documents(home_knowledge: Path, brand: str, version: str | None = None) -> tuple[Entry, ...]:
    """The documents of a version, by name; of the one that serves where none is named.

    None at all where nothing was added yet.

    Raises:
        VersionUnknown: There is no version of this name.
        IndexCorrupt: The version cannot be read.
    """
    folder = brand_folder(home_knowledge, brand)
    if version is not None and version not in version_names(folder):
        raise VersionUnknown(
            f"The knowledge of {brand!r} has no version {version!r}. `brandvoice kb versions --brand {brand}` shows "
            f"which are kept."
        )
    name = version or current_version(folder)
    return read_entries(folder / name) if name else ()


def show_document(home_knowledge: Path, brand: str, document: str) -> tuple[Entry, tuple[ShownChunk, ...]]:
    """One document of the version that serves, with its chunks in the order of the text.

    Raises:
        DocumentUnknown: It is not there.
        IndexCorrupt: It cannot be read.
    """
    entries = list_documents(home_knowledge, brand)
    entry = _named(entries, brand, document)
    segments = brand_folder(home_knowledge, brand) / SEGMENTS
    rows = islice(read_rows(segments / entry.segment / "chunks.jsonl"), entry.first, entry.first + entry.rows)
    chunks = [Chunk(**row) for row in rows]
    same = dict(_numbers(segments, entries))
    alike = _alike(same, {same[chunk.id] for chunk in chunks})
    notes = Notes.load(segments / entry.segment)
    return entry, tuple(
        _shown(chunk, alike[same[chunk.id]], notes.at(row).instructions if notes else None)
        for row, chunk in enumerate(chunks, entry.first)
    )


def read_document(home_knowledge: Path, brand: str, document: str, version: str | None = None) -> Document:
    """One document with its whole text, of the version that serves or of another one.

    Raises:
        VersionUnknown: There is no such version.
        DocumentUnknown: It is not there.
        IndexCorrupt: It cannot be read.
    """
    entry = _named(list_documents(home_knowledge, brand, version), brand, document)
    return document_at(brand_folder(home_knowledge, brand), entry)


def active_version(home_knowledge: Path, brand: str) -> str | None:
    """The version that serves; None while there is no knowledge. Reads nothing of it."""
    return current_version(brand_folder(home_knowledge, brand))


def versions(home_knowledge: Path, brand: str) -> tuple[VersionSummary, ...]:
    """The versions that are kept, the newest first.

    Raises:
        IndexCorrupt: One of them cannot be read.
    """
    folder = brand_folder(home_knowledge, brand)
    current = current_version(folder)
    manifests = []
    for name in version_names(folder):
        try:
            manifests.append(read_manifest(folder / name, checksums=False))
        except IndexMismatch:  # of an older brandvoice; deleted at the next change
            continue
    summaries: list[VersionSummary] = []
    before: Mapping[str, tuple[str, Metadata]] = {}
    for manifest in sorted(manifests, key=lambda one: str(one["created"])):
        name = manifest["name"]
        now = _said(read_entries(folder / name))
        apart = _apart(before, now)
        summaries.append(
            VersionSummary(
                name,
                manifest["created"],
                manifest["documents"],
                manifest["chunks"],
                name == current,
                added=apart.added,
                changed=apart.changed,
                removed=apart.removed,
                by=str(manifest.get("by", "")),
                duplicates=int(manifest.get("duplicates", 0)),
            )
        )
        before = now
    return tuple(reversed(summaries))


def compare(old: Sequence[Entry], new: Sequence[Entry]) -> Difference:
    """What was added, changed and removed from the documents of one version to those of another."""
    return _apart(_said(old), _said(new))


def _said(entries: Sequence[Entry]) -> Mapping[str, tuple[str, Metadata]]:
    return {one.id: (one.sha256, one.metadata) for one in entries}


def _apart(before: Mapping[str, tuple[str, Metadata]], now: Mapping[str, tuple[str, Metadata]]) -> Difference:
    return Difference(
        added=tuple(sorted(now.keys() - before.keys())),
        changed=tuple(sorted(one for one in now.keys() & before.keys() if now[one] != before[one])),
        removed=tuple(sorted(before.keys() - now.keys())),
    )


def _named(entries: Sequence[Entry], brand: str, document: str) -> Entry:
    for one in entries:
        if one.id == document:
            return one
    raise DocumentUnknown(
        f"The knowledge of {brand!r} holds no {document!r}. `brandvoice kb list --brand {brand}` shows what it holds."
    )


def _numbers(segments: Path, entries: Sequence[Entry]) -> Iterator[tuple[str, int]]:
    """Every chunk's id with the number by which duplicates are known, in the order in which one stands for others."""
    same = {name: read_same(segments / name).tolist() for name in {one.segment for one in entries}}
    for one in entries:
        for at in range(one.rows):
            yield f"{one.id}#{at}", same[one.segment][one.first + at]


def _alike(same: Mapping[str, int], wanted: set[int]) -> dict[int, list[str]]:
    groups: dict[int, list[str]] = {number: [] for number in wanted}
    for chunk, number in same.items():
        if number in wanted:
            groups[number].append(chunk)
    return groups


def _shown(chunk: Chunk, group: Sequence[str], instructions: tuple[str, ...] | None) -> ShownChunk:
    if group[0] == chunk.id:
        return ShownChunk(chunk, None, tuple(group[1:]), instructions)
    return ShownChunk(chunk, group[0], (), instructions)
