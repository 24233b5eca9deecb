"""Parts for tests: an encoder without a model, and a small corpus."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from retrieval.encoder import Vectors
from retrieval.language.words import STOPWORDS, stem, words

PAGES: Mapping[str, str] = {
    "shipping.md": (
        "# Delivery\n\n## Times and costs\n\n| Service | Time | Cost |\n|---|---|---|\n"
        "| Standard delivery | 3 to 5 business days | $6 |\n| Express delivery | 1 business day | $15 |\n\n"
        "Standard delivery is free on orders over $75.\n\n## Where we deliver\n\n"
        "We deliver to the United States and Canada only.\n"
    ),
    "returns.md": (
        "# Returns\n\n## Return period\n\nAn unopened item can be returned within 30 days of delivery. "
        "The item must be unused and in its original packaging.\n\n## Opened items\n\n"
        "An opened item can be returned only if it is faulty.\n"
    ),
    "contact.md": (
        "# Contact\n\nCustomer care is available Monday to Saturday from 9 am to 7 pm. "
        "Write to care@velmora.example or call 555-0142.\n"
    ),
}


class HashEncoder:
    """Words to fixed directions: texts that share words are near; deterministic, and no file is read."""

    def __init__(self, dim: int = 256, name: str = "hash") -> None:
        self.name = name
        self.dim = dim
        self.sha256 = hashlib.sha256(f"{name}/{dim}".encode()).hexdigest()
        self.encoded: list[str] = []
        """Every document text that was encoded, in order."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Mean of the words' directions."""
        return self.encode_document_tokens(texts)[0]

    def encode_document_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Vectors]]:
        """Mean, and the direction of each word."""
        self.encoded.extend(texts)
        tokens = [self._tokens(text) for text in texts]
        vectors: Vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, one in enumerate(tokens):
            vectors[row] = _unit(one.sum(axis=0))
        return vectors, tokens

    def encode_query(self, text: str) -> Vectors:
        """Mean of the words' directions."""
        return _unit(self._tokens(text).sum(axis=0))

    def encode_query_tokens(self, text: str) -> Vectors:
        """The direction of each word."""
        return self._tokens(text)

    def query_words(self, text: str) -> tuple[str, ...]:
        """The words themselves."""
        return tuple(word for word in words(text) if word not in STOPWORDS) or ("",)

    def is_word(self, word: str) -> bool:
        """Whether a word is long enough to be one; a made-up rule, so that both answers come up."""
        return len(word) > 12

    def _tokens(self, text: str) -> Vectors:
        kept = [stem(word) for word in words(text) if word not in STOPWORDS] or ["nothing"]
        return np.stack([self._direction(word) for word in kept])

    def _direction(self, word: str) -> Vectors:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        return _unit(np.random.default_rng(seed).standard_normal(self.dim))


class Fond:
    """A re-ranker without a model: sure of the passages that hold some words, and that no other answers."""

    def __init__(self, of: str) -> None:
        self._of = of
        self.read: list[str] = []
        """Every passage that was read, in order."""

    def probabilities(self, question: str, passages: Sequence[str]) -> Vectors:
        """1 or 0."""
        del question
        self.read.extend(passages)
        return np.array([float(self._of in one) for one in passages], np.float32)


def write_pages(folder: Path, pages: Mapping[str, str] = PAGES) -> Path:
    """Write pages below a folder and return it."""
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _unit(row: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Vectors:
    unit: Vectors = (row / np.linalg.norm(row)).astype(np.float32)
    return unit
