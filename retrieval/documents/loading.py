"""Files, folders and addresses to documents; what cannot be read is skipped with a reason, never fatal."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib import metadata as packages
from pathlib import Path
from types import MappingProxyType

from retrieval.documents.readers.extract import Refused
from retrieval.documents.readers.sandbox import Sandbox
from retrieval.documents.reading import (
    MACROS,
    MAX_BYTES,
    MAX_FILE_BYTES,
    SUFFIXES,
    Loaded,
    Note,
    Skipped,
    document_from_text,
    read_document,
)
from retrieval.errors import DocumentUnreadable, MetadataInvalid
from retrieval.metadata import SIDE_SUFFIX, Metadata, read_side_file
from retrieval.passages import Document

__all__ = ["MAX_BYTES", "SUFFIXES", "Loaded", "Note", "Skipped", "document_from_text", "is_address", "load_documents"]

_PARSERS = ("pypdf", "python-docx", "openpyxl", "python-pptx", "selectolax", "PyYAML")


def load_documents(
    source: Path | str,
    known: Mapping[str, str] = MappingProxyType({}),
    before: Loaded | None = None,
    each: Callable[[str], None] = lambda _name: None,
) -> Loaded:
    """Load one file, every document below a folder, or what lies at an `http(s)` address.

    A document's id is its path below the folder, with `/`, so the same folder gives the same ids on every machine; that
    of a page is its address without the scheme.

    Args:
        source: A path or an address.
        known: Digest of each document's file by the document's id, as `Loaded.digests` gave it: such a file is not
            parsed again while it is the same. What lies at an address always is.
        before: What an earlier look at `source` gave; what it holds is not parsed again either.
        each: Told of each file or page before it is read, by its name or address; what it raises ends the reading.

    Raises:
        DocumentUnreadable: There is nothing at `source`, or it is neither a file nor a folder.
    """
    if is_address(source):
        from retrieval.documents.web import load_address

        return load_address(str(source), each=each)
    path = Path(source)
    if not path.exists():
        raise DocumentUnreadable(
            f"There is nothing at {str(path)!r}. Give a document, a folder of documents, or an address (https://...)."
        )
    found: Iterator[tuple[str, Path] | Skipped]
    found = _walk(path, "", set()) if path.is_dir() else iter([(path.name, path)])
    documents: list[Document] = []
    skipped: list[Skipped] = []
    notes: list[Note] = []
    unchanged: list[str] = []
    digests: dict[str, str] = {}
    parsed = {before.digests[one.id]: one for one in before.documents} if before else {}
    with Sandbox() as sandbox:
        for item in found:
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            name, file = item
            each(_shown(name))
            try:
                data, metadata = _bytes(name, file), read_side_file(file)
                digest = _digest(name, data, metadata)
                if known.get(name) == digest:
                    unchanged.append(name)
                    continue
                if digest in parsed:
                    document, seen = parsed[digest], _notes_on(name, before)
                else:
                    document, seen = read_document(name, data, file.suffix.lower(), sandbox, metadata=metadata)
            except (Refused, MetadataInvalid) as refusal:
                skipped.append(Skipped(_shown(name), str(refusal)))
            else:
                digests[name] = digest
                documents.append(document)
                notes.extend(seen)
    return Loaded(tuple(documents), tuple(skipped), tuple(notes), tuple(unchanged), digests)


def is_address(source: Path | str) -> bool:
    """Whether a source is an address on the web and not a path."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def _digest(name: str, data: bytes, metadata: Metadata | None) -> str:
    """Names a file by all that its document depends on: its own bytes, what stands beside it, and how it is read."""
    said = json.dumps(metadata.said() if metadata else None, sort_keys=True)
    digest = hashlib.sha256(f"{_readers()}\0{name}\0{said}\0".encode())
    digest.update(data)
    return digest.hexdigest()[:32]


@lru_cache(maxsize=1)
def _readers() -> str:
    """Names the code that reads: ours by its bytes, the parsers by their versions."""
    digest = hashlib.sha256()
    room = Path(__file__).parent
    ours = [room / "reading.py", room / "hidden.py", room.parent / "metadata.py", *sorted(room.glob("readers/*.py"))]
    for file in ours:
        digest.update(file.read_bytes())
    for name in _PARSERS:
        try:
            digest.update(f"{name} {packages.version(name)}\0".encode())
        except packages.PackageNotFoundError:
            digest.update(f"{name} is not there\0".encode())
    return digest.hexdigest()


def _notes_on(name: str, loaded: Loaded | None) -> tuple[Note, ...]:
    return tuple(one for one in loaded.notes if one.path == name) if loaded else ()


def _walk(folder: Path, prefix: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, Path] | Skipped]:
    """Files below a folder; `seen` holds (device, inode) of the folders on the way, so a loop ends."""
    try:
        state = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(_shown(prefix) or str(folder), f"cannot be opened ({error.strerror})")
        return
    key = (state.st_dev, state.st_ino)
    if key in seen:
        yield Skipped(_shown(prefix), "the folder holds itself through a link")
        return
    for entry in entries:
        name = f"{prefix}/{entry.name}" if prefix else entry.name
        if entry.name.startswith("."):
            yield Skipped(_shown(name), "hidden")
        elif entry.name.endswith(SIDE_SUFFIX):
            if not os.path.exists(entry.path.removesuffix(SIDE_SUFFIX)):
                yield Skipped(_shown(name), "the document that it describes is not there")
        elif _is_folder(entry):
            yield from _walk(Path(entry.path), name, seen | {key})
        else:
            yield name, Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that points at itself
        return False


def _bytes(name: str, file: Path) -> bytes:
    """The bytes of a file.

    Raises:
        Refused: It is no document, too large, or cannot be read.
    """
    if _shown(name) != name:
        raise Refused("its name is not UTF-8")
    suffix = file.suffix.lower()
    if suffix in MACROS:
        raise Refused(f"{suffix} files hold macros; save it as a file without them (.docx, .xlsx, .pptx)")
    if suffix not in SUFFIXES:
        raise Refused(f"not one of {', '.join(sorted(SUFFIXES))}")
    try:
        state = file.stat()
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(state.st_mode):
            raise Refused("not a regular file")
        if state.st_size > MAX_FILE_BYTES:
            raise Refused(f"larger than {MAX_FILE_BYTES // 1_000_000} MB ({state.st_size / 1e6:.1f} MB); split it")
        return file.read_bytes()
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from None


def _shown(name: str) -> str:
    """A name that can be printed: bytes that are not UTF-8 become escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
