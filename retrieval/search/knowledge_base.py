"""Search in one brand's knowledge: condense, search by meaning and by words, fuse, judge.

Safe for several threads. A search keeps the version it began with; `refresh` swaps versions between searches. What a
reader may not find (internal pages, pages out of their dates) is not there for them: neither found, nor counted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from retrieval.encoder import Encoder
from retrieval.errors import DocumentUnknown
from retrieval.knowledge.segment import read_documents
from retrieval.knowledge.spelling import Spelling
from retrieval.knowledge.version import Entry, StoredVersion, Version
from retrieval.knowledge.version_folder import SEGMENTS, brand_folder, current_version, open_version
from retrieval.metadata import Audience
from retrieval.passages import Passage, SearchResult
from retrieval.reranker import Reranker
from retrieval.search import answerability
from retrieval.search.asked import Asked
from retrieval.search.condense import Turn, condense, decay, window
from retrieval.search.fusion import min_max
from retrieval.search.ranking import Ranking, rank

EMPTY = "empty"
"""Version of a brand to which nothing was added yet."""
SNAPSHOTS = 16
"""Kinds of readers (audience, language, day) whose view of a version is kept."""
PassageState = Literal["current", "changed", "removed"]


class KnowledgeBase:
    """The knowledge of one brand, at the version its pointer names."""

    def __init__(
        self, folder: Path, encoder: Encoder, reranker: Reranker | None = None, asked: Asked | None = None
    ) -> None:
        self._folder = folder
        self._asked = asked
        self._encoder = encoder
        self._reranker = reranker
        self._refreshing = threading.Lock()
        self._opened = _Opened(StoredVersion(EMPTY, folder, encoder.dim, (), {}))
        self._opened = self._load()

    @classmethod
    def open(
        cls,
        home_knowledge: Path,
        brand: str,
        encoder: Encoder,
        reranker: Reranker | None = None,
        asked: Asked | None = None,
    ) -> KnowledgeBase:
        """Open what serves for a brand; empty where nothing was added yet.

        Args:
            home_knowledge: Where the knowledge of all brands lies.
            brand: Whose.
            encoder: That made the index.
            reranker: Reads the best passages of each search again; nobody does where absent.
            asked: What the brand was asked before; search alone decides where absent.

        Raises:
            IndexCorrupt: Files are missing or changed.
            IndexMismatch: Another encoder made the index.
        """
        return cls(brand_folder(home_knowledge, brand), encoder, reranker, asked)

    @property
    def version(self) -> str:
        """Name of the version that is searched."""
        return self._opened.stored.name

    @property
    def encoder(self) -> Encoder:
        """What the brand's knowledge is embedded and searched with."""
        return self._encoder

    @property
    def reranker(self) -> Reranker | None:
        """What reads the best passages again, where the brand has it."""
        return self._reranker

    def documents(self) -> tuple[Entry, ...]:
        """All documents, by name, without their texts."""
        return self._opened.stored.entries

    def searched(self, question: str = "", history: Sequence[str] = ()) -> tuple[Version, tuple[Turn, ...]]:
        """What customers search today, and a question as it is searched there."""
        snapshot = self._opened.snapshot("public", None, self._encoder)
        return snapshot.version, snapshot.turns(question, history)

    def state_of(self, document: str, passage: str) -> PassageState:
        """Whether a passage that was quoted once is still what customers are answered from."""
        stored = self._opened.stored
        entry = next((one for one in stored.entries if one.id == document), None)
        visible = entry and entry.metadata.visible(audience="public", language=None, today=_today())
        if entry is None or not visible:
            return "removed"
        return "current" if passage in self.text(document) else "changed"

    def text(self, document: str) -> str:
        """The text of a document.

        Raises:
            DocumentUnknown: There is no such document in the version that is searched.
            IndexCorrupt: It cannot be read.
        """
        stored = self._opened.stored
        for one in stored.entries:
            if one.id == document:
                rows = read_documents(self._folder / SEGMENTS / one.segment, frozenset({document}))
                return str(rows[document]["text"])
        raise DocumentUnknown(f"There is no document {document!r} in knowledge version {stored.name}.")

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
            self._opened = self._load()
            return True

    def search(
        self,
        question: str,
        *,
        history: Sequence[str] = (),
        top_k: int = 4,
        audience: Audience = "public",
        language: str | None = None,
    ) -> SearchResult:
        """Find passages for a question.

        Args:
            question: The visitor's latest message.
            history: The visitor's earlier messages, oldest first; used where the question needs them.
            top_k: Passages to return, at most.
            audience: Who asks: customers are `public`; `internal` readers find internal documents too.
            language: Only documents in this language, such as `de`, or in none that was named.

        Returns:
            Passages, best first, and how probable it is that they hold the answer.
        """
        snapshot = self._opened.snapshot(audience, language, self._encoder)
        version = snapshot.version
        query = snapshot.spelling.correct(condense(question, history))
        if not version.chunks or not query.strip():
            return SearchResult(query, (), version.name, 0.0)
        ranking = rank(version, self._encoder, snapshot.turns(question, history), self._reranker)
        passages = tuple(_passages(version, ranking, top_k))
        features = answerability.features(query, passages)
        if self._asked is not None:
            features["asked"] = self._asked.score(query)
        noted = {
            place: note
            for place in range(len(passages))
            if (note := version.noted(int(ranking.positions[place]))) is not None
        }
        return SearchResult(query, passages, version.name, answerability.answerability(features), features, noted)

    def _load(self) -> _Opened:
        name = current_version(self._folder)
        if name is None:
            opened = _Opened(StoredVersion(EMPTY, self._folder, self._encoder.dim, (), {}))
        else:
            opened = _Opened(open_version(self._folder, name, self._encoder, self._opened.stored.segments))
        # What customers search is made here, so that none of them waits for it.
        opened.snapshot("public", None, self._encoder)
        return opened


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What one search reads, replaced as a whole."""

    version: Version
    spelling: Spelling

    def turns(self, question: str, history: Sequence[str]) -> tuple[Turn, ...]:
        """What is searched, slips of the keyboard put right."""
        said = window(question, history, decay(self.version.chunks_per_document))
        return tuple(replace(one, text=self.spelling.correct(one.text)) for one in said)


class _Opened:
    """A version from disk, with what each kind of reader may find of it."""

    def __init__(self, stored: StoredVersion) -> None:
        self.stored = stored
        self._dated = stored.dated()
        self._snapshots: dict[tuple[Audience, str | None, date | None], _Snapshot] = {}

    def snapshot(self, audience: Audience, language: str | None, encoder: Encoder) -> _Snapshot:
        """What a reader may find today."""
        today = _today()
        key = (audience, language, today if self._dated else None)
        found = self._snapshots.get(key)
        if found is None:
            if len(self._snapshots) >= SNAPSHOTS:
                self._snapshots = {}
            version = self.stored.visible(audience=audience, language=language, today=today)
            found = self._snapshots[key] = _Snapshot(version, Spelling(version.vocabulary, encoder.is_word))
        return found


def _today() -> date:
    return datetime.now(UTC).date()


def _passages(version: Version, ranking: Ranking, top_k: int) -> Iterator[Passage]:
    scaled = min_max(ranking.lexical)
    for place in range(min(top_k, len(ranking))):
        chunk = version.chunks[int(ranking.positions[place])]
        scores = {
            "dense": ranking.dense[place],
            "lexical": scaled[place],
            "fused": ranking.fused[place],
            "late": ranking.late[place],
            "cross": ranking.cross[place],
        }
        yield Passage(
            document=chunk.document,
            title=chunk.title,
            heading=chunk.heading,
            text=chunk.text,
            score=float(ranking.score[place]),
            scores={stage: float(score) for stage, score in scores.items() if not np.isnan(score)},
            start=chunk.start,
            end=chunk.end,
            page=chunk.page,
        )
