"""Knowledge on disk: immutable versions, and one pointer to the version that serves.

    <home>/knowledge/<brand>/current                  name of the version that serves
    <home>/knowledge/<brand>/<version>/manifest.json  encoder, splitter, sha256 of every file below
                                       documents.jsonl  chunks.jsonl  vectors.faiss  lexical/  tokens/

A version's name is the digest of what it holds, so the same pages give the same name on every machine. A version is
written beside the others and moved into place when whole; a crash at any point leaves the old one serving.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from configs.brand import BRAND_NAME
from retrieval.encoder import Encoder, Vectors, file_sha256
from retrieval.errors import DocumentUnknown, IndexCorrupt, IndexMismatch, RetrievalError, StorageFull
from retrieval.index import FaissIndex
from retrieval.late import Stored, TokenIndex
from retrieval.lexical import LexicalIndex
from retrieval.loading import Note, Skipped, load_documents
from retrieval.passages import Chunk, Document
from retrieval.splitting import MAX_CHARS, OVERLAP_CHARS, searchable, split

SCHEMA = 1
POINTER = "current"
ENCODE_AT_ONCE = 64
"""Chunks between two progress reports."""
_VERSION = re.compile(r"^[0-9a-f]{12}$")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


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


@dataclass(frozen=True, slots=True)
class Version:
    """Everything of one version, in memory."""

    name: str
    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    index: FaissIndex
    lexical: LexicalIndex
    tokens: TokenIndex

    @classmethod
    def empty(cls, name: str, dim: int, documents: tuple[Document, ...] = ()) -> Version:
        """A version without chunks."""
        vectors = FaissIndex.build(np.zeros((0, dim), np.float32))
        return cls(name, documents, (), vectors, LexicalIndex.build([]), TokenIndex.build([], dim))


def add(
    home_knowledge: Path,
    brand: str,
    path: Path | str,
    encoder: Encoder,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    replace: bool = False,
) -> Change:
    """Take in a file, a folder or what lies at an address, and let the result serve.

    Args:
        home_knowledge: The folder of all brands' knowledge.
        brand: Whose knowledge.
        path: A document, a folder of documents, or an `http(s)` address.
        encoder: Embeds what is new; documents that did not change keep their vectors.
        progress: Called with (chunks embedded, chunks to embed).
        replace: Whether documents that are not below `path` are removed.

    Raises:
        DocumentUnreadable: There is nothing at `path`.
        IndexCorrupt: The version that serves is damaged.
        StorageFull: The disk is full; nothing changed.
    """
    loaded = load_documents(path)
    with _writing(home_knowledge, brand) as folder:
        old = _version_to_build_on(folder, encoder)
        before = {document.id: document for document in old.documents} if old else {}
        new = {document.id: document for document in loaded.documents}
        after = new if replace else before | new
        version = _write(folder, list(after.values()), old, encoder, progress)
        return Change(
            version,
            added=tuple(sorted(new.keys() - before.keys())),
            changed=tuple(sorted(name for name in new if name in before and before[name].sha256 != new[name].sha256)),
            unchanged=tuple(sorted(name for name in new if name in before and before[name].sha256 == new[name].sha256)),
            removed=tuple(sorted(before.keys() - after.keys())),
            skipped=loaded.skipped,
            notes=loaded.notes,
        )


def remove(home_knowledge: Path, brand: str, document_ids: Iterable[str], encoder: Encoder) -> Change:
    """Remove documents and let the rest serve.

    Raises:
        DocumentUnknown: One of the ids is not there; nothing was removed.
    """
    wanted = set(document_ids)
    with _writing(home_knowledge, brand) as folder:
        old = _version_to_build_on(folder, encoder)
        before = {document.id: document for document in old.documents} if old else {}
        if unknown := sorted(wanted - before.keys()):
            raise DocumentUnknown(
                f"The knowledge of {brand!r} holds no {', '.join(map(repr, unknown))}. "
                f"`brandvoice kb list --brand {brand}` shows what it holds."
            )
        after = [document for name, document in before.items() if name not in wanted]
        version = _write(folder, after, old, encoder, lambda _done, _total: None)
        return Change(version, unchanged=tuple(document.id for document in after), removed=tuple(sorted(wanted)))


def list_documents(home_knowledge: Path, brand: str) -> tuple[Document, ...]:
    """The documents of the version that serves, by name; none where nothing was added yet."""
    folder = brand_folder(home_knowledge, brand)
    name = current_version(folder)
    return read_documents(folder / name) if name else ()


def brand_folder(home_knowledge: Path, brand: str) -> Path:
    """The folder of one brand.

    Raises:
        RetrievalError: The name is not one a brand may have.
    """
    if not re.match(BRAND_NAME, brand):
        raise RetrievalError(f"{brand!r} is not a brand's name. Use small letters, digits and hyphens ({BRAND_NAME}).")
    return home_knowledge / brand


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


def open_version(folder: Path, name: str, encoder: Encoder) -> Version:
    """Load a version after checking that its files are the ones that were written.

    Raises:
        IndexCorrupt: A file is missing or changed.
        IndexMismatch: It was embedded by another encoder.
    """
    home = folder / name
    manifest = _checked_manifest(home)
    if manifest["encoder"]["sha256"] != encoder.sha256:
        raise IndexMismatch(
            f"Knowledge version {name} was made with the encoder {manifest['encoder']['name']!r}, and "
            f"{encoder.name!r} is loaded. Add the pages again: `brandvoice kb add`."
        )
    documents = read_documents(home)
    chunks = tuple(Chunk(**row) for row in _rows(home / "chunks.jsonl"))
    index = FaissIndex.load(home / "vectors.faiss")
    tokens = TokenIndex.load(home / "tokens")
    if not len(index) == len(tokens) == len(chunks) or index.dim != encoder.dim:
        raise IndexCorrupt(f"Knowledge version {name} holds {len(chunks)} chunks but {len(index)} vectors.")
    return Version(name, documents, chunks, index, LexicalIndex.load(home / "lexical", len(chunks)), tokens)


def read_documents(home: Path) -> tuple[Document, ...]:
    """The documents of one version folder.

    Raises:
        IndexCorrupt: The list cannot be read.
    """
    rows = _rows(home / "documents.jsonl")
    return tuple(Document(**row | {"pages": tuple(row.get("pages", ()))}) for row in rows)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise IndexCorrupt(f"{file} cannot be read ({error}). Add the pages again.") from error


def _checked_manifest(home: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((home / "manifest.json").read_text("utf-8"))
        files: Mapping[str, str] = manifest["files"]
        if manifest["schema"] != SCHEMA:
            raise IndexMismatch(f"{home} has the layout {manifest['schema']!r}, not {SCHEMA}. Add the pages again.")
        for name, digest in files.items():
            if file_sha256(home / name) != digest:
                raise IndexCorrupt(
                    f"{name} of knowledge version {home.name} is not what was written. Delete {home} and add the "
                    f"pages again."
                )
        if manifest["version"] != home.name or "sha256" not in manifest["encoder"]:
            raise IndexCorrupt(f"The manifest in {home} belongs to another version.")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexCorrupt(
            f"Knowledge version {home.name} is not whole ({error!r}). Delete {home} and add the pages again."
        ) from error
    return manifest


@contextmanager
def _writing(home_knowledge: Path, brand: str) -> Iterator[Path]:
    """One writer at a time for a brand; what a crashed writer left is cleared away."""
    folder = brand_folder(home_knowledge, brand)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in folder.glob(".new-*"):
                shutil.rmtree(left, ignore_errors=True)
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


def _version_to_build_on(folder: Path, encoder: Encoder) -> Version | None:
    """The version that serves; its documents alone where it belongs to another encoder."""
    name = current_version(folder)
    if name is None:
        return None
    try:
        return open_version(folder, name, encoder)
    except IndexMismatch:
        return Version.empty(name, encoder.dim, read_documents(folder / name))


def _write(
    folder: Path,
    documents: Sequence[Document],
    old: Version | None,
    encoder: Encoder,
    progress: Callable[[int, int], None],
) -> str:
    documents = sorted(documents, key=lambda document: document.id)
    name = _name(documents, encoder)
    if not _is_whole(folder / name):
        shutil.rmtree(folder / name, ignore_errors=True)
        chunks = [chunk for document in documents for chunk in split(document)]
        vectors, tokens = _embed(chunks, documents, old, encoder, progress)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-", ignore_cleanup_errors=True) as scratch:
            new = Path(scratch) / name
            new.mkdir()
            _write_files(new, name, documents, chunks, vectors, tokens, encoder)
            os.replace(new, folder / name)
        _sync(folder)
    if current_version(folder) != name:
        point(folder, name)
    return name


def _is_whole(home: Path) -> bool:
    try:
        _checked_manifest(home)
    except (IndexCorrupt, IndexMismatch):
        return False
    return True


def _name(documents: Sequence[Document], encoder: Encoder) -> str:
    parts = [
        [SCHEMA, encoder.sha256, MAX_CHARS, OVERLAP_CHARS],
        *([document.id, document.sha256] for document in documents),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _embed(
    chunks: Sequence[Chunk],
    documents: Sequence[Document],
    old: Version | None,
    encoder: Encoder,
    progress: Callable[[int, int], None],
) -> tuple[Vectors, list[Stored]]:
    """Vectors and token vectors of all chunks; those of unchanged documents come from the old version."""
    vectors: Vectors = np.zeros((len(chunks), encoder.dim), np.float32)
    tokens: list[Stored] = [np.zeros((0, encoder.dim), np.float16)] * len(chunks)
    known = _known(old)
    old_vectors = old.index.vectors() if old else vectors
    digests = {document.id: document.sha256 for document in documents}
    fresh: list[int] = []
    for at, chunk in enumerate(chunks):
        source = known.get((chunk.document, digests[chunk.document], chunk.start, chunk.end))
        if old is None or source is None:
            fresh.append(at)
        else:
            vectors[at] = old_vectors[source]
            tokens[at] = old.tokens.tokens(source)
    for start in range(0, len(fresh), ENCODE_AT_ONCE):
        batch = fresh[start : start + ENCODE_AT_ONCE]
        vectors[batch], new = encoder.encode_document_tokens([searchable(chunks[at]) for at in batch])
        for at, rows in zip(batch, new, strict=True):
            tokens[at] = rows.astype(np.float16)
        progress(start + len(batch), len(fresh))
    return vectors, tokens


def _known(old: Version | None) -> dict[tuple[str, str, int, int], int]:
    """Where the old version holds the chunk of a document with this digest and these offsets."""
    if old is None:
        return {}
    digests = {document.id: document.sha256 for document in old.documents}
    return {
        (chunk.document, digests[chunk.document], chunk.start, chunk.end): at for at, chunk in enumerate(old.chunks)
    }


def _write_files(
    home: Path,
    name: str,
    documents: Sequence[Document],
    chunks: Sequence[Chunk],
    vectors: Vectors,
    tokens: Sequence[Stored],
    encoder: Encoder,
) -> None:
    _write_rows(home / "documents.jsonl", documents)
    _write_rows(home / "chunks.jsonl", chunks)
    FaissIndex.build(vectors).save(home / "vectors.faiss")
    LexicalIndex.build([searchable(chunk) for chunk in chunks]).save(home / "lexical")
    TokenIndex.build(tokens, encoder.dim).save(home / "tokens")
    files = sorted(file for file in home.rglob("*") if file.is_file())
    manifest = {
        "schema": SCHEMA,
        "version": name,
        "encoder": {"name": encoder.name, "dim": encoder.dim, "sha256": encoder.sha256},
        "splitter": {"max_chars": MAX_CHARS, "overlap_chars": OVERLAP_CHARS},
        "documents": len(documents),
        "chunks": len(chunks),
        "files": {file.relative_to(home).as_posix(): file_sha256(file) for file in files},
    }
    (home / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    for file in [*files, home / "manifest.json"]:
        _sync(file)
    for inner in [*(path for path in home.rglob("*") if path.is_dir()), home]:
        _sync(inner)


def _write_rows(file: Path, rows: Sequence[Document] | Sequence[Chunk]) -> None:
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def point(folder: Path, name: str) -> None:
    """Let a version serve: the pointer is replaced in one step."""
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".new-", delete=False) as file:
        file.write(name + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.replace(file.name, folder / POINTER)
    except OSError:
        Path(file.name).unlink(missing_ok=True)
        raise
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
