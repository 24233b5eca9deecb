"""A segment: some documents with everything that search needs of them, in a folder that never changes.

    <segment>/manifest.json       encoder, splitter, size and sha256 of every file below
              documents.jsonl     with their texts
              chunks.jsonl  vectors.faiss  tokens/  stems/  words/  same.npy
              instructions.json     where a judge looked at the chunks (`retrieval.knowledge.noted`)

A version is a list of segments and of the documents in them that count (`retrieval.knowledge.store`), so a change
writes what changed and shares the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from retrieval.documents.duplicates import same_as
from retrieval.documents.splitting import MAX_CHARS, OVERLAP_CHARS, searchable
from retrieval.encoder import Encoder, Vectors
from retrieval.errors import IndexCorrupt, IndexMismatch
from retrieval.knowledge.index import FaissIndex
from retrieval.knowledge.late import TokenIndex
from retrieval.knowledge.noted import Judge, Notes
from retrieval.knowledge.postings import Postings
from retrieval.language.words import STOPWORDS, stem, words
from retrieval.onnx_model import file_sha256
from retrieval.passages import Chunk, Document

LAYOUT = 3
SPLITTER: Mapping[str, int] = {"max_chars": MAX_CHARS, "overlap_chars": OVERLAP_CHARS}
"""What decides where documents are cut; documents that were cut otherwise are cut and embedded again."""


class Encoded(NamedTuple):
    """What is written of a batch of chunks."""

    vectors: Vectors
    tokens: Sequence[Vectors]
    instructions: Sequence[tuple[str, ...]] = ()
    """What a judge found in each; of no chunk where there is no judge."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment in memory; the token vectors stay on disk until they are read."""

    name: str
    chunks: tuple[Chunk, ...]
    index: FaissIndex
    tokens: TokenIndex
    stems: Postings
    """Stems of the content words, for BM25."""
    words: Postings
    """Words of letters as they are written, for the spelling check."""
    same: NDArray[np.uint64]
    """For each chunk, what `retrieval.documents.duplicates.same_as` says."""
    notes: Notes | None = None
    """What a judge said of the chunks; None where none looked."""

    @classmethod
    def load(cls, home: Path, encoder: Encoder) -> Segment:
        """Load a segment after checking that its files are the ones that were written.

        Raises:
            IndexCorrupt: A file is missing or changed.
            IndexMismatch: It was embedded by another encoder.
        """
        check_encoder(read_manifest(home, checksums=True), encoder, home.name)
        chunks = tuple(Chunk(**row) for row in read_rows(home / "chunks.jsonl"))
        index = FaissIndex.load(home / "vectors.faiss")
        tokens = TokenIndex.load(home / "tokens", encoder.dim)
        if not len(index) == len(tokens) == len(chunks) or index.dim != encoder.dim:
            raise IndexCorrupt(f"Segment {home.name} holds {len(chunks)} chunks but {len(index)} vectors.")
        stems, spelled = Postings.load(home / "stems"), Postings.load(home / "words")
        return cls(home.name, chunks, index, tokens, stems, spelled, read_same(home), Notes.load(home))


def write_segment(
    home: Path,
    documents: Sequence[Document],
    chunks: Sequence[Chunk],
    encoded: Iterable[Encoded],
    encoder: Encoder,
    judge: Judge | None = None,
) -> None:
    """Write a segment to a new folder; the chunks of a document stand together, in the documents' order.

    Args:
        home: The folder, which is made; its name is the segment's.
        documents: With their texts.
        chunks: Of all these documents.
        encoded: What is written of the chunks, a batch at a time, in their order.
        encoder: What encoded them.
        judge: Who looked for instructions in them.
    """
    home.mkdir()
    write_rows(home / "documents.jsonl", documents)
    write_rows(home / "chunks.jsonl", chunks)
    vectors: Vectors = np.zeros((len(chunks), encoder.dim), np.float32)
    instructions: list[tuple[str, ...]] = []

    def tokens() -> Iterator[Vectors]:
        done = 0
        for batch in encoded:
            vectors[done : done + len(batch.vectors)] = batch.vectors
            done += len(batch.vectors)
            instructions.extend(batch.instructions)
            yield from batch.tokens

    TokenIndex.write(home / "tokens", tokens())
    FaissIndex.build(vectors).save(home / "vectors.faiss")
    texts = [words(searchable(chunk)) for chunk in chunks]
    Postings.build([[stem(word) for word in text if word not in STOPWORDS] for text in texts]).save(home / "stems")
    Postings.build([[word for word in text if word.isalpha()] for text in texts]).save(home / "words")
    np.save(home / "same.npy", np.array([same_as(chunk) for chunk in chunks], np.uint64), allow_pickle=False)
    if judge is not None:
        Notes.of(judge.fingerprint, instructions).save(home)
    about = {"documents": len(documents), "chunks": len(chunks), "splitter": dict(SPLITTER)}
    write_manifest(home, {"encoder": encoder_of(encoder), **about})


