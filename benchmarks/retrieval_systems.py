"""The systems that are compared: ours, each of its legs alone, plain reciprocal rank fusion, and the peers."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import Stemmer

from retrieval.documents.splitting import searchable
from retrieval.encoder import Encoder, Vectors
from retrieval.encoder_export import packaged_model
from retrieval.evaluation.question_sets import Asked
from retrieval.evaluation.set_evaluation import DEPTH, Twins, ask, twins
from retrieval.knowledge.index import FaissIndex
from retrieval.knowledge.store import add_documents
from retrieval.passages import Chunk, Document
from retrieval.search.knowledge_base import KnowledgeBase

CHUNKS_EACH = 100
"""Chunks of each ranking that are fused, by the peers too."""
RRF_K = 60
"""Source: Cormack, Clarke, Buettcher, "Reciprocal Rank Fusion", SIGIR 2009."""
TOP_K = 3
"""Passages that service asks for by default: the time that is measured is that of this search."""

Leg = Callable[[str], Sequence[int]]
"""A query to positions of chunks, best first."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one system did with one set."""

    ranked: list[tuple[str, ...]]
    """Documents for each question, best first, ten at most."""
    milliseconds: list[float]
    index_s: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """One set with the chunks and vectors that all systems share."""

    name: str
    questions: tuple[Asked, ...]
    plain: tuple[str, ...]
    """Each question as one text, for systems that know no conversations."""
    chunks: tuple[Chunk, ...]
    knowledge: KnowledgeBase
    vectors: Vectors
    """Of the chunks, float32 [chunks, dim]."""
    built_s: float
    same: Twins
    """Duplicates count for all systems: their chunks are shared."""


def prepare(
    name: str,
    documents: tuple[Document, ...],
    questions: tuple[Asked, ...],
    plain: tuple[str, ...],
    encoder: Encoder,
    folder: Path,
) -> Prepared:
    """Build our base; the other systems take its chunks and vectors over."""
    base = name.removesuffix("-last")
    since = time.perf_counter()
    add_documents(folder, base, documents, encoder)
    knowledge = KnowledgeBase.open(folder, base, encoder)
    built_s = time.perf_counter() - since
    version, _ = knowledge.searched()
    return Prepared(
        name, questions, plain, tuple(version.chunks), knowledge, version.index.vectors(), built_s, twins(knowledge)
    )


def ours(prepared: Prepared) -> Run:
    """Search as service does, with the conversation."""
    answered = [ask(prepared.knowledge, one, TOP_K, prepared.same) for one in prepared.questions]
    return Run([one.ranked for one in answered], [one.milliseconds for one in answered], prepared.built_s)


def baselines(prepared: Prepared, encoder: Encoder) -> dict[str, Run]:
    """BM25 alone, dense alone, and plain reciprocal rank fusion of the two."""
    since = time.perf_counter()
    words = _bm25(prepared)
    words_s = time.perf_counter() - since
    since = time.perf_counter()
    index = FaissIndex.build(prepared.vectors)
    index_s = time.perf_counter() - since
    runs: dict[str, Run] = {}
    depth = 2 * CHUNKS_EACH

    def meaning(query: str) -> Sequence[int]:
        found: list[int] = index.search(encoder.encode_query(query), depth)[0].tolist()
        return found

    legs: dict[str, tuple[Leg, float]] = {"BM25": (words, words_s), "dense": (meaning, index_s)}
    found: dict[str, list[Sequence[int]]] = {}
    for name, (leg, seconds) in legs.items():
        found[name], milliseconds = _timed(leg, prepared.plain)
        runs[name] = Run([_documents(prepared, one) for one in found[name]], milliseconds, seconds)
    fused = [
        _documents(prepared, reciprocal_rank_fusion([one[:CHUNKS_EACH], other[:CHUNKS_EACH]]))
        for one, other in zip(found["BM25"], found["dense"], strict=True)
    ]
    both = [one + other for one, other in zip(runs["BM25"].milliseconds, runs["dense"].milliseconds, strict=True)]
    runs["RRF"] = Run(fused, both, words_s + index_s)
    return runs


def peers(prepared: Prepared, python: Path, folder: Path) -> dict[str, Run]:
    """LangChain and Haystack, in the environment of `python`."""
    np.save(folder / f"{prepared.name}.npy", prepared.vectors, allow_pickle=False)
    job = folder / f"{prepared.name}.json"
    job.write_text(
        json.dumps(
            {
                "texts": [searchable(chunk) for chunk in prepared.chunks],
                "documents": [chunk.document for chunk in prepared.chunks],
                "vectors": str(folder / f"{prepared.name}.npy"),
                "queries": prepared.plain,
                "model": str(packaged_model()),
                "depth": CHUNKS_EACH,
            }
        ),
        encoding="utf-8",
    )
    script = Path(__file__).with_name("retrieval_peers.py")
    quiet = {"HF_HUB_OFFLINE": "1", "HAYSTACK_TELEMETRY_ENABLED": "False", "OMP_NUM_THREADS": "1"}
    subprocess.run([python, script, job], check=True, env={**os.environ, **quiet}, stdout=subprocess.DEVNULL)
    results = json.loads(job.with_suffix(".results.json").read_text("utf-8"))
    return {
        name: Run([tuple(one) for one in run["ranked"]], run["milliseconds"], run["index_s"])
        for name, run in results.items()
    }


def reciprocal_rank_fusion(rankings: Sequence[Sequence[int]]) -> list[int]:
    """Positions by the sum of 1 / (60 + rank)."""
    scores: defaultdict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            scores[one] += 1 / (RRF_K + rank)
    return sorted(scores, key=lambda one: -scores[one])


def _bm25(prepared: Prepared) -> Leg:
    """bm25s as its pages show it: English stop words, Snowball stems, its own k1 and b."""
    stemmer = Stemmer.Stemmer("english")

    def tokens(texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    retriever = bm25s.BM25()
    retriever.index(tokens([searchable(chunk) for chunk in prepared.chunks]), show_progress=False)
    depth = min(2 * CHUNKS_EACH, len(prepared.chunks))

    def find(query: str) -> Sequence[int]:
        positions, scores = retriever.retrieve(tokens([query]), k=depth, show_progress=False)
        found: list[int] = positions[0][scores[0] > 0].tolist()
        return found

    return find


def _timed(leg: Leg, queries: Sequence[str]) -> tuple[list[Sequence[int]], list[float]]:
    found, milliseconds = [], []
    leg(queries[0])
    for query in queries:
        since = time.perf_counter()
        found.append(leg(query))
        milliseconds.append((time.perf_counter() - since) * 1000)
    return found, milliseconds


def _documents(prepared: Prepared, positions: Sequence[int]) -> tuple[str, ...]:
    chunks = (prepared.chunks[at] for at in positions)
    found = (name for one in chunks for name in (one.document, *prepared.same.get((one.document, one.start), ())))
    return tuple(dict.fromkeys(found))[:DEPTH]
