"""LangChain's EnsembleRetriever and Haystack's hybrid pipeline over the chunks and vectors of one set.

    PEERS_VENV/bin/python benchmarks/retrieval_peers.py JOB.json

Runs in an environment of its own, so nothing of ours is imported. The job names the chunks, their vectors, the queries
and the folder of the encoder's weights; the rankings are written beside it. Both peers are set up as their own pages
show them. Queries are encoded by sentence-transformers, as both do by default; documents are not encoded again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Query = Callable[[str], list[str]]
"""A query to documents of chunks, best first, repeats included."""


def langchain(job: dict[str, Any], vectors: Any, depth: int) -> Query:
    """Reciprocal rank fusion of rank_bm25 and FAISS, by EnsembleRetriever."""
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_community.vectorstores import FAISS
    from langchain_huggingface import HuggingFaceEmbeddings

    texts, metadata = job["texts"], [{"document": name, "at": at} for at, name in enumerate(job["documents"])]
    # Chunks of equal text are different chunks: the ensemble tells them apart by this key.
    words = BM25Retriever.from_texts(texts, metadatas=metadata, k=depth)
    embeddings = HuggingFaceEmbeddings(model_name=job["model"])
    store = FAISS.from_embeddings(list(zip(texts, vectors.tolist(), strict=True)), embeddings, metadatas=metadata)
    meaning = store.as_retriever(search_kwargs={"k": depth})
    both = EnsembleRetriever(retrievers=[words, meaning], weights=[0.5, 0.5], id_key="at")
    return lambda query: [one.metadata["document"] for one in both.invoke(query)]


def haystack(job: dict[str, Any], vectors: Any, depth: int) -> Query:
    """A pipeline of two in-memory retrievers and a joiner by reciprocal rank fusion."""
    from haystack import Document, Pipeline, component
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(job["model"], device="cpu")

    @component
    class TextEmbedder:
        """Encodes the query."""

        @component.output_types(embedding=list[float])  # type: ignore[untyped-decorator]
        def run(self, text: str) -> dict[str, Any]:
            return {"embedding": model.encode(text, normalize_embeddings=True).tolist()}

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    rows = zip(job["texts"], job["documents"], vectors.tolist(), strict=True)
    store.write_documents(
        [
            Document(id=str(at), content=text, meta={"document": name}, embedding=vector)
            for at, (text, name, vector) in enumerate(rows)
        ]
    )
    pipeline = Pipeline()
    pipeline.add_component("embedder", TextEmbedder())
    pipeline.add_component("meaning", InMemoryEmbeddingRetriever(store, top_k=depth))
    pipeline.add_component("words", InMemoryBM25Retriever(store, top_k=depth))
    pipeline.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion"))
    pipeline.connect("embedder.embedding", "meaning.query_embedding")
    pipeline.connect("meaning", "joiner")
    pipeline.connect("words", "joiner")

    def ask(query: str) -> list[str]:
        found = pipeline.run({"embedder": {"text": query}, "words": {"query": query}})
        return [one.meta["document"] for one in found["joiner"]["documents"]]

    return ask


PEERS = {"LangChain ensemble": langchain, "Haystack hybrid": haystack}


def main() -> None:
    """Run both peers on one job."""
    import torch

    torch.set_num_threads(1)
    file = Path(sys.argv[1])
    job = json.loads(file.read_text("utf-8"))
    vectors = np.load(job["vectors"], allow_pickle=False)
    results = {}
    for name, build in PEERS.items():
        since = time.perf_counter()
        ask = build(job, vectors, job["depth"])
        index_s = time.perf_counter() - since
        ask(job["queries"][0])
        ranked, milliseconds = [], []
        for query in job["queries"]:
            since = time.perf_counter()
            found = ask(query)
            milliseconds.append((time.perf_counter() - since) * 1000)
            ranked.append(list(dict.fromkeys(found))[:10])
        results[name] = {"ranked": ranked, "milliseconds": milliseconds, "index_s": index_s}
    file.with_suffix(".results.json").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
