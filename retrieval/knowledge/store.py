"""Knowledge on disk: add, remove, go back; immutable versions made of shared segments, and one pointer.

A version's name is the digest of what it holds, so the same pages give the same name on every machine. What is new is
written beside the rest and moved into place when whole; a crash at any point leaves the old version serving. What a
change costs depends on the change, hardly on the size of the base (docs/adr/0008).
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from retrieval.documents.loading import Loaded, Note, Skipped, document_from_text, is_address, load_documents
from retrieval.encoder import Encoder
from retrieval.errors import DocumentChanged, DocumentUnknown, StorageFull, VersionUnknown
from retrieval.knowledge.before import Before, Documents, document_at, documents_of
from retrieval.knowledge.growing import Fresh, Progress, grow
from retrieval.knowledge.noted import Judge, Notes
from retrieval.knowledge.segment import read_manifest
from retrieval.knowledge.version import Entry
from retrieval.knowledge.version_folder import (
    SEGMENTS,
    brand_folder,
    check_whole,
    current_version,
    point,
    prune,
    read_entries,
    read_history,
    serve,
    version_name,
    version_names,
    whole,
    write_history,
    write_version,
)
from retrieval.metadata import Metadata
from retrieval.passages import Document

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


def add(
    home_knowledge: Path,
    brand: str,
    path: Path | str,
    encoder: Encoder,
    progress: Progress = lambda _done, _total: None,
    *,
    judge: Judge | None = None,
    replace: bool = False,
    follow: bool = False,
) -> Change:
    """Take in a file, a folder or what lies at an address, and let the result serve.

    Args:
        home_knowledge: The folder of all brands' knowledge.
        brand: Whose knowledge.
        path: A document, a folder of documents, or an `http(s)` address.
        encoder: Embeds what is new; documents that did not change keep their vectors.
        progress: Called with (chunks embedded, chunks to embed).
        judge: Notes what a model must not read; without one, that is found out at each search.
        replace: Whether documents that are not below `path` are removed.
        follow: Whether documents that came from `path` before and are no longer there are removed.

    Raises:
        DocumentUnreadable: There is nothing at `path`.
        IndexCorrupt: The version that serves is damaged.
        StorageFull: The disk is full; nothing changed.
    """
    folder = brand_folder(home_knowledge, brand)
    # Before it is this writer's turn, so that a slow file keeps nobody waiting.
    before = Before.read(folder)
    loaded = load_documents(path, before.files())
    with _writing(home_knowledge, brand) as folder:
        if current_version(folder) != before.version and not is_address(path):
            # Somebody wrote meanwhile. The files may be newer than what was read, and what they left out be gone.
            before = Before.read(folder)
            loaded = load_documents(path, before.files(), loaded)
        origin = str(path if is_address(path) else Path(path).resolve())
        return _add(folder, before, loaded, origin, encoder, progress, judge, replace=replace, follow=follow)


def add_documents(
    home_knowledge: Path,
    brand: str,
    documents: Iterable[Document],
    encoder: Encoder,
    progress: Progress = lambda _done, _total: None,
) -> Change:
    """Take in documents that are loaded already and let the result serve.

    Raises:
        IndexCorrupt: The version that serves is damaged.
        StorageFull: The disk is full; nothing changed.
    """
    with _writing(home_knowledge, brand) as folder:
        loaded = Loaded(tuple(documents), ())
        return _add(folder, Before(), loaded, "", encoder, progress, None, replace=False, follow=False)


def _add(
    folder: Path,
    seen: Before,
    loaded: Loaded,
    origin: str,
    encoder: Encoder,
    progress: Progress,
    judge: Judge | None,
    *,
    replace: bool,
    follow: bool,
) -> Change:
    before = documents_of(folder, encoder, seen)
    new = {one.id: one for one in loaded.documents}
    there = {*new, *loaded.unchanged}
    gone = _gone(before, loaded, origin) if follow else before.keys() - there if replace else set()
    after: dict[str, Entry | Fresh] = {name: one for name, one in before.items() if name not in gone}
    for name in loaded.unchanged:
        after[name] = _from(before[name], origin)
    for name, one in new.items():
        after[name] = _kept_or_fresh(before.get(name), one, origin, loaded.digests.get(name, ""))
    same = {name for name in there if name in before and _identity(before[name]) == _identity(after[name])}
    return _serve(
        folder,
        after,
        encoder,
        progress,
        judge,
        Change(
            "",
            added=tuple(sorted(there - before.keys())),
            changed=tuple(sorted(there & before.keys() - same)),
            unchanged=tuple(sorted(same)),
            removed=tuple(sorted(gone)),
            skipped=loaded.skipped,
            notes=loaded.notes,
        ),
    )


def remove(
    home_knowledge: Path, brand: str, document_ids: Iterable[str], encoder: Encoder, judge: Judge | None = None
) -> Change:
    """Remove documents and let the rest serve.

    Args:
        home_knowledge: The folder of all brands' knowledge.
        brand: Whose knowledge.
        document_ids: What is removed.
        encoder: The encoder that serves.
        judge: As in `add`; asked where so much is gone that a segment is written again.

    Raises:
        DocumentUnknown: One of the ids is not there; nothing was removed.
    """
    wanted = set(document_ids)
    with _writing(home_knowledge, brand) as folder:
        before = documents_of(folder, encoder)
        if unknown := sorted(wanted - before.keys()):
            raise DocumentUnknown(
                f"The knowledge of {brand!r} holds no {', '.join(map(repr, unknown))}. "
                f"`brandvoice kb list --brand {brand}` shows what it holds."
            )
        after = {name: one for name, one in before.items() if name not in wanted}
        change = Change("", unchanged=tuple(sorted(after)), removed=tuple(sorted(wanted)))
        return _serve(folder, after, encoder, lambda _done, _total: None, judge, change)


def amend(
    home_knowledge: Path,
    brand: str,
    document_id: str,
    text: str,
    encoder: Encoder,
    judge: Judge | None = None,
    *,
    expected: str,
) -> Change:
    """Let one document say something else; its name, its metadata and the file that it came from stay.

    `add` leaves it alone while that file stays as it is; once the file changes, the file's words serve again.

    Args:
        home_knowledge: The folder of all brands' knowledge.
        brand: Whose knowledge.
        document_id: Which one.
        text: All that it says from now on.
        encoder: The encoder that serves.
        judge: As in `add`.
        expected: Digest of the text that the change was made of.

    Raises:
        DocumentUnknown: It is not there.
        DocumentChanged: It reads otherwise by now; nothing was changed.
        IndexCorrupt: The version that serves is damaged.
        StorageFull: The disk is full; nothing changed.
    """
    with _writing(home_knowledge, brand) as folder:
        before = documents_of(folder, encoder)
        held = before.get(document_id)
        if held is None:
            raise DocumentUnknown(f"The knowledge of {brand!r} holds no {document_id!r} any more.")
        old = document_at(folder, held) if isinstance(held, Entry) else held.document
        new = document_from_text(document_id, text)
        if new.sha256 == old.sha256:
            return Change(current_version(folder) or "", unchanged=tuple(sorted(before)))
        if old.sha256 != expected:
            raise DocumentChanged(f"{document_id!r} was changed meanwhile; look at it again, and make the change anew.")
        amended = dataclasses.replace(new, metadata=old.metadata)
        after = {**before, document_id: Fresh(amended, held.origin, held.digest)}
        same = tuple(sorted(before.keys() - {document_id}))
        change = Change("", changed=(document_id,), unchanged=same)
        return _serve(folder, after, encoder, lambda _done, _total: None, judge, change)


def rollback(home_knowledge: Path, brand: str, encoder: Encoder, to: str | None = None) -> str:
    """Let an earlier version serve again.

    Args:
        home_knowledge: The folder of all brands' knowledge.
        brand: Whose knowledge.
        encoder: The encoder that serves; a version of another one is refused.
        to: Which version; the one that served before where absent.

    Returns:
        The version that serves now.

    Raises:
        VersionUnknown: There is no such version, or none before.
        IndexCorrupt: It is damaged; what serves stays as it is.
        IndexMismatch: Another encoder made it; what serves stays as it is.
    """
    with _writing(home_knowledge, brand) as folder:
        if to is not None:
            if to not in version_names(folder):
                raise VersionUnknown(
                    f"The knowledge of {brand!r} has no version {to!r}. `brandvoice kb versions --brand {brand}` "
                    f"shows which are kept."
                )
            check_whole(folder, to, encoder)
            serve(folder, to)
            return to
        current = current_version(folder)
        history = [name for name in read_history(folder) if name != current]
        if not history:
            raise VersionUnknown(
                f"The knowledge of {brand!r} has no earlier version. `brandvoice kb versions --brand {brand}` shows "
                f"which are kept."
            )
        name = history.pop()
        check_whole(folder, name, encoder)
        write_history(folder, history)
        point(folder, name)
        return name


def _serve(
    folder: Path, after: Documents, encoder: Encoder, progress: Progress, judge: Judge | None, change: Change
) -> Change:
    """Write the version that holds these documents where it is not there yet, and let it serve."""
    name = version_name((_identity(after[one]) for one in sorted(after)), encoder)
    entries: tuple[Entry, ...] = ()
    if not whole(folder, name, encoder):
        entries = grow(folder, list(after.values()), encoder, progress, judge)
        write_version(folder, name, entries, encoder)
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


def _identity(one: Entry | Fresh) -> tuple[str, str, Metadata]:
    """What makes a document the same as before."""
    what = one if isinstance(one, Entry) else one.document
    return what.id, what.sha256, what.metadata


def _kept_or_fresh(before: Entry | Fresh | None, new: Document, origin: str, digest: str) -> Entry | Fresh:
    """A document that did not change stays where it is; its metadata may have changed."""
    if isinstance(before, Entry) and before.sha256 == new.sha256:
        return before._replace(metadata=new.metadata, origin=origin, digest=digest)
    return Fresh(new, origin, digest)


def _from(one: Entry | Fresh, origin: str) -> Entry | Fresh:
    """The same document, found at this place now."""
    return one._replace(origin=origin) if isinstance(one, Entry) else dataclasses.replace(one, origin=origin)


def _gone(before: Documents, loaded: Loaded, origin: str) -> set[str]:
    """Documents that came from `origin` and are no longer there; one that cannot be read just now still is."""
    there = {*(one.id for one in loaded.documents), *loaded.unchanged}
    unread = tuple(one.path for one in loaded.skipped)
    return {
        name
        for name, one in before.items()
        if one.origin == origin
        and name not in there
        and not any(name == path or name.startswith(path + "/") for path in unread)
    }


@contextmanager
def _writing(home_knowledge: Path, brand: str) -> Iterator[Path]:
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
