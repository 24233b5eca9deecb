"""The stages of one search over one version: by meaning, by words, fused, re-ranked; with the scores of each stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Encoder, Vectors
from retrieval.fusion import LATE_WEIGHT, fuse, rerank
from retrieval.version import Version
from retrieval.words import stems

CANDIDATES = 100
"""Chunks of each ranking that are fused; more changed nothing on the sets that were measured."""
RERANKED = 24
"""Chunks whose tokens are compared with the query's: about 0.5 ms."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates of one search, best first; all arrays have one row for each."""

    positions: NDArray[np.int64]
    """Of the chunks in the version."""
    dense: Scores
    """Cosine to the query."""
    lexical: Scores
    """BM25."""
    fused: Scores
    """0 to 1."""
    late: Scores
    """Late interaction; NaN for those that were not re-ranked."""
    score: Scores
    """0 to 1, falling."""

    def __len__(self) -> int:
        """How many candidates there are."""
        return len(self.positions)


def rank(version: Version, encoder: Encoder, query: str) -> Ranking:
    """Rank the chunks of a version, which holds at least one."""
    vector = encoder.encode_query(query)
    bm25 = version.lexical.scores(stems(query))
    candidates = _candidates(version, vector, bm25)
    dense, lexical = version.index.cosines(vector, candidates), bm25[candidates]
    fused = fuse(dense, lexical)
    order = np.argsort(-fused, kind="stable")
    best = order[:RERANKED]
    late = np.full(len(candidates), np.nan, np.float32)
    late[best] = version.tokens.scores(encoder.encode_query_tokens(query), candidates[best].tolist())
    # What is not re-ranked keeps its place below: no mixed score can fall under it.
    score = ((1 - LATE_WEIGHT) * fused).astype(np.float32)
    score[best] = rerank(fused[best], late[best])
    order[: len(best)] = best[np.argsort(-score[best], kind="stable")]
    return Ranking(candidates[order], dense[order], lexical[order], fused[order], late[order], score[order])


def _candidates(version: Version, vector: Vectors, bm25: Scores) -> NDArray[np.int64]:
    """Positions of the chunks that either ranking puts near its top, ascending."""
    nearest, _ = version.index.search(vector, CANDIDATES)
    return np.union1d(nearest, _highest(bm25, CANDIDATES))


def _highest(scores: Scores, count: int) -> NDArray[np.int64]:
    """Positions of the highest scores above 0, of equal ones the first; sorting all would cost more than the scores."""
    above = np.flatnonzero(scores)
    if len(above) > count:
        line = np.partition(scores[above], -count)[-count]
        surely = above[scores[above] > line]
        above = np.concatenate([surely, above[scores[above] == line][: count - len(surely)]])
    return above
