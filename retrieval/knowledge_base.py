"""Search in one brand's knowledge: condense, search by meaning and by words, fuse, judge.

Safe for several threads. A search keeps the version it began with; `refresh` swaps versions between searches.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval import answerability
from retrieval.condense import condense
from retrieval.encoder import Encoder, Vectors
from retrieval.fusion import fuse, min_max, rerank
from retrieval.passages import Chunk, Document, Passage, SearchResult
from retrieval.spelling import Spelling
from retrieval.splitting import searchable
from retrieval.store import Version, brand_folder, current_version, open_version
from retrieval.words import stems

CANDIDATES = 100
"""Chunks of each ranking that are fused; more changed nothing on the sets that were measured."""
RERANKED = 24
"""Chunks whose tokens are compared with the query's: about 0.5 ms."""
EMPTY = "empty"
"""Version of a brand to which nothing was added yet."""


class KnowledgeBase:
    """The knowledge of one brand, at the version its pointer names."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self._folder = folder
        self._encoder = encoder
        self._refreshing = threading.Lock()
        self._snapshot = self._load()

    @classmethod
    def open(cls, home_knowledge: Path, brand: str, encoder: Encoder) -> KnowledgeBase:
        """Open what serves for a brand; empty where nothing was added yet.

        Raises:
            IndexCorrupt: Files are missing or changed.
            IndexMismatch: Another encoder made the index.
        """
        return cls(brand_folder(home_knowledge, brand), encoder)

    @property
    def version(self) -> str:
        """Name of the version that is searched."""
        return self._snapshot.version.name

    def documents(self) -> tuple[Document, ...]:
        """All documents, by name."""
        return self._snapshot.version.documents

    def refresh(self) -> bool:
        """Take up a new version where the pointer moved.

        Returns:
            Whether the version changed. On an error the old version goes on serving.

        Raises:
            IndexCorrupt: The new version is damaged.
            IndexMismatch: The new version belongs to another encoder.
        """
        with self._refreshing:
            if (current_version(self._folder) or EMPTY) == self.version:
                return False
            self._snapshot = self._load()
            return True

    def search(self, question: str, *, history: Sequence[str] = (), top_k: int = 4) -> SearchResult:
        """Find passages for a question.

        Args:
            question: The visitor's latest message.
            history: The visitor's earlier messages, oldest first; used where the question needs them.
            top_k: Passages to return, at most.

        Returns:
            Passages, best first, and how probable it is that they hold the answer.
        """
        snapshot = self._snapshot
        version = snapshot.version
        query = snapshot.spelling.correct(condense(question, history))
        if not version.chunks or not query.strip():
            return SearchResult(query, (), version.name, 0.0)
        vector = self._encoder.encode_query(query)
        bm25 = version.lexical.scores(stems(query))
        candidates = _candidates(version, vector, bm25)
        dense, lexical = version.index.cosines(vector, candidates), bm25[candidates]
        fused, scaled = fuse(dense, lexical), min_max(lexical)
        best = np.argsort(-fused, kind="stable")[: max(RERANKED, top_k)]
        late = version.tokens.scores(self._encoder.encode_query_tokens(query), candidates[best].tolist())
        mixed = rerank(fused[best], late)
        passages = tuple(
            _passage(
                version.chunks[candidates[best[at]]],
                float(mixed[at]),
                {"dense": float(dense[best[at]]), "lexical": float(scaled[best[at]]), "late": float(late[at])},
            )
            for at in np.argsort(-mixed, kind="stable")[:top_k]
        )
        features = answerability.features(query, passages)
        return SearchResult(query, passages, version.name, answerability.answerability(features), features)

    def _load(self) -> _Snapshot:
        name = current_version(self._folder)
        version = (
            Version.empty(EMPTY, self._encoder.dim) if name is None else open_version(self._folder, name, self._encoder)
        )
        return _Snapshot(version, Spelling(map(searchable, version.chunks), self._encoder.is_word))


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What one search reads, replaced as a whole."""

    version: Version
    spelling: Spelling


def _candidates(version: Version, vector: Vectors, bm25: NDArray[np.float32]) -> NDArray[np.int64]:
    """Positions of the chunks that either ranking puts near its top, ascending."""
    nearest, _ = version.index.search(vector, CANDIDATES)
    worded = np.argsort(-bm25, kind="stable")[:CANDIDATES]
    return np.union1d(nearest, worded[bm25[worded] > 0])


def _passage(chunk: Chunk, score: float, scores: Mapping[str, float]) -> Passage:
    return Passage(
        document=chunk.document,
        title=chunk.title,
        heading=chunk.heading,
        text=chunk.text,
        score=score,
        scores=scores,
        start=chunk.start,
        end=chunk.end,
    )
