"""How fast search is, and how it grows from 1,000 to 100,000 passages: time, recall, memory; and the query encoder.

    python -m benchmarks.search_speed [--data DIR] [--bases FOLDER] [--out FILE.md]

Passages are the chunks of the public question sets, and above their number single sentences of all public data, one a
document. Those sentences are embedded by the query encoder, because the other would take an hour on two cores; what is
compared is measured over the same vectors. Each size is opened in a process of its own, with one thread. `--bases`
names a folder in which the sets are built or will be, so that their chunks are not embedded again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import faiss
import numpy as np
import orjson

from benchmarks.goals import at_least, at_most, goal_table
from benchmarks.rag_sets import DATA, read_set, write_set
from benchmarks.retrieval_goals import machine
from configs.home import Home
from retrieval.documents.loading import document_from_text
from retrieval.documents.splitting import searchable, split
from retrieval.encoder import OnnxEncoder, Vectors
from retrieval.encoder_export import packaged_model
from retrieval.evaluation import metrics
from retrieval.evaluation.question_sets import read_corpus
from retrieval.knowledge.index import FaissIndex
from retrieval.knowledge.store import add_documents
from retrieval.passages import Document
from retrieval.search.condense import Turn
from retrieval.search.knowledge_base import KnowledgeBase
from retrieval.search.ranking import CANDIDATES, rank

SETS = ("mtrag", "doc2dial", "tau2", "plausible", "squad2")
SIZES = (1_000, 10_000, 100_000)
QUESTIONS = 300
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
CHARACTERS = range(40, 301)
"""Of a sentence that is taken: shorter ones are greetings, longer ones tables."""
NEIGHBOURS = 10
HEADINGS = (
    "passages",
    "vectors",
    "the same, one by one",
    "recall@10",
    "search without re-rank",
    "whole search",
    "open s",
    "memory MB",
    "disk MB",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured at one size; times in milliseconds, p50 and p95."""

    passages: int
    vectors: tuple[float, float]
    flat: tuple[float, float]
    recall: float
    """Share of the ten nearest that the index finds."""
    fused: tuple[float, float]
    """A search without re-rank, the query's encoding included."""
    whole: tuple[float, float]
    """As service asks: three passages, how probable it is that they hold the answer."""
    opened_s: float
    memory_mb: float
    """That the open base takes, without what stays on disk until it is read."""
    disk_mb: float


