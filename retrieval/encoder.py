"""Text to vectors on ONNX Runtime: float32 for documents, int8 for queries.

    python -m retrieval.encoder FOLDER     prepare the packaged encoder (needs torch, once)

A query is encoded in about 2 ms on one CPU thread this way; documents keep full precision because their vectors stay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding

from retrieval.errors import EncoderInvalid
from retrieval.language.words import STOPWORDS
from retrieval.onnx_model import as_inputs, open_session, open_tokenizer, read_manifest

Vectors = NDArray[np.float32]

MAX_TOKENS = 256
"""The model's own limit (sentence-transformers/all-MiniLM-L6-v2)."""
BATCH = 32
CACHED_QUERIES = 1024
FILES = ("model.onnx", "model.int8.onnx", "tokenizer.json")


class Encoder(Protocol):
    """Texts to unit vectors."""

    name: str
    dim: int
    sha256: str
    """Digest that binds an index to the encoder that made it."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Encode texts; float32 [n, dim], rows L2-normalised."""
        ...

    def encode_query(self, text: str) -> Vectors:
        """Encode one query; float32 [dim], L2-normalised."""
        ...

    def encode_document_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Vectors]]:
        """What `encode_documents` gives, and for each text its tokens' unit vectors, float32 [tokens, dim]."""
        ...

    def encode_query_tokens(self, text: str) -> Vectors:
        """Unit vectors of the query's content tokens, float32 [tokens, dim], at least one row."""
        ...

    def query_words(self, text: str) -> tuple[str, ...]:
        """The word that each row of `encode_query_tokens` is a part of, as written; empty for a row of no word."""
        ...

    def is_word(self, word: str) -> bool:
        """Whether the encoder knows a folded word as a whole: a slip of the keyboard is known in pieces only."""
        ...


class OnnxEncoder:
    """A sentence-transformers encoder with mean pooling, exported to ONNX."""

    def __init__(self, folder: Path, *, name: str, dim: int, sha256: str) -> None:
        self.name = name
        self.dim = dim
        self.sha256 = sha256
        self._folder = folder
        self._tokenizer = open_tokenizer(folder, MAX_TOKENS)
        # One thread: queries come from many visitors at once, and the engine needs the other cores.
        self._queries = open_session(folder / "model.int8.onnx", threads=1)
        # One turn asks for the same question's vectors several times: to route, to search, to check.
        self._query = lru_cache(maxsize=CACHED_QUERIES)(self._encode_query)

    @cached_property
    def _documents(self) -> onnxruntime.InferenceSession:
        """Loaded with the first document: a gateway encodes queries only, and this takes 0.3 s and 100 MB."""
        return open_session(self._folder / "model.onnx", threads=0)

    @classmethod
    def load(cls, folder: Path) -> OnnxEncoder:
        """Load a prepared encoder.

        Raises:
            EncoderInvalid: A file is missing or not what was prepared.
        """
        cure = f"Run `python -m retrieval.encoder {folder}`."
        manifest = read_manifest(folder, FILES, EncoderInvalid, cure)
        return cls(folder, name=manifest["name"], dim=manifest["dim"], sha256=manifest["files"]["model.onnx"])

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Encode texts."""
        return self.encode_document_tokens(texts)[0]

    def encode_document_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Vectors]]:
        """Encode texts of similar length together, so that little is padded; also every token but punctuation."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        vectors: Vectors = np.zeros((len(texts), self.dim), np.float32)
        tokens: list[Vectors] = [vectors[:0]] * len(texts)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            encoded = self._tokenizer.encode_batch([texts[at] for at in batch])
            hidden = self._run(self._documents, encoded)
            for row, at in enumerate(batch):
                own = hidden[row, : len(encoded[row].ids)]
                vectors[at] = _unit(own.mean(axis=0))
                tokens[at] = _unit(own[_rows(encoded[row].tokens, frozenset())])
        return vectors, tokens

    def encode_query(self, text: str) -> Vectors:
        """Encode one short text; the array is shared and read-only."""
        return self._query(text)[0]

    def encode_query_tokens(self, text: str) -> Vectors:
        """Encode the content tokens of one short text; the array is shared and read-only."""
        return self._query(text)[1]

    def query_words(self, text: str) -> tuple[str, ...]:
        """The words of the content tokens of one short text."""
        return self._query(text)[2]

    def is_word(self, word: str) -> bool:
        """Whether the tokenizer holds the word as one piece."""
        return self._tokenizer.token_to_id(word) is not None

    def _encode_query(self, text: str) -> tuple[Vectors, Vectors, tuple[str, ...]]:
        encoded = self._tokenizer.encode(text)
        hidden = self._run(self._queries, [encoded])[0]
        rows = _rows(encoded.tokens, STOPWORDS)
        vector, tokens = _unit(hidden.mean(axis=0)), _unit(hidden[rows])
        vector.setflags(write=False)
        tokens.setflags(write=False)
        return vector, tokens, tuple(_word(encoded, text, row) for row in rows)

    def _run(self, session: onnxruntime.InferenceSession, encoded: Sequence[Encoding]) -> Vectors:
        hidden: Vectors = session.run(None, as_inputs(encoded))[0]
        return hidden


def _rows(tokens: Sequence[str], unwanted: frozenset[str]) -> list[int]:
    """Positions of the tokens that count in a comparison of tokens; the first one where none does."""
    rows = [
        at
        for at, token in enumerate(tokens)
        if token.startswith("##") or (token not in unwanted and token[0].isalnum())
    ]
    return rows or [0]


def _word(encoded: Encoding, text: str, row: int) -> str:
    """The whole word that a token is a part of; empty for the tokens that stand for no word."""
    number = encoded.word_ids[row]
    span = None if number is None else encoded.word_to_chars(number)
    return text[span[0] : span[1]] if span else ""


def _unit(rows: Vectors) -> Vectors:
    unit: Vectors = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return unit


def prepare_encoder(folder: Path, progress: Callable[[str], None] = lambda _: None) -> None:
    """Write the packaged encoder to `folder` where it is not complete (see `retrieval.encoder_export`).

    Loads torch into this process; a server runs `python -m retrieval.encoder FOLDER` instead.

    Raises:
        EncoderInvalid: The package is not installed, or the export does not reproduce the model.
    """
    from retrieval import encoder_export

    encoder_export.prepare_encoder(folder, progress)


def _main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m retrieval.encoder FOLDER\n")
        return 2
    try:
        prepare_encoder(Path(arguments[0]), progress=lambda text: print(text, file=sys.stderr))  # noqa: T201
    except EncoderInvalid as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    from retrieval.encoder import _main as main  # the module under its own name, so that its errors are one class

    sys.exit(main(sys.argv[1:]))
