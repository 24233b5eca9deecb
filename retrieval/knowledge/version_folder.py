"""The folders of one brand's versions: their names, the pointer, what is in them, which of them stay.

<brand>/current              name of the version that serves
        history              names of those that served before it, the latest last
        segments/<segment>/  see `retrieval.knowledge.segment`
        <version>/           manifest.json, documents.json: which documents of which segments
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from configs.brand import BRAND_NAME
from configs.whole_file import replace_text
from retrieval.documents.splitting import MAX_CHARS, OVERLAP_CHARS
from retrieval.encoder import Encoder
from retrieval.errors import IndexCorrupt, IndexMismatch, RetrievalError
from retrieval.knowledge.segment import (
    CURE,
    Segment,
    check_encoder,
    encoder_of,
    read_manifest,
    read_same,
    sync,
    write_manifest,
)
from retrieval.knowledge.version import Entry, StoredVersion, places
from retrieval.metadata import PLAIN, Metadata

NAMING = 1
"""How a version's name is computed; adapters remember the name, so it stays when the layout changes."""
POINTER = "current"
HISTORY = "history"
SEGMENTS = "segments"
DOCUMENTS = "documents.json"
"""One table, not lines: every change reads and writes it, and this takes a third of the time."""
METADATA = Entry._fields.index("metadata")
KEEP_VERSIONS = 10
"""Versions that stay to go back to, the newest first, besides the one that serves."""
_VERSION = re.compile(r"^[0-9a-f]{12}$")


def brand_folder(home_knowledge: Path, brand: str) -> Path:
    """The folder of one brand.

    Raises:
        RetrievalError: The name is not one a brand may have.
    """
    if not re.match(BRAND_NAME, brand):
        raise RetrievalError(f"{brand!r} is not a brand's name. Use small letters, digits and hyphens ({BRAND_NAME}).")
    return home_knowledge / brand


def version_name(documents: Iterable[tuple[str, str, Metadata]], encoder: Encoder) -> str:
    """The digest of what a version holds: id, text's digest and metadata of each document, by id."""
    parts: list[Any] = [[NAMING, encoder.sha256, MAX_CHARS, OVERLAP_CHARS]]
    for document, digest, metadata in documents:
        said = metadata.said()
        parts.append([document, digest, said] if said else [document, digest])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def current_version(folder: Path) -> str | None:
    """The name in a brand's pointer; None where nothing was added yet.

    Raises:
        IndexCorrupt: The pointer holds something else than a version's name.
    """
    try:
        name = (folder / POINTER).read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise IndexCorrupt(f"The pointer {folder / POINTER} cannot be read ({error}). Add the pages again.") from error
    if not _VERSION.match(name):
        raise IndexCorrupt(f"The pointer {folder / POINTER} names no version ({name[:40]!r}). Add the pages again.")
    return name


def open_version(
    folder: Path, name: str, encoder: Encoder, known: Mapping[str, Segment] | None = None
) -> StoredVersion:
    """Load a version after checking that its files are the ones that were written.

    Args:
        folder: The brand's folder.
        name: Of the version.
        encoder: What encodes the queries.
        known: Segments that are in memory already, by name; the others are read.

    Raises:
        IndexCorrupt: A file is missing or changed.
        IndexMismatch: It was embedded by another encoder.
    """
    manifest = read_manifest(folder / name, checksums=True)
    check_encoder(manifest, encoder, name)
    entries = read_entries(folder / name)
    wanted = sorted({one.segment for one in entries})
    known = known or {}
    segments = {one: known[one] if one in known else Segment.load(folder / SEGMENTS / one, encoder) for one in wanted}
    for entry in entries:
        if entry.first + entry.rows > len(segments[entry.segment].chunks):
            raise IndexCorrupt(f"Version {name} looks for {entry.id} beyond segment {entry.segment}. {CURE}")
    return StoredVersion(name, folder, encoder.dim, entries, segments)


def read_entries(home: Path) -> tuple[Entry, ...]:
    """The documents of one version folder, by name.

    Raises:
        IndexCorrupt: The list cannot be read.
    """
    try:
        table = orjson.loads((home / DOCUMENTS).read_bytes())
        fields = list(Entry._fields)
        # `digest` came later, and `changed` and `by` after it.
        if table["columns"] not in (fields, fields[:-2], fields[:-3]):
            raise IndexMismatch(f"{home} was written by another brandvoice. Add the pages again: `brandvoice kb add`.")
        return tuple(map(_entry, table["rows"]))
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise IndexCorrupt(f"The documents of {home} cannot be read ({error}). {CURE}") from error


