"""A change of a brand's knowledge as a whole: one writer at a time, a version made whole, then let serve."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from retrieval.documents.loading import Note, Skipped
from retrieval.encoder import Encoder
from retrieval.errors import StorageFull
from retrieval.knowledge.before import Documents
from retrieval.knowledge.growing import Fresh, Progress, grow
from retrieval.knowledge.noted import Judge, Notes
from retrieval.knowledge.segment import read_manifest
from retrieval.knowledge.version import Entry
from retrieval.knowledge.version_folder import (
    SEGMENTS,
    brand_folder,
    prune,
    read_entries,
    serve,
    version_name,
    whole,
    write_version,
)
from retrieval.metadata import Metadata

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sentence of a document that no model will read, because it instructs an assistant."""

    path: str
    """The document."""
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """What adding or removing did."""

    version: str
    """The version that serves now; the one from before where nothing changed."""
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[Note, ...] = ()
    chunks: int = 0
    """Of the whole version."""
    duplicates: int = 0
    """Chunks of the whole version that are not searched because another says the same."""
    left_out: tuple[LeftOut, ...] = ()
    """Of the documents that were added or changed, where a judge looked at them."""


def put(
    folder: Path,
    after: Documents,
    encoder: Encoder,
    progress: Progress,
    judge: Judge | None,
    change: Change,
    by: str,
) -> Change:
    """Write the version that holds these documents where it is not there yet, and let it serve."""
    name = version_name((identity(after[one]) for one in sorted(after)), encoder)
    entries: tuple[Entry, ...] = ()
    if not whole(folder, name, encoder):
        entries = grow(folder, list(after.values()), encoder, progress, judge)
        write_version(folder, name, entries, encoder, by)
    serve(folder, name)
    prune(folder)
    manifest = read_manifest(folder / name, checksums=False)
    return dataclasses.replace(
        change,
        version=name,
        chunks=manifest["chunks"],
        duplicates=manifest["duplicates"],
        left_out=_left_out(folder, entries or read_entries(folder / name), change) if judge else (),
    )


def _left_out(folder: Path, entries: Iterable[Entry], change: Change) -> tuple[LeftOut, ...]:
    """What a judge found in the documents that a change brought, each sentence of a document once."""
    brought = {*change.added, *change.changed}
    held = [one for one in entries if one.id in brought]
    notes = {name: Notes.load(folder / SEGMENTS / name) for name in {one.segment for one in held}}
    found: dict[LeftOut, None] = {}  # neighbouring chunks overlap
    for one in held:
        if note := notes[one.segment]:
            rows = range(one.first, one.first + one.rows)
            found |= dict.fromkeys(LeftOut(one.id, text) for row in rows for text in note.at(row).instructions)
    return tuple(found)


def identity(one: Entry | Fresh) -> tuple[str, str, Metadata]:
    """What makes a document the same as before."""
    what = one if isinstance(one, Entry) else one.document
    return what.id, what.sha256, what.metadata


@contextmanager
def writing(home_knowledge: Path, brand: str) -> Iterator[Path]:
    """One writer at a time for a brand; what a crashed writer left is cleared away."""
    folder = brand_folder(home_knowledge, brand)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in folder.glob(".new-*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
            yield folder
    except (OSError, RuntimeError) as error:
        # FAISS reports a failed write as a RuntimeError.
        if _is_full(error, folder):
            raise StorageFull(
                f"The disk is full, so the knowledge of {brand!r} was left as it is. Free space below {home_knowledge}."
            ) from error
        raise


def _is_full(error: OSError | RuntimeError, folder: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    return shutil.disk_usage(folder).free < 1_000_000
