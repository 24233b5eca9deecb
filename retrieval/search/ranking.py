"""The stages of one search over one version: by meaning, by words, fused, re-ranked; with the scores of each stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from retrieval.documents.splitting import searchable
from retrieval.encoder import Encoder, Vectors
from retrieval.knowledge.version import Version
from retrieval.language.words import fold, stem, stems
from retrieval.reranker import Reranker
from retrieval.search.condense import Turn
from retrieval.search.fusion import fuse, read_again, rerank

CANDIDATES = 100
"""Chunks of each ranking that are fused; more changed nothing on the sets that were measured."""
RERANKED = 50
"""Chunks whose tokens are compared with the query's; 30 would save 0.3 ms and lose up to .004 of nDCG@10."""
READ = 20
"""Chunks that a cross-encoder reads, where a brand has one."""
LITERAL = 2
"""Content words that a question needs to be taken for a heading: many pages have "What's next?"."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates of one search, best first; all arrays have one row for each."""

    positions: NDArray[np.int64]
    """Of the chunks in the version."""
    dense: Scores
    """Cosine to the query."""
    context: Scores
    """Cosine of the whole document to the query."""
    lexical: Scores
    """BM25."""
    fused: Scores
    """0 to 1."""
    late: Scores
    """Late interaction, each word of the latest turn alike; NaN for those that were not re-ranked."""
    cross: Scores
    """Probability that the chunk answers the latest turn; NaN for those that no cross-encoder read."""
    score: Scores
    """0 to 1, falling."""

    def __len__(self) -> int:
        """How many candidates there are."""
        return len(self.positions)


def query_vector(encoder: Encoder, turns: Sequence[Turn]) -> Vectors:
    """The weighted mean of the turns' vectors, float32 [dim], L2-normalised."""
    if len(turns) == 1:
        return encoder.encode_query(turns[0].text)
    total = np.sum([one.weight * encoder.encode_query(one.text) for one in turns], axis=0)
    vector: Vectors = (total / max(float(np.linalg.norm(total)), 1e-9)).astype(np.float32)
    return vector


def word_scores(version: Version, turns: Sequence[Turn]) -> tuple[Scores, Scores]:
    """The weighted sums of the turns' BM25 scores, of chunks and of documents; float32 [chunks], [documents]."""
    weights: defaultdict[str, float] = defaultdict(float)
    for one in turns:
        for each in stems(one.text):
            weights[each] += one.weight
    return version.lexical.scores(weights)


def rank(
    version: Version,
    encoder: Encoder,
    turns: Sequence[Turn],
    reranker: Reranker | None = None,
    *,
    reranked: int = RERANKED,
) -> Ranking:
    """Rank the chunks of a version, which holds at least one.

    Args:
        version: What is searched.
        encoder: What encoded it.
        turns: The question first, then what was said before it.
        reranker: Reads the best chunks again, where the brand has one.
        reranked: How many of the best fused chunks are re-ranked by late interaction.
    """
    vector, (bm25, document_bm25) = query_vector(encoder, turns), word_scores(version, turns)
    candidates = _candidates(version, vector, bm25)
    dense, lexical = version.index.cosines(vector, candidates), bm25[candidates]
    context = version.contexts.cosines(vector, candidates)
    fused = fuse(dense, context, lexical, document_bm25[version.documents[candidates]])
    order = np.argsort(-fused, kind="stable")
    best = order[:reranked]
    met = version.tokens.best(encoder.encode_query_tokens(turns[0].text), candidates[best])
    late = np.full(len(candidates), np.nan, np.float32)
    late[best] = met.mean(axis=1)
    share = turns[0].weight / sum(one.weight for one in turns)
    # What is not re-ranked keeps its place below: no mixed score can fall under it.
    score = rerank(fused, np.zeros_like(fused), share)
    score[best] = rerank(fused[best], met @ _rarities(version, encoder, turns[0].text), share)
    cross = np.full(len(candidates), np.nan, np.float32)
    if reranker is not None:
        first = best[np.argsort(-score[best], kind="stable")[:READ]]
        texts = [searchable(version.chunks[int(at)]) for at in candidates[first]]
        cross[first] = reranker.probabilities(turns[0].text, texts)
        # Here too what is not read stays below what is.
        score = read_again(score, np.nan_to_num(cross), share)
    asked = best[_asked_literally(version, turns[0].text, candidates[best])]
    if len(asked):
        # The others stay in the lower half, so that none of them stands above.
        score /= 2
        score[asked] += 0.5
    order[: len(best)] = best[np.argsort(-score[best], kind="stable")]
    return Ranking(candidates[order], *(one[order] for one in (dense, context, lexical, fused, late, cross, score)))


def _rarities(version: Version, encoder: Encoder, text: str) -> Scores:
    """How much each content token of a text counts: as its word is rare in the base; the sum is 1."""
    weights = np.array([version.lexical.rarity(stem(fold(word))) for word in encoder.query_words(text)], np.float32)
    total: Scores = weights / max(float(weights.sum()), 1e-9)
    return total


def _asked_literally(version: Version, text: str, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which chunks have the question as their heading: they come to the top, as those who write FAQs mean it."""
    wanted = tuple(stems(text))
    if len(wanted) < LITERAL:
        return np.zeros(len(positions), np.bool_)
    headings = (version.chunks[int(at)].heading.rpartition(" > ")[2] for at in positions)
    return np.array([_heading_stems(heading) == wanted for heading in headings], np.bool_)


@lru_cache(maxsize=65536)
def _heading_stems(heading: str) -> tuple[str, ...]:
    """Kept, because the same few thousand headings are compared with every question."""
    return tuple(stems(heading))


def _candidates(version: Version, vector: Vectors, bm25: Scores) -> NDArray[np.int64]:
    """Positions of the chunks that either ranking puts near its top, ascending."""
    nearest, _ = version.index.search(vector, CANDIDATES)
    return np.union1d(nearest, _highest(bm25, CANDIDATES))


def _highest(scores: Scores, count: int) -> NDArray[np.int64]:
    """Positions of the highest scores above 0, of equal ones the first; sorting all would cost more than the scores."""
    above = np.flatnonzero(scores > 0)
    if len(above) > count:
        line = np.partition(scores[above], -count)[-count]
        surely = above[scores[above] > line]
        above = np.concatenate([surely, above[scores[above] == line][: count - len(surely)]])
    return above
