"""Files to documents: Markdown and plain text; what cannot be read is skipped with a reason, never fatal."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from retrieval.errors import DocumentUnreadable, MetadataInvalid
from retrieval.metadata import SIDE_SUFFIX, read_document_metadata
from retrieval.passages import Document

SUFFIXES = frozenset({".md", ".markdown", ".txt"})
MAX_BYTES = 5_000_000
_TITLE = re.compile(r"^#[ \t]+(?P<title>.+?)[ \t]*#*[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that was left out."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found under one path, in order of the names."""

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...]


def load_documents(path: Path) -> Loaded:
    """Load one file, or every document below a folder.

    A document's id is its path below the folder, with `/`, so the same folder gives the same ids on every machine.

    Raises:
        DocumentUnreadable: There is nothing at `path`, or it is neither a file nor a folder.
    """
    if not path.exists():
        raise DocumentUnreadable(
            f"There is nothing at {str(path)!r}. Give a Markdown or text file, or a folder of them."
        )
    documents: list[Document] = []
    skipped: list[Skipped] = []
    if path.is_dir():
        found: Iterator[tuple[str, Path] | Skipped] = _walk(path, "", set())
    else:
        found = iter([(path.name, path)])
    for item in found:
        if isinstance(item, Skipped):
            skipped.append(item)
            continue
        name, file = item
        result = _load_file(name, file)
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            documents.append(result)
    return Loaded(tuple(documents), tuple(skipped))


def document_from_text(name: str, text: str) -> Document:
    """Make a document of a text: newlines and Unicode normalised, title from the first `#` heading or the name."""
    text = unicodedata.normalize("NFC", text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    match = _TITLE.search(text)
    title = match["title"] if match else re.sub(r"[-_]+", " ", Path(name).stem).strip().capitalize()
    return Document(name, title, text, hashlib.sha256(text.encode()).hexdigest())


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


def _load_file(name: str, file: Path) -> Document | Skipped:
    shown = _shown(name)
    if shown != name:
        return Skipped(shown, "its name is not UTF-8")
    if file.suffix.lower() not in SUFFIXES:
        return Skipped(shown, f"not one of {', '.join(sorted(SUFFIXES))}")
    try:
        state = file.stat()
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(state.st_mode):
            return Skipped(shown, "not a regular file")
        if state.st_size > MAX_BYTES:
            return Skipped(shown, f"larger than {MAX_BYTES // 1_000_000} MB ({state.st_size / 1e6:.1f} MB); split it")
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        return Skipped(shown, f"not UTF-8 (byte {error.start}); save it as UTF-8")
    except OSError as error:
        return Skipped(shown, f"cannot be read ({error.strerror})")
    if "\x00" in text:
        return Skipped(shown, "binary: it holds NUL characters")
    try:
        metadata, text = read_document_metadata(file, text)
    except MetadataInvalid as error:
        return Skipped(shown, str(error))
    if not text.removeprefix("\ufeff").strip():
        return Skipped(shown, "empty")
    return replace(document_from_text(name, text), metadata=metadata)


def _shown(name: str) -> str:
    """A name that can be printed: bytes that are not UTF-8 become escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
