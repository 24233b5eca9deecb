"""What a change writes: one segment with the new documents, and with those of small segments that are merged into it.

A new segment takes in those that are not larger than it has become, so each chunk is written again only a few times
(as in a log-structured merge tree: O'Neil et al., 1996) and a base holds few segments. A large one is left alone until
more than half of it is no longer needed.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.documents.splitting import searchable, split
from retrieval.encoder import Encoder, Vectors
from retrieval.errors import IndexCorrupt, IndexMismatch
from retrieval.knowledge.noted import Judge
from retrieval.knowledge.segment import (
    Encoded,
    Segment,
    read_documents,
    read_manifest,
    segment_name,
    sync,
    write_segment,
)
from retrieval.knowledge.version import Entry
from retrieval.knowledge.version_folder import SEGMENTS, scratch
from retrieval.passages import Chunk, Document

ENCODE_AT_ONCE = 64
"""Chunks between two progress reports."""
MERGE_BELOW = 2048
"""Segments with more chunks are not merged: it would take seconds."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Fresh:
    """A document that is to be split and embedded."""

    document: Document
    origin: str
    digest: str = ""
    """Of its file."""
    changed: str = ""
    """As `Entry.changed`."""
    by: str = ""
    """As `Entry.by`."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A document of the new segment: its chunks, and the segment that holds their vectors already."""

    document: Document
    came: tuple[str, str, str, str]
    """Origin, digest of its file, when it changed, and by whom."""
    chunks: Sequence[Chunk]
    old: Segment | None = None
    first: int = 0


def grow(
    folder: Path,
    documents: Collection[Entry | Fresh],
    encoder: Encoder,
    progress: Progress,
    judge: Judge | None = None,
) -> tuple[Entry, ...]:
    """Bring documents to the disk, in the segments that are there and at most one more.

    Args:
        folder: The brand's folder.
        documents: All that a version is to hold: where they are, or what they say.
        encoder: Embeds the fresh ones.
        progress: Called with (chunks embedded, chunks to embed).
        judge: Looks for instructions in what is written.

    Returns:
        Where each of them is, by name.

    Raises:
        IndexCorrupt: A segment that must be merged is damaged.
    """
    held = [one for one in documents if isinstance(one, Entry)]
    members = [
        _Member(one.document, (one.origin, one.digest, one.changed, one.by), split(one.document))
        for one in documents
        if isinstance(one, Fresh)
    ]
    fresh = sum(len(one.chunks) for one in members)
    merged = _to_merge(folder, held, fresh)
    for name in sorted(merged):
        members += _members(folder, name, [one for one in held if one.segment == name], encoder)
    kept = [one for one in held if one.segment not in merged]
    if members:
        kept += _write(folder, sorted(members, key=lambda one: one.document.id), encoder, progress, judge)
    return tuple(sorted(kept, key=lambda one: one.id))


def _to_merge(folder: Path, held: Sequence[Entry], fresh: int) -> set[str]:
    """Names of the segments that are written again."""
    live = Counter[str]()
    for one in held:
        live[one.segment] += one.rows
    sizes = {name: int(read_manifest(folder / SEGMENTS / name, checksums=False)["chunks"]) for name in live}
    chosen = {name for name in live if sizes[name] > 2 * live[name]}
    total = fresh + sum(live[name] for name in chosen)
    for name in sorted(live.keys() - chosen, key=lambda name: (live[name], name)):
        if live[name] > min(total, MERGE_BELOW):
            break
        chosen.add(name)
        total += live[name]
    return chosen if total else set()


def _members(folder: Path, name: str, entries: Sequence[Entry], encoder: Encoder) -> Iterator[_Member]:
    segment = Segment.load(folder / SEGMENTS / name, encoder)
    rows = read_documents(folder / SEGMENTS / name, frozenset(one.id for one in entries))
    for one in entries:
        document = Document(**rows[one.id], metadata=one.metadata)
        chunks = segment.chunks[one.first : one.first + one.rows]
        yield _Member(document, (one.origin, one.digest, one.changed, one.by), chunks, segment, one.first)


def _write(
    folder: Path, members: Sequence[_Member], encoder: Encoder, progress: Progress, judge: Judge | None
) -> Iterator[Entry]:
    documents = [one.document for one in members]
    name = segment_name(documents, encoder, judge)
    place = folder / SEGMENTS / name
    if not _whole(place):
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(exist_ok=True)
        chunks = [chunk for one in members for chunk in one.chunks]
        with scratch(folder) as outer:
            batches = _encoded(members, encoder, progress, judge)
            write_segment(outer / name, documents, chunks, batches, encoder, judge)
            os.replace(outer / name, place)
        sync(place.parent)
    first = 0
    for one in members:
        document, rows = one.document, len(one.chunks)
        yield Entry(
            document.id, document.title, document.sha256, len(document.text), name, first, rows, document.metadata,
            *one.came,
        )  # fmt: skip
        first += rows


def _whole(place: Path) -> bool:
    try:
        read_manifest(place, checksums=True)
    except (IndexCorrupt, IndexMismatch):
        return False
    return True


def _encoded(
    members: Sequence[_Member], encoder: Encoder, progress: Progress, judge: Judge | None
) -> Iterator[Encoded]:
    """What is written of the chunks, in their order: copied where a segment has it, made where none has."""
    work = [(one, at) for one in members for at in range(len(one.chunks))]
    total = sum(member.old is None for member, _ in work)
    done = 0
    for start in range(0, len(work), ENCODE_AT_ONCE):
        batch = work[start : start + ENCODE_AT_ONCE]
        vectors: Vectors = np.zeros((len(batch), encoder.dim), np.float32)
        tokens: list[Vectors] = [vectors[:0]] * len(batch)
        fresh: list[int] = []
        for row, (member, at) in enumerate(batch):
            if member.old is None:
                fresh.append(row)
            else:
                vectors[row] = member.old.index.rows(np.array([member.first + at]))[0]
                tokens[row] = member.old.tokens.tokens(member.first + at)
        if fresh:
            texts = [searchable(batch[row][0].chunks[batch[row][1]]) for row in fresh]
            vectors[fresh], encoded = encoder.encode_document_tokens(texts)
            for row, one in zip(fresh, encoded, strict=True):
                tokens[row] = one
        instructions = () if judge is None else [_instructions(member, at, judge) for member, at in batch]
        if fresh:
            done += len(fresh)
            progress(done, total)
        yield Encoded(vectors, tokens, instructions)


def _instructions(member: _Member, at: int, judge: Judge) -> tuple[str, ...]:
    """What the judge says of a chunk; it is not asked again where a segment holds its word."""
    notes = member.old.notes if member.old else None
    if notes is not None and notes.by == judge.fingerprint:
        return notes.at(member.first + at).instructions
    return judge.instructions(member.chunks[at])
