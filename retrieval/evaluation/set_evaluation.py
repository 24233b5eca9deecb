"""How good search and refusal are on a corpus and questions from outside: what `brandvoice kb eval` prints.

A base is built in a temporary folder, split and searched as in service. A document stands where its best chunk stands.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from retrieval.encoder import Encoder
from retrieval.evaluation import metrics
from retrieval.evaluation.question_sets import Asked
from retrieval.knowledge.store import add_documents
from retrieval.passages import Document, Passage
from retrieval.reranker import Reranker
from retrieval.search.knowledge_base import KnowledgeBase

BRAND = "evaluated"
DEPTH = 10
"""Documents that are looked at."""
WIDE = 200
"""Chunks that ten documents are picked from: a long document takes many places."""
FALSE_REFUSALS = 0.05

MEASURES: Mapping[str, Callable[[Sequence[str], Sequence[str]], float]] = {
    "hit@1": lambda found, gold: metrics.hit(found, gold, 1),
    "hit@5": lambda found, gold: metrics.hit(found, gold, 5),
    "hit@10": lambda found, gold: metrics.hit(found, gold, DEPTH),
    "recall@10": lambda found, gold: metrics.recall(found, gold, DEPTH),
    "ndcg@10": lambda found, gold: metrics.ndcg(found, gold, DEPTH),
    "mrr": metrics.reciprocal_rank,
}
"""Of the documents that were found and those that hold the answer."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a search gave for one question."""

    asked: Asked
    ranked: tuple[str, ...]
    """Ids of documents, best first, each once, ten at most."""
    answerability: float
    milliseconds: float


def evaluate_set(
    documents: Sequence[Document],
    questions: Iterable[Asked],
    encoder: Encoder,
    reranker: Reranker | None = None,
    *,
    top_k: int,
    embedding: Progress = lambda _done, _total: None,
    asking: Progress = lambda _done, _total: None,
) -> dict[str, Any]:
    """Build, ask, and measure.

    Returns:
        The report as `brandvoice kb eval --json` prints it.
    """
    return report(ask_all(documents, questions, encoder, reranker, top_k=top_k, embedding=embedding, asking=asking))


def ask_all(
    documents: Sequence[Document],
    questions: Iterable[Asked],
    encoder: Encoder,
    reranker: Reranker | None = None,
    *,
    top_k: int,
    embedding: Progress = lambda _done, _total: None,
    asking: Progress = lambda _done, _total: None,
) -> list[Answered]:
    """Build a base in a temporary folder and ask it every question.

    Args:
        documents: The whole corpus.
        questions: With the documents that answer each, or whether any does.
        encoder: Embeds both.
        reranker: Reads the best passages of each question, where there is one.
        top_k: Passages that service asks for; time and answerability are those of this search.
        embedding: Called with (chunks embedded, chunks to embed).
        asking: Called with (questions asked, questions).
    """
    with tempfile.TemporaryDirectory() as scratch:
        add_documents(Path(scratch), BRAND, documents, encoder, embedding)
        knowledge = KnowledgeBase.open(Path(scratch), BRAND, encoder, reranker)
        asked, same = list(questions), twins(knowledge)
        answered = []
        for number, one in enumerate(asked, start=1):
            answered.append(ask(knowledge, one, top_k, same))
            asking(number, len(asked))
    return answered


Twins = Mapping[tuple[str, int], tuple[str, ...]]
"""Documents that say the same as a chunk, which is searched for all of them: by its document and start."""


def twins(knowledge: KnowledgeBase) -> Twins:
    """What the chunks of a base stand for besides their own document."""
    version, _ = knowledge.searched()
    same: dict[str, list[str]] = {}
    for alias, kept in version.aliases().items():
        same.setdefault(kept, []).append(alias.rpartition("#")[0])
    return {(one.document, one.start): tuple(same[one.id]) for one in version.chunks if one.id in same}


def ask(knowledge: KnowledgeBase, asked: Asked, top_k: int, same: Twins) -> Answered:
    """Search once as service does, with the clock running, and once for ten documents.

    In service the turn before was searched too, and the encoder keeps what it has encoded: so it is here.
    """
    if asked.history:
        knowledge.search(asked.history[-1], history=asked.history[:-1], top_k=top_k)
    since = time.perf_counter()
    found = knowledge.search(asked.question, history=asked.history, top_k=top_k)
    milliseconds = (time.perf_counter() - since) * 1000
    wide = knowledge.search(asked.question, history=asked.history, top_k=WIDE)
    return Answered(asked, ranked_documents(wide.passages, same), found.answerability, milliseconds)


def ranked_documents(passages: Iterable[Passage], same: Twins) -> tuple[str, ...]:
    """The documents of passages, each at the place of its best one; ten at most."""
    found = (name for one in passages for name in (one.document, *same.get((one.document, one.start), ())))
    return tuple(dict.fromkeys(found))[:DEPTH]


def report(answered: Sequence[Answered]) -> dict[str, Any]:
    """Means over the questions that name a document; None where nothing can be computed."""
    ranked = [(one.ranked, one.asked.gold) for one in answered if one.asked.gold]
    times = [one.milliseconds for one in answered]
    return {
        "questions": len(answered),
        **{name: _mean(measure(*pair) for pair in ranked) for name, measure in MEASURES.items()},
        "latency_ms": {share: _percentile(times, value) for share, value in (("p50", 0.5), ("p95", 0.95))},
        "answerability": _refusal(answered),
    }


def _refusal(answered: Sequence[Answered]) -> dict[str, float | None]:
    """How well the answerability score tells answerable questions from the others."""
    right = [one.answerability for one in answered if one.asked.answerable is True]
    wrong = [one.answerability for one in answered if one.asked.answerable is False]
    if not right or not wrong:
        return {"auroc": None, "refusal_rate_at_5pct_false_refusals": None}
    return {
        "auroc": round(metrics.area_under_curve(right, wrong), 4),
        "refusal_rate_at_5pct_false_refusals": round(metrics.refused_at(right, wrong, FALSE_REFUSALS), 4),
    }


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(fmean(found), 4) if found else None


def _percentile(values: Sequence[float], share: float) -> float | None:
    return round(metrics.percentile(values, share), 3) if values else None
