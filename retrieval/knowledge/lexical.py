"""Search by words: BM25 over stems.

Each segment keeps its own postings. What BM25 needs of the whole base (how many chunks hold a stem, how long chunks
are) is counted when it is asked for, so that adding a document does not touch the postings of the others. The scores
are those of bm25s (`method="lucene"`), which has to build its index anew for every change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.knowledge.postings import Postings
from retrieval.language.words import stems

K1 = 0.9
B = 0.4
"""Robertson's k1 and b as Anserini sets them. Source: castorini/anserini, BEIR regressions."""

Positions = NDArray[np.int64]
"""Where each row of a segment stands in the base; -1 for a row that is not searched. int64 [rows of the segment]."""


class LexicalIndex:
    """BM25 scores of every chunk for a query."""

    def __init__(self, parts: Sequence[tuple[Postings, Positions]]) -> None:
        self._parts = tuple(parts)
        self._size = sum(int((positions >= 0).sum()) for _, positions in parts)
        lengths = np.zeros(self._size, np.float32)
        for postings, positions in parts:
            searched = positions >= 0
            lengths[positions[searched]] = postings.lengths[searched]
        mean = float(lengths.mean()) if self._size else 0.0
        self._norms = (K1 * (1 - B + B * lengths / (mean or 1.0))).astype(np.float32)

    @classmethod
    def build(cls, texts: Sequence[str]) -> LexicalIndex:
        """Index texts; their positions are what scores refer to."""
        return cls([(Postings.build([stems(text) for text in texts]), np.arange(len(texts)))])

    def knows(self, stem: str) -> bool:
        """Whether the stem stands in any chunk."""
        return len(self._find(stem)[0]) > 0

    def rarity(self, stem: str) -> float:
        """BM25's weight of a stem (its inverse document frequency, as Lucene has it)."""
        return self._rarity(len(self._find(stem)[0]))

    def scores(self, query: Sequence[str]) -> NDArray[np.float32]:
        """BM25 of every chunk for the query's stems; float32 [n], 0 where no stem is shared."""
        scores = np.zeros(self._size, np.float32)
        for stem in query:
            where, counts = self._find(stem)
            scores[where] += (self._rarity(len(where)) * counts / (counts + self._norms[where])).astype(np.float32)
        return scores

    def _rarity(self, holding: int) -> float:
        return math.log1p((self._size - holding + 0.5) / (holding + 0.5))

    def _find(self, stem: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Positions of the chunks that hold a stem, each once, and how often each does."""
        where: list[NDArray[np.int64]] = []
        counts: list[NDArray[np.int32]] = []
        for postings, positions in self._parts:
            rows, times = postings.find(stem)
            found = positions[rows]
            searched = found >= 0
            where.append(found[searched])
            counts.append(times[searched])
        if not where:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        return np.concatenate(where), np.concatenate(counts).astype(np.float32)
