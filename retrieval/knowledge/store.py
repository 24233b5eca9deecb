"""Knowledge on disk: add, remove, go back; immutable versions made of shared segments, and one pointer.

A version's name is the digest of what it holds, so the same pages give the same name on every machine. What is new is
written beside the rest and moved into place when whole; a crash at any point leaves the old version serving. What a
change costs depends on the change, hardly on the size of the base (docs/adr/0008).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from retrieval.documents.loading import Loaded, document_from_text, is_address, load_documents
from retrieval.encoder import Encoder
from retrieval.errors import DocumentChanged, DocumentUnknown, VersionChanged, VersionUnknown
from retrieval.knowledge.before import Before, Documents, document_at, documents_of
from retrieval.knowledge.growing import Fresh, Progress
from retrieval.knowledge.noted import Judge
from retrieval.knowledge.version import Entry
from retrieval.knowledge.version_folder import (
    brand_folder,
    check_whole,
    current_version,
    point,
    read_entries,
    read_history,
    serve,
    version_names,
    write_history,
)
from retrieval.knowledge.writing import Change, LeftOut, identity, put, writing
from retrieval.passages import Document

__all__ = [
    "Change", "LeftOut", "add", "add_documents", "amend", "remove", "restore", "rollback", "take_in",
]  # fmt: skip


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
    by: str = "",
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
        by: Who does it; kept with the version and with each document that changes.

    Raises:
        DocumentUnreadable: There is nothing at `path`.
        IndexCorrupt: The version that serves is damaged.
        StorageFull: The disk is full; nothing changed.
    """
    folder = brand_folder(home_knowledge, brand)
    # Before it is this writer's turn, so that a slow file keeps nobody waiting.
    before = Before.read(folder)
    loaded = load_documents(path, before.files())
    with writing(home_knowledge, brand) as folder:
        if current_version(folder) != before.version and not is_address(path):
            # Somebody wrote meanwhile. The files may be newer than what was read, and what they left out be gone.
            before = Before.read(folder)
            loaded = load_documents(path, before.files(), loaded)
        origin = str(path if is_address(path) else Path(path).resolve())
        return _add(folder, before, loaded, origin, encoder, progress, judge, replace=replace, follow=follow, by=by)


def take_in(
    home_knowledge: Path,
    brand: str,
    loaded: Loaded,
    origin: str,
    encoder: Encoder,
    progress: Progress = lambda _done, _total: None,
    *,
    judge: Judge | None = None,
    by: str = "",
) -> Change:
    """Take in what was read already, such as files that a person brought, and let the result serve.

    Args:
        home_knowledge: The folder of all brands' knowledge.
        brand: Whose knowledge.
        loaded: What was read, with nothing taken for unchanged.
        origin: Where it came from: an address, or empty for what lies nowhere any more.
        encoder: Embeds what is new.
        progress: As in `add`; what it raises ends this, and nothing is changed.
        judge: As in `add`.
        by: As in `add`.

    Raises:
        IndexCorrupt: The version that serves is damaged.
        StorageFull: The disk is full; nothing changed.
    """
    with writing(home_knowledge, brand) as folder:
        return _add(folder, Before(), loaded, origin, encoder, progress, judge, replace=False, follow=False, by=by)


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
    return take_in(home_knowledge, brand, Loaded(tuple(documents), ()), "", encoder, progress)


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
    by: str,
) -> Change:
    before = documents_of(folder, encoder, seen)
    now = _now()
    new = {one.id: one for one in loaded.documents}
    there = {*new, *loaded.unchanged}
    gone = _gone(before, loaded, origin) if follow else before.keys() - there if replace else set()
    after: dict[str, Entry | Fresh] = {name: one for name, one in before.items() if name not in gone}
    for name in loaded.unchanged:
        after[name] = _from(before[name], origin)
    for name, one in new.items():
        after[name] = _kept_or_fresh(before.get(name), one, origin, loaded.digests.get(name, ""), now, by)
    same = {name for name in there if name in before and identity(before[name]) == identity(after[name])}
    return put(
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
        by,
    )


def remove(
    home_knowledge: Path,
    brand: str,
    document_ids: Iterable[str],
    encoder: Encoder,
    judge: Judge | None = None,
    *,
    by: str = "",
) -> Change:
    """Remove documents and let the rest serve.

    Args:
        home_knowledge: The folder of all brands' knowledge.
        brand: Whose knowledge.
        document_ids: What is removed.
        encoder: The encoder that serves.
        judge: As in `add`; asked where so much is gone that a segment is written again.
        by: As in `add`.

    Raises:
        DocumentUnknown: One of the ids is not there; nothing was removed.
    """
    wanted = set(document_ids)
    with writing(home_knowledge, brand) as folder:
        before = documents_of(folder, encoder)
        if unknown := sorted(wanted - before.keys()):
            raise DocumentUnknown(
                f"The knowledge of {brand!r} holds no {', '.join(map(repr, unknown))}. "
                f"`brandvoice kb list --brand {brand}` shows what it holds."
            )
        after = {name: one for name, one in before.items() if name not in wanted}
        change = Change("", unchanged=tuple(sorted(after)), removed=tuple(sorted(wanted)))
        return put(folder, after, encoder, lambda _done, _total: None, judge, change, by)


