"""What programs and pages see of the bench: runs, answers, votes, who wins."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Letter = Literal["A", "B", "C", "D"]
LETTERS: tuple[Letter, ...] = ("A", "B", "C", "D")
Best = Letter | Literal["equal"]
Tag = Literal["voice", "facts", "complete", "short", "kind", "honest"]
TAGS: tuple[Tag, ...] = ("voice", "facts", "complete", "short", "kind", "honest")
"""Why an answer was better."""


class Shown(BaseModel):
    """Read, never changed."""

    model_config = ConfigDict(frozen=True)


class Sentence(Shown):
    """One sentence with what it rests on."""

    text: str
    basis: Literal["passage", "style", "question", "own_words", "promise", "nothing", "unchecked"] = Field(
        description="`own_words` the brand wrote, no model; `promise` and `nothing` the check does not let pass."
    )
    source: int | None = Field(default=None, description="Number of the passage that it rests on, from 1.")
    score: float | None = Field(default=None, description="How well that passage supports it, 0 to 1.")
    missing: tuple[str, ...] = Field(default=(), description="What the best passage lacks.")
    reason: str = Field(default="", description="Why it may not be shown; empty where it may.")
    shown: bool = Field(default=True, description="Whether it stands in the answer; else it was held back.")


class Voice(Shown):
    """How much an answer sounds like the brand."""

    score: float | None = Field(default=None, description="0 to 1, as the gate measures it; null where it cannot be.")
    reasons: tuple[str, ...] = Field(default=(), description="What speaks for or against it; what tells most first.")


class ShownAnswer(Shown):
    """One answer. All below `sentences` is null while a blind run waits for your vote."""

    letter: Letter
    state: Literal["waiting", "done", "failed"]
    text: str = Field(default="", description="With its citation marks.")
    outcome: str | None = None
    sentences: tuple[Sentence, ...] = ()
    contender: str | None = Field(default=None, description="As it was asked for, such as `base:no-guide`.")
    version: str | None = Field(default=None, description="The weights that spoke.")
    voice: Voice | None = None
    prompt: list[dict[str, str]] | None = Field(default=None, description="The exact prompt.")
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    timings_ms: dict[str, float] | None = None
    ms: float | None = Field(default=None, description="From the end of the search to the end of the answer.")
    error: str | None = Field(default=None, description="Why there is no answer.")


class Vote(Shown):
    """Which answer is the best, and why."""

    best: Best = Field(description="Its letter, or `equal`.")
    tags: tuple[Tag, ...] = Field(default=(), max_length=len(TAGS), description="What it is better in.")
    note: str = Field(default="", max_length=2000, description="Why, in your own words.")


class Run(Shown):
    """One question with the answers of two to four voices, from the same passages."""

    id: str
    brand: str
    question: str
    turn: str | None = Field(description="The past turn that is replayed, with its history.")
    blind: bool
    served: bool = Field(description="Answered as customers are; else all that the models wrote stays.")
    hidden: bool = Field(description="Who wrote what is told when you have voted.")
    knowledge_version: str | None
    passages: tuple[dict[str, Any], ...] = Field(description="Found once, for all voices; each with its digest.")
    passages_sha256: str = Field(description="Digest of all of them in their order.")
    asked_at: datetime
    answers: tuple[ShownAnswer, ...]
    vote: Vote | None = Field(description="Your own.")

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return all(one.state != "waiting" for one in self.answers)

    @property
    def votable(self) -> bool:
        """Whether you may vote on it."""
        return self.hidden and all(one.state == "done" for one in self.answers)


class RunRequest(BaseModel):
    """What to compare."""

    model_config = ConfigDict(extra="forbid")

    brand: str | None = Field(default=None, description="Needed with a question of your own.")
    question: str | None = Field(default=None, description="One question without a history.")
    turn: str | None = Field(default=None, description="A past turn to replay, in place of a question.")
    contenders: tuple[str, ...] = Field(
        min_length=2,
        max_length=4,
        description="Two to four: `base` (with the voice guide), a version of the adapter, either with "
        "`:no-knowledge`, and `base:no-guide`, which is the adapter's prompt without the adapter.",
    )
    blind: bool = Field(default=False, description="Shuffle them, and hide who wrote what until you have voted.")
    served: bool = Field(default=False, description="Answer as customers are answered.")


class PairShown(Shown):
    """Two voices that were voted on together."""

    one: str
    other: str
    wins: int = Field(description="Of `one`.")
    losses: int
    ties: int
    rate: float = Field(description="Share that `one` won; a tie is half a win.")
    low: float = Field(description="Lower end of the 95 % interval (Wilson).")
    high: float


class RankedShown(Shown):
    """The place of one voice among three or more."""

    contender: str
    strength: float = Field(description="How often it would win against another one, 0 to 1 (Bradley-Terry).")
    low: float = Field(description="Lower end of the 95 % interval (bootstrap over the votes).")
    high: float


class Results(Shown):
    """Who wins, by all blind votes on a brand's voices."""

    brand: str
    votes: int
    pairs: tuple[PairShown, ...]
    ranking: tuple[RankedShown, ...] = Field(description="The strongest first; empty with fewer than three voices.")


class VoiceOffered(Shown):
    """A way to answer that can be chosen."""

    contender: str
    kind: Literal["base", "active", "version", "base_bare", "no_knowledge"]
    created_at: str | None = None


class TurnOffered(Shown):
    """A past turn that can be replayed."""

    turn: str
    question: str
    outcome: str | None
    created_at: datetime


class Offers(Shown):
    """What can be asked, and who can answer."""

    brand: str
    contenders: tuple[VoiceOffered, ...]
    starters: tuple[str, ...] = Field(description="Questions that the brand's widget offers.")
    questions: tuple[str, ...] = Field(description="Of the brand's held-out questions.")
    turns: tuple[TurnOffered, ...] = Field(description="The latest that the bot ended, newest first.")
