"""The nouns of retrieval: a Document is split into Chunks; a Passage is a Chunk with its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from retrieval.metadata import PLAIN, Metadata


@dataclass(frozen=True, slots=True)
class Document:
    """One page of a brand's knowledge, as loaded."""

    id: str
    """Stable name inside the knowledge base: the path below the added folder, such as `returns.md`."""
    title: str
    text: str
    """Markdown or plain text, NFC, newline-separated."""
    sha256: str
    """Hex digest of the text's UTF-8 bytes; unchanged documents are not embedded again."""
    metadata: Metadata = PLAIN
    pages: tuple[int, ...] = ()
    """Where each page begins, as an offset in characters; empty for formats without pages."""

    def __post_init__(self) -> None:
        # JSON, in which documents are stored, has lists only.
        object.__setattr__(self, "pages", tuple(self.pages))


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document that is embedded, indexed and quoted whole."""

    id: str
    """`<document>#<ordinal>`."""
    document: str
    title: str
    heading: str
    """Heading path inside the document, such as `Returns > Opened items`; empty at the top."""
    text: str
    """Exactly `document.text[start:end]`, stripped of outer blanks."""
    start: int
    """Offset in characters into the document's text."""
    end: int
    page: int | None = None
    """The page that it begins on, counted from 1; None where the format has no pages."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as search returned it."""

    document: str
    title: str
    heading: str
    text: str
    score: float
    """Fused score, 0 to 1, higher is better."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Per stage: `dense` (cosine), `lexical` (BM25, min-max normalised), `fused` of both, `late` and `cross` where they
    looked at it."""
    start: int = 0
    end: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What was noted of a chunk when it was taken in."""

    by: str
    """Fingerprint of the judge (see `retrieval.grounding.fence`)."""
    instructions: tuple[str, ...]
    """Sentences that instruct an assistant, as written; a model must not read them."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one search found, with what a decision needs to know about it."""

    query: str
    """The query as searched, after the history was folded in."""
    passages: tuple[Passage, ...]
    """Best first; empty when the knowledge base is empty."""
    knowledge_version: str
    answerability: float
    """Probability, 0 to 1, that the passages hold the answer (see `retrieval.search.answerability`)."""
    features: Mapping[str, float] = field(default_factory=dict)
    """What the probability was computed from; kept as evidence."""
    noted: Mapping[int, Noted] = field(default_factory=dict)
    """By place among the passages; absent where nobody judged the chunk when it was taken in."""
