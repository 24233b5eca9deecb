"""Search by words: BM25 over stems, by bm25s."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
from numpy.typing import NDArray

from retrieval.words import stems

K1 = 0.9
B = 0.4
"""Robertson's k1 and b as Anserini sets them. Source: castorini/anserini, BEIR regressions."""


class LexicalIndex:
    """BM25 scores of every chunk for a query."""

    def __init__(self, retriever: bm25s.BM25 | None, size: int) -> None:
        self._retriever = retriever
        self._size = size
        vocabulary = retriever.vocab_dict if retriever else {}
        self._vocabulary = frozenset(vocabulary)

    @classmethod
    def build(cls, texts: Sequence[str]) -> LexicalIndex:
        """Index texts; their positions are what scores refer to."""
        tokens = [stems(text) for text in texts]
        if not any(tokens):
            return cls(None, len(texts))
        retriever = bm25s.BM25(method="lucene", k1=K1, b=B)
        retriever.index(tokens, show_progress=False)
        return cls(retriever, len(texts))

    @classmethod
    def load(cls, folder: Path, size: int) -> LexicalIndex:
        """Read what `save` wrote; no pickle is read."""
        if not folder.is_dir():
            return cls(None, size)
        return cls(bm25s.BM25.load(str(folder), load_corpus=False, allow_pickle=False), size)

    def save(self, folder: Path) -> None:
        """Write the index; nothing is written where no text held a word."""
        if self._retriever is not None:
            self._retriever.save(str(folder), show_progress=False)

    def knows(self, stem: str) -> bool:
        """Whether the stem stands in any chunk."""
        return stem in self._vocabulary

    def scores(self, query: Sequence[str]) -> NDArray[np.float32]:
        """BM25 of every chunk for the query's stems; float32 [n], 0 where no stem is shared."""
        known = [word for word in query if word in self._vocabulary]
        if self._retriever is None or not known:
            return np.zeros(self._size, np.float32)
        scores: NDArray[np.float32] = np.asarray(self._retriever.get_scores(known), np.float32)
        return scores