def amend(
    home_knowledge: Path,
    brand: str,
    document_id: str,
    text: str,
    encoder: Encoder,
    judge: Judge | None = None,
    *,
    expected: str,
    by: str = "",
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
        by: As in `add`.

    Raises:
        DocumentUnknown: It is not there.
        DocumentChanged: It reads otherwise by now; nothing was changed.
        IndexCorrupt: The version that serves is damaged.
        StorageFull: The disk is full; nothing changed.
    """
    with writing(home_knowledge, brand) as folder:
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
        after = {**before, document_id: Fresh(amended, held.origin, held.digest, _now(), by)}
        same = tuple(sorted(before.keys() - {document_id}))
        change = Change("", changed=(document_id,), unchanged=same)
        return put(folder, after, encoder, lambda _done, _total: None, judge, change, by)


def restore(
    home_knowledge: Path,
    brand: str,
    document_id: str,
    version: str,
    encoder: Encoder,
    judge: Judge | None = None,
    *,
    by: str = "",
) -> Change:
    """Let one document say again what it said in an earlier version; all others stay as they are.

    Args:
        home_knowledge: The folder of all brands' knowledge.
        brand: Whose knowledge.
        document_id: Which one; it may have been removed meanwhile.
        version: One that is kept, and holds it.
        encoder: The encoder that serves.
        judge: As in `add`.
        by: As in `add`.

    Raises:
        VersionUnknown: There is no such version.
        DocumentUnknown: That version does not hold it.
        IndexCorrupt: A version is damaged.
        StorageFull: The disk is full; nothing changed.
    """
    with writing(home_knowledge, brand) as folder:
        _known(folder, brand, version)
        earlier = next((one for one in read_entries(folder / version) if one.id == document_id), None)
        if earlier is None:
            raise DocumentUnknown(f"Version {version} of the knowledge of {brand!r} holds no {document_id!r}.")
        before = documents_of(folder, encoder)
        fresh = Fresh(document_at(folder, earlier), earlier.origin, earlier.digest, _now(), by)
        held = before.get(document_id)
        same = held is not None and identity(held) == identity(fresh)
        if same:
            return Change(current_version(folder) or "", unchanged=tuple(sorted(before)))
        after = {**before, document_id: fresh}
        others = tuple(sorted(before.keys() - {document_id}))
        named = (document_id,)
        change = Change("", added=() if held else named, changed=named if held else (), unchanged=others)
        return put(folder, after, encoder, lambda _done, _total: None, judge, change, by)


def rollback(
    home_knowledge: Path, brand: str, encoder: Encoder, to: str | None = None, *, expected: str | None = None
) -> str:
    """Let an earlier version serve again.

    Args:
        home_knowledge: The folder of all brands' knowledge.
        brand: Whose knowledge.
        encoder: The encoder that serves; a version of another one is refused.
        to: Which version; the one that served before where absent.
        expected: What served when somebody decided this; not asked where absent.

    Returns:
        The version that serves now.

    Raises:
        VersionUnknown: There is no such version, or none before.
        VersionChanged: Another version than `expected` serves; it stays.
        IndexCorrupt: It is damaged; what serves stays as it is.
        IndexMismatch: Another encoder made it; what serves stays as it is.
    """
    with writing(home_knowledge, brand) as folder:
        if expected is not None and current_version(folder) != expected:
            raise VersionChanged(
                f"The knowledge of {brand!r} was changed meanwhile: {current_version(folder)} serves, not {expected}. "
                "Look at the versions again, and decide anew."
            )
        if to is not None:
            _known(folder, brand, to)
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


def _known(folder: Path, brand: str, version: str) -> None:
    """Raise VersionUnknown where this is no version of a brand."""
    if version not in version_names(folder):
        raise VersionUnknown(
            f"The knowledge of {brand!r} has no version {version!r}. `brandvoice kb versions --brand {brand}` "
            f"shows which are kept."
        )


def _kept_or_fresh(
    before: Entry | Fresh | None, new: Document, origin: str, digest: str, now: str, by: str
) -> Entry | Fresh:
    """A document that did not change stays where it is; its metadata may have changed."""
    if isinstance(before, Entry) and before.sha256 == new.sha256:
        same = before.metadata == new.metadata
        when, who = (before.changed, before.by) if same else (now, by)
        return before._replace(metadata=new.metadata, origin=origin, digest=digest, changed=when, by=who)
    return Fresh(new, origin, digest, now, by)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


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