def whole(folder: Path, name: str, encoder: Encoder) -> bool:
    """Whether a version is there with all its segments, for this encoder; sizes are compared, not bytes."""
    try:
        check_whole(folder, name, encoder)
    except (IndexCorrupt, IndexMismatch):
        return False
    return True


def check_whole(folder: Path, name: str, encoder: Encoder) -> dict[str, Any]:
    """The manifest of a version, once everything it needs is there.

    Raises:
        IndexCorrupt: Something is missing, or has another size than was written.
        IndexMismatch: Another encoder, splitter or brandvoice made it.
    """
    manifest = read_manifest(folder / name, checksums=True)
    check_encoder(manifest, encoder, name)
    for segment in manifest["segments"]:
        read_manifest(folder / SEGMENTS / segment, checksums=False)
    return manifest


def write_version(folder: Path, name: str, entries: Sequence[Entry], encoder: Encoder, by: str = "") -> None:
    """Write a version beside the others and move it into place; `by` says who made it."""
    shutil.rmtree(folder / name, ignore_errors=True)
    segments = sorted({one.segment for one in entries})
    with scratch(folder) as outer:
        home = outer / name
        home.mkdir()
        table = {"columns": Entry._fields, "rows": [_row(one) for one in entries]}
        (home / DOCUMENTS).write_bytes(orjson.dumps(table))
        about = {
            "created": datetime.now(UTC).isoformat(),
            "documents": len(entries),
            "chunks": sum(one.rows for one in entries),
            "duplicates": _duplicates(folder, entries, segments),
            "segments": segments,
            "by": by,
        }
        write_manifest(home, {"encoder": encoder_of(encoder), **about})
        os.replace(home, folder / name)
    sync(folder)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder to write into, on the same disk; what a crash leaves of it is cleared by the next writer."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def serve(folder: Path, name: str) -> None:
    """Let a version serve, and remember the one from before."""
    before = current_version(folder)
    if before == name:
        return
    if before:
        write_history(folder, [*read_history(folder), before])
    point(folder, name)


def point(folder: Path, name: str) -> None:
    """Replace the pointer in one step."""
    _replace(folder / POINTER, name + "\n")


def read_history(folder: Path) -> list[str]:
    """Names of the versions that served before, the latest last, as far as they are still there."""
    try:
        names = (folder / HISTORY).read_text("ascii").split()
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    return [name for name in names if _VERSION.match(name) and (folder / name).is_dir()]


def write_history(folder: Path, names: Sequence[str]) -> None:
    """Replace the history in one step."""
    _replace(folder / HISTORY, "".join(name + "\n" for name in names))


def version_names(folder: Path) -> list[str]:
    """Names of the versions that are there, whether or not they can be read."""
    if not folder.is_dir():
        return []
    return sorted(one.name for one in folder.iterdir() if _VERSION.match(one.name) and one.is_dir())


def prune(folder: Path) -> None:
    """Delete old versions and the segments that none of the others needs."""
    current = current_version(folder)
    manifests: dict[str, dict[str, Any]] = {}
    for name in version_names(folder):
        try:
            manifests[name] = read_manifest(folder / name, checksums=False)
        except (IndexCorrupt, IndexMismatch):
            if name == current:
                return
            shutil.rmtree(folder / name, ignore_errors=True)
    others = sorted(manifests.keys() - {current}, key=lambda name: str(manifests[name]["created"]), reverse=True)
    for name in others[KEEP_VERSIONS:]:
        del manifests[name]
        shutil.rmtree(folder / name, ignore_errors=True)
    needed = {segment for manifest in manifests.values() for segment in manifest["segments"]}
    for segment in (folder / SEGMENTS).glob("*"):
        if segment.name not in needed:
            shutil.rmtree(segment, ignore_errors=True)


def _replace(file: Path, text: str) -> None:
    replace_text(file, text)
    sync(file.parent)


def _entry(row: list[Any]) -> Entry:
    said = row[METADATA]
    row[METADATA] = Metadata.from_said(said) if said else PLAIN
    return Entry(*row)


def _row(entry: Entry) -> list[Any]:
    row: list[Any] = list(entry)
    row[METADATA] = None if entry.metadata is PLAIN else entry.metadata.said()
    return row


def _duplicates(folder: Path, entries: Sequence[Entry], segments: Sequence[str]) -> int:
    """Chunks of these documents that another one stands for."""
    owners, rows = places(entries, segments)
    same = np.zeros(len(rows), np.uint64)
    for number, name in enumerate(segments):
        held = owners == number
        same[held] = read_same(folder / SEGMENTS / name)[rows[held]]
    return len(same) - len(np.unique(same))