class Known:
    """An encoder of documents that were encoded before; others are taken for single sentences (see above)."""

    def __init__(self, encoder: OnnxEncoder, bases: Path) -> None:
        self.name, self.dim, self.sha256 = encoder.name, encoder.dim, encoder.sha256
        self._encoder = encoder
        self.encode_query, self.encode_query_tokens = encoder.encode_query, encoder.encode_query_tokens
        self.query_words, self.is_word = encoder.query_words, encoder.is_word
        self._known: dict[str, tuple[KnowledgeBase, int]] = {}
        for name in SETS:
            base = KnowledgeBase.open(bases, name, encoder)
            self._known |= {searchable(one): (base, at) for at, one in enumerate(base.searched()[0].chunks)}

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Look them up or encode them."""
        return self.encode_document_tokens(texts)[0]

    def encode_document_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Vectors]]:
        """Look them up or encode them."""
        found = [self._one(text) for text in texts]
        return np.stack([vector for vector, _ in found]), [tokens for _, tokens in found]

    def _one(self, text: str) -> tuple[Vectors, Vectors]:
        if text not in self._known:
            return self._encoder.encode_query(text), self._encoder.encode_query_tokens(text)
        base, at = self._known[text]
        version, _ = base.searched()
        return version.gather(np.array([at]), lambda one, rows: one.index.rows(rows))[0], version.tokens.tokens(at)


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--bases", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        text = report(options.data, options.bases, Path(scratch))
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def report(data: Path, bases: Path | None, scratch: Path) -> str:
    """All tables.

    Args:
        data: Folder of the question sets; sentences come from the folders beside it.
        bases: Where the sets are built, or will be.
        scratch: An empty folder.
    """
    folder = Home.from_environment(os.environ).models / "all-minilm-l6-v2"
    encoder = OnnxEncoder.load(folder)
    corpora = {name: read_corpus(write_set(read_set(name, data), scratch)[0]) for name in SETS}
    bases = bases or scratch
    for name, corpus in corpora.items():
        add_documents(bases, name, corpus, encoder)
    queries = read_set("mtrag", data).plain()[:QUESTIONS]
    lines = [
        f"# How fast search is, {date.today().isoformat()}",
        "",
        f"{machine()}, one thread. {len(queries)} questions of MTRAG. Milliseconds are p50 and p95.",
        "",
        *_encoders(encoder, bases, data),
        "",
        *_growth(folder, Known(encoder, bases), [one for corpus in corpora.values() for one in corpus], data, scratch),
    ]
    return "\n".join([*lines, ""])


def _growth(folder: Path, encoder: Known, documents: Sequence[Document], data: Path, scratch: Path) -> Iterator[str]:
    queries = read_set("mtrag", data).plain()[:QUESTIONS]
    rows = []
    for size in SIZES:
        brand = f"grown-{size}"
        add_documents(scratch, brand, list(_first(size, documents, data)), encoder)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            rows.append(process.submit(_measure, scratch, brand, folder, queries).result())
    yield f"| {' | '.join(HEADINGS)} |"
    yield f"|{'---|' * len(HEADINGS)}"
    for one in rows:
        times = (one.vectors, one.flat)
        cells = [
            f"{one.passages:,}",
            *(f"{p50:.2f}, {p95:.2f}" for p50, p95 in times),
            f"{one.recall:.3f}",
            *(f"{p50:.1f}, {p95:.1f}" for p50, p95 in (one.fused, one.whole)),
            f"{one.opened_s:.1f}",
            f"{one.memory_mb:.0f}",
            f"{one.disk_mb:.0f}",
        ]
        yield f"| {' | '.join(cells)} |"
    _, ten, hundred = rows
    yield ""
    yield from goal_table(
        (
            at_most("p95 of a search of 10,000 passages without re-rank, ms", 10, ten.fused[1]),
            at_most("p95 of a whole search of 10,000 passages, ms", 40, ten.whole[1]),
            at_most("p95 of vector search among 100,000, ms", 1, hundred.vectors[1]),
            at_least("recall@10 among 100,000 against one by one", 0.98, hundred.recall),
        )
    )


def _measure(home: Path, brand: str, folder: Path, queries: Sequence[str]) -> Measured:
    """Open a base and search it; runs in a process of its own."""
    faiss.omp_set_num_threads(1)
    encoders = [OnnxEncoder.load(folder) for _ in range(2)]
    before, since = _memory_mb(), time.perf_counter()
    base = KnowledgeBase.open(home, brand, encoders[0])
    opened_s = time.perf_counter() - since
    version, _ = base.searched()
    base.search(queries[0], top_k=3)
    whole = _timed(lambda query: base.search(query, top_k=3), queries)
    memory = _memory_mb() - before
    fused = _timed(lambda query: rank(version, encoders[1], (Turn(query, 1.0),), reranked=0), queries)
    vectors = [encoders[0].encode_query(query) for query in queries]
    flat = FaissIndex.build(version.index.vectors(), exact_up_to=len(version))
    shares = []
    for vector in vectors:
        right = set(flat.search(vector, NEIGHBOURS)[0].tolist())
        shares.append(len(right & set(version.index.search(vector, CANDIDATES)[0][:NEIGHBOURS].tolist())) / len(right))
    return Measured(
        len(version),
        _timed(lambda vector: version.index.search(vector, CANDIDATES), vectors),
        _timed(lambda vector: flat.search(vector, CANDIDATES), vectors),
        fmean(shares),
        fused,
        whole,
        opened_s,
        memory,
        sum(file.stat().st_size for file in (home / brand).rglob("*") if file.is_file()) / 1e6,
    )


def _encoders(encoder: OnnxEncoder, bases: Path, data: Path) -> Iterator[str]:
    """Queries encoded by sentence-transformers and by ours, and what dense search alone finds with either."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(str(packaged_model()), device="cpu")
    version, _ = KnowledgeBase.open(bases, "mtrag", encoder).searched()
    names, vectors = [one.document for one in version.chunks], version.index.vectors()
    one = read_set("mtrag", data)
    asked = [(text, row["gold"]) for text, row in zip(one.plain(), one.questions, strict=True) if row["gold"]]

    def peer(text: str) -> Vectors:
        found: Vectors = model.encode(text, normalize_embeddings=True, show_progress_bar=False)
        return found

    yield "| query encoder | milliseconds | nDCG@10 of dense search alone, MTRAG's last turns |"
    yield "|---|---|---|"
    times, gains = [], []
    for name, encode in (("sentence-transformers", peer), ("brandvoice, int8", encoder.encode_query)):
        encode("warm")
        p50, p95 = _timed(encode, [text for text, _ in asked])
        ranked = [
            tuple(dict.fromkeys(names[at] for at in np.argsort(-(vectors @ encode(text)), kind="stable")[:200]))
            for text, _ in asked
        ]
        gain = fmean(metrics.ndcg(found, gold, 10) for found, (_, gold) in zip(ranked, asked, strict=True))
        times.append(p50)
        gains.append(gain)
        yield f"| {name} | {p50:.1f}, {p95:.1f} | {gain:.4f} |"
    yield ""
    yield from goal_table(
        (
            at_least("times as fast as sentence-transformers, p50", 5, times[0] / times[1]),
            at_least("of its nDCG@10", 0.995, gains[1] / gains[0]),
        )
    )


def _first(size: int, documents: Sequence[Document], data: Path) -> Iterator[Document]:
    """Documents that hold about `size` passages."""
    left = size
    for one in documents:
        if left <= 0:
            return
        left -= len(split(one))
        yield one
    yield from islice(_sentences(data), max(0, left))


def _sentences(data: Path) -> Iterator[Document]:
    """Each sentence of the public data once, as a document."""
    seen: set[str] = set()
    for file in sorted(data.parent.glob("*/*.jsonl")):
        with file.open("rb") as lines:
            for text in (text for line in lines for text in _strings(orjson.loads(line))):
                for part in map(str.strip, SENTENCE.split(text)):
                    if len(part) in CHARACTERS and part not in seen:
                        seen.add(part)
                        yield document_from_text(f"sentence-{len(seen):06}", part)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def _timed(work: Callable[[Any], object], inputs: Sequence[Any]) -> tuple[float, float]:
    times = []
    for one in inputs:
        since = time.perf_counter()
        work(one)
        times.append((time.perf_counter() - since) * 1000)
    return metrics.percentile(times, 0.5), metrics.percentile(times, 0.95)


def _memory_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1000  # type: ignore[index]


if __name__ == "__main__":
    main()
