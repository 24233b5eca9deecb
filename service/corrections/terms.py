"""The nouns of corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row

Kind = Literal["fact", "voice", "behaviour", "refusal", "handover"]
"""What was wrong: a fact of a page; how it was said; what was said or done; that it was answered at all; that no person
was called."""
State = Literal["proposed", "accepted", "rejected", "withdrawn"]
"""`withdrawn`: accepted once, and taken back since."""
Outcome = Literal["answered", "refused", "handed_off", "small_talk"]
MAX_REPLY = 4000
"""Characters; what training reads of one message."""
OUTCOMES: Mapping[Kind, Outcome] = {"refusal": "refused", "handover": "handed_off"}
"""What a corrected reply does, where its kind says so."""


@dataclass(frozen=True, slots=True)
class Who:
    """A person who proposes or reviews."""

    name: str
    id: str | None = None
    """Of their account; callers of the API name themselves."""

    @property
    def key(self) -> str:
        """Tells people apart: names may be alike, or change."""
        return self.id or self.name


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a person says was wrong with a turn, and how it is right."""

    turn: str
    kind: Kind
    by: Who
    why: str = ""
    corrected: str | None = None
    """The reply as it should have been."""
    outcome: Outcome | None = None
    documents: Sequence[str] = ()
    """Pages that a corrected answer rests on."""
    document: str | None = None
    """Of a wrong fact: the page that says it."""
    document_sha256: str | None = None
    """Digest of its text when the edit began."""
    document_text: str | None = None
    """All that it shall say."""
    holds: Sequence[str] = ()
    """Strings that a right answer holds."""
    keyword: str | None = None
    """Of a missed hand-over: words that call for a person from now on."""


@dataclass(frozen=True, slots=True)
class Change:
    """New words of a correction that is under review; None leaves a field as it is."""

    corrected: str | None = None
    documents: Sequence[str] | None = None
    document_sha256: str | None = None
    document_text: str | None = None
    holds: Sequence[str] | None = None
    keyword: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return self == Change()


@dataclass(frozen=True, slots=True)
class Review:
    """What one person said of one state of the words."""

    by: str
    key: str
    """See `Who`."""
    revision: int
    accepts: bool
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction as it is kept."""

    id: str
    turn_id: str
    brand: str
    adapter_version: str | None
    kind: Kind
    state: State
    revision: int
    question: str
    said: str
    corrected: str | None
    outcome: Outcome | None
    documents: Sequence[str]
    history: Sequence[Mapping[str, str]]
    prompt: Sequence[Mapping[str, str]] | None
    why: str
    document: str | None
    document_sha256: str | None
    document_text: str | None
    holds: Sequence[str]
    knowledge_version: str | None
    keyword: str | None
    masked: int
    """Pieces of personal data that were hidden."""
    proposed_by: str
    proposed_key: str
    proposed_at: datetime
    decided_at: datetime | None
    reviews: tuple[Review, ...] = field(default=())

    @classmethod
    def of(cls, row: Row[Any], reviews: Sequence[Row[Any]] = ()) -> Correction:
        """As the tables have it."""
        held = tuple(Review(one.by, one.key, one.revision, one.accepts, one.note, one.at) for one in reviews)
        return cls(**{name: getattr(row, name) for name in cls.__slots__ if name != "reviews"}, reviews=held)

    @property
    def current_reviews(self) -> tuple[Review, ...]:
        """Those of the words as they stand."""
        return tuple(one for one in self.reviews if one.revision == self.revision)
