"""Search by words: BM25 over stems.

Each segment keeps its own postings. What BM25 needs of the whole base (how many chunks hold a stem, how long chunks
are) is counted when it is asked for, so that adding a document does not touch the postings of the others. The scores
are those of bm25s (`method="lucene"`), which has to build its index anew for every change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.knowledge.postings import Postings
from retrieval.language.words import stems

K1 = 0.9
B = 0.4
"""Robertson's k1 and b as Anserini sets them. Source: castorini/anserini, BEIR regressions."""

Scores = NDArray[np.float32]
Positions = NDArray[np.int64]
"""Where each row of a segment stands in the base; -1 for a row that is not searched. int64 [rows of the segment]."""


class LexicalIndex:
    """BM25 scores of every chunk and of every document for a query."""

    def __init__(self, parts: Sequence[tuple[Postings, Positions]], documents: NDArray[np.int64] | None = None) -> None:
        """Index what is searched.

        Args:
            parts: Postings of each segment, and where its rows stand.
            documents: Number of the document that each position is of, rising, int64 [n]; one each where absent.
        """
        self._parts = tuple(parts)
        self._size = sum(int((positions >= 0).sum()) for _, positions in parts)
        lengths = np.zeros(self._size, np.float32)
        for postings, positions in parts:
            searched = positions >= 0
            lengths[positions[searched]] = postings.lengths[searched]
        self._documents = np.arange(self._size) if documents is None else documents
        held = np.bincount(self._documents)
        self._norms = _norms(lengths, self._size)
        # A number without chunks is a document of which nothing is searched: it counts in no mean.
        self._document_count = int((held > 0).sum())
        self._document_norms = _norms(np.bincount(self._documents, lengths).astype(np.float32), self._document_count)

    @classmethod
    def build(cls, texts: Sequence[str]) -> LexicalIndex:
        """Index texts; their positions are what scores refer to."""
        return cls([(Postings.build([stems(text) for text in texts]), np.arange(len(texts)))])

    def knows(self, stem: str) -> bool:
        """Whether the stem stands in any chunk."""
        return len(self._find(stem)[0]) > 0

    def rarity(self, stem: str) -> float:
        """BM25's weight of a stem (its inverse document frequency, as Lucene has it)."""
        return _rarity(self._size, len(self._find(stem)[0]))

    def scores(self, query: Mapping[str, float]) -> tuple[Scores, Scores]:
        """BM25 for the query's stems, each with how much it counts; 0 where no stem is shared.

        Returns:
            Scores of the chunks, float32 [n], and of the documents as if each were one text, by number.
        """
        chunks, documents = np.zeros(len(self._norms), np.float32), np.zeros(len(self._document_norms), np.float32)
        for stem, weight in query.items():
            where, counts = self._find(stem)
            if not len(where):
                continue
            _add(chunks, where, counts, self._norms, weight * _rarity(self._size, len(where)))
            times = np.bincount(self._documents[where], counts, minlength=len(documents)).astype(np.float32)
            held = np.flatnonzero(times > 0)  # ten times as fast as on the numbers themselves
            weight *= _rarity(self._document_count, len(held))
            _add(documents, held, times[held], self._document_norms, weight)
        return chunks, documents

    def _find(self, stem: str) -> tuple[NDArray[np.int64], Scores]:
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


def _norms(lengths: Scores, count: int) -> Scores:
    """What the length of each text adds below BM25's fraction."""
    mean = float(lengths.sum()) / max(1, count)
    norms: Scores = (K1 * (1 - B + B * lengths / (mean or 1.0))).astype(np.float32)
    return norms


def _rarity(size: int, holding: int) -> float:
    return math.log1p((size - holding + 0.5) / (holding + 0.5))


def _add(scores: Scores, where: NDArray[np.int64], counts: Scores, norms: Scores, weight: float) -> None:
    scores[where] += (weight * counts / (counts + norms[where])).astype(np.float32)