def encoder_of(encoder: Encoder) -> dict[str, Any]:
    """What a manifest says of the encoder."""
    return {"name": encoder.name, "dim": encoder.dim, "sha256": encoder.sha256}


def check_encoder(manifest: Mapping[str, Any], encoder: Encoder, name: str) -> None:
    """Refuse what another encoder embedded.

    Raises:
        IndexMismatch: It is another one.
    """
    if manifest["encoder"]["sha256"] != encoder.sha256:
        raise IndexMismatch(
            f"Knowledge {name} was made with the encoder {manifest['encoder']['name']!r}, and {encoder.name!r} is "
            f"loaded. Add the pages again: `brandvoice kb add`."
        )


def segment_name(documents: Iterable[Document], encoder: Encoder, judge: Judge | None = None) -> str:
    """The digest of what a segment of these documents holds."""
    parts = [LAYOUT, encoder.sha256, dict(SPLITTER), *([one.id, one.sha256, one.title] for one in documents)]
    if judge is not None:
        parts.append(judge.fingerprint)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def read_documents(home: Path, wanted: frozenset[str]) -> dict[str, dict[str, Any]]:
    """The rows of some documents, by id, without their metadata, which a version may change.

    Raises:
        IndexCorrupt: The list cannot be read.
    """
    rows = {row["id"]: row for row in read_rows(home / "documents.jsonl") if row["id"] in wanted}
    for row in rows.values():
        row.pop("metadata", None)
    return rows


def read_same(home: Path) -> NDArray[np.uint64]:
    """The numbers by which duplicates are known, uint64 [chunks].

    Raises:
        IndexCorrupt: They cannot be read.
    """
    try:
        same: NDArray[np.uint64] = np.load(home / "same.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise IndexCorrupt(f"{home / 'same.npy'} cannot be read ({error}). {CURE}") from error
    return same


CURE = "Go back with `brandvoice kb rollback`, or move the brand's folder of knowledge away and add the pages again."


def read_manifest(home: Path, *, checksums: bool) -> dict[str, Any]:
    """The manifest of a segment or a version, once its files are there.

    Args:
        home: The folder.
        checksums: Whether each file's bytes are compared too, or its size alone: a change must not cost the reading
            of everything that did not change.

    Raises:
        IndexCorrupt: A file is missing or changed.
        IndexMismatch: An older brandvoice wrote it.
    """
    try:
        manifest: dict[str, Any] = json.loads((home / "manifest.json").read_bytes())
        if manifest.get("layout") != LAYOUT:
            raise IndexMismatch(f"{home} was written by another brandvoice. Add the pages again: `brandvoice kb add`.")
        if manifest["name"] != home.name or "sha256" not in manifest["encoder"]:
            raise IndexCorrupt(f"The manifest in {home} belongs elsewhere. {CURE}")
        for name, (size, digest) in manifest["files"].items():
            file = home / name
            if file.stat().st_size != size or (checksums and file_sha256(file) != digest):
                raise IndexCorrupt(f"{name} in {home} is not what was written. {CURE}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexCorrupt(f"{home} is not whole ({error!r}). {CURE}") from error
    return manifest


def write_manifest(home: Path, about: Mapping[str, Any]) -> None:
    """Write the manifest over all files of a folder, and bring everything to the disk."""
    files = sorted(file for file in home.rglob("*") if file.is_file())
    digests = {file.relative_to(home).as_posix(): [file.stat().st_size, file_sha256(file)] for file in files}
    manifest = {"layout": LAYOUT, "name": home.name, **about, "files": digests}
    (home / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    for path in [*files, home / "manifest.json", *(one for one in home.rglob("*") if one.is_dir()), home]:
        sync(path)


def sync(path: Path) -> None:
    """Bring a file or a folder's list of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines.

    Raises:
        IndexCorrupt: It cannot be read.
    """
    try:
        with file.open("rb") as lines:
            for line in lines:
                yield orjson.loads(line)
    except (OSError, ValueError) as error:
        raise IndexCorrupt(f"{file} cannot be read ({error}). {CURE}") from error


def write_rows(file: Path, rows: Iterable[object]) -> None:
    """Write a file of JSON lines; a row is a mapping or a dataclass."""
    with file.open("wb") as lines:
        lines.writelines(orjson.dumps(row) + b"\n" for row in rows)
