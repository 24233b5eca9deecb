"""What `/v1/brands/{brand}/knowledge` takes and gives; the pages show the same."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.console.bench.shown import Shown
from service.console.inspector.inspecting import Candidate
from service.intake.terms import Kind, Outcome, State, Step

MOST_CHARS = 1_000_000
"""Of a text that is edited here."""
By = Annotated[str | None, Field(max_length=100, description="Who does it, where an API key asks.", examples=["Anna"])]
Name = Annotated[str, Field(max_length=400, description="As the list names it.", examples=["returns.md"])]
Text = Annotated[str, Field(max_length=MOST_CHARS, description="All that the document says; Markdown.")]
Origin = Literal["web", "pages", "written", "brought", "file"]
"""Where a document came from: an address, the brand's folder, a person's words, a person's file, another file."""


class IndexShown(Shown):
    """The state of what is searched."""

    version: str | None = Field(description="That serves; null where nothing was added yet.")
    searched: str = Field(description="What this gateway searches; it takes up `version` within two seconds.")
    created: datetime | None
    by: str = Field(description="Who made the version; empty for the command line.")
    documents: int
    passages: int
    duplicates: int = Field(description="Passages that are not searched because another one says the same.")
    encoder: str = Field(description="What turns passages into vectors.")


class DocumentLine(Shown):
    """One document of the list."""

    document: str
    title: str
    origin: Origin
    address: str | None = Field(description="Where it was fetched from.")
    characters: int
    passages: int
    audience: str = Field(description="`internal` documents never reach customers.")
    changed: datetime | None = Field(description="When it came, or last said something else; null of older ones.")
    by: str = Field(description="Who changed it; empty for the command line.")


class DocumentsShown(Shown):
    """Documents, by name."""

    documents: tuple[DocumentLine, ...]
    total: int = Field(description="Of the whole list, that were looked for.")


class PassageShown(Shown):
    """A passage as search has it."""

    id: str
    heading: str = Field(description="Path of headings above it.")
    text: str
    start: int = Field(description="Offset in the document's text.")
    page: int | None
    tokens: int | None = Field(description="Of the base model; null where nothing can count.")
    same_as: str | None = Field(description="The passage that is searched in its place.")
    left_out: tuple[str, ...] = Field(description="Sentences that no model reads, because they instruct an assistant.")


class EarlierText(Shown):
    """A kept version in which a document says something else."""

    version: str
    created: datetime
    by: str


class DocumentShown(DocumentLine):
    """One document with its text and passages."""

    text: str
    sha256: str = Field(description="Of the text; an edit says what it was made of.")
    details: dict[str, str] = Field(description="What it says about itself: language, days, source.")
    cut: tuple[PassageShown, ...] = Field(description="Its passages, in the order of the text.")
    earlier: tuple[EarlierText, ...] = Field(description="What it said before, newest first.")


class Edit(BaseModel):
    """Other words for a document."""

    text: Text
    sha256: str = Field(max_length=64, description="Of the text that was edited.")
    by: By = None


class ToCompare(BaseModel):
    """Words to be compared with those that serve."""

    document: Name
    text: Text


class LineShown(BaseModel):
    """One line of a difference."""

    model_config = ConfigDict(from_attributes=True)
    sign: Literal[" ", "-", "+", "…"] = Field(description="`…` stands for lines that are alike and left out.")
    text: str


class LinesShown(Shown):
    """What changes, line by line."""

    lines: tuple[LineShown, ...]


class Named(BaseModel):
    """Documents that go."""

    documents: list[Name] = Field(min_length=1, max_length=500)
    by: By = None


class Restored(BaseModel):
    """A document that shall say again what it said in a version."""

    document: Name
    version: str = Field(max_length=64)
    by: By = None


class Serving(Shown):
    """The version that serves now."""

    version: str


class RemovedLine(Shown):
    """A document that was removed, and the newest kept version that holds it."""

    document: str
    title: str
    version: str


class RemovedShown(Shown):
    """Documents that can be brought back, by name."""

    documents: tuple[RemovedLine, ...]


class Written(BaseModel):
    """A page that is written here."""

    title: str = Field(max_length=200, examples=["Gift wrapping"])
    text: Text
    by: By = None


class Address(BaseModel):
    """What to fetch."""

    address: str = Field(max_length=2000, examples=["https://shop.example/sitemap.xml"])
    by: By = None


class ResultShown(BaseModel):
    """What became of one file or page."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    outcome: Outcome
    reason: str = Field(description="Why it was refused.")
    notes: tuple[str, ...] = Field(description="What was hidden in it and left out, or how it was read.")
    left_out: tuple[str, ...] = Field(description="Sentences that no model reads, because they instruct an assistant.")


class JobShown(BaseModel):
    """Files or pages on their way into the knowledge."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    brand: str
    kind: Kind
    source: str = Field(description="The address; of files, the first one's name.")
    state: State = Field(description="`interrupted`: the gateway that did it ended first, and nothing was taken in.")
    step: Step
    done: int = Field(description="Files or pages read, then passages embedded.")
    total: int | None = Field(description="Of how many; null where nobody knows yet.")
    at: str = Field(description="What is read now.")
    results: tuple[ResultShown, ...]
    version: str | None = Field(description="That serves the result; null where nothing was taken in.")
    error: str | None
    stopping: bool
    started_by: str
    started_at: datetime
    ended_at: datetime | None


class JobsShown(Shown):
    """Jobs, newest first."""

    jobs: tuple[JobShown, ...]


class SearchShown(Shown):
    """What a question finds."""

    question: str
    query: str = Field(description="As it was searched: slips of the keyboard put right.")
    version: str
    answerability: float = Field(description="Probability that the first passages hold the answer.")
    min_answerability: float = Field(description="Below it the question is refused.")
    candidates: tuple[Candidate, ...] = Field(description="Best first, each with its scores of every stage.")


class VersionLine(BaseModel):
    """One version, and what it changed against the one that was made before it."""

    model_config = ConfigDict(from_attributes=True)
    version: str = Field(validation_alias="name")
    created: datetime
    by: str = Field(description="Who made it; empty for the command line.")
    documents: int
    passages: int = Field(validation_alias="chunks")
    active: bool = Field(description="Whether it serves now.")
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


class VersionsShown(Shown):
    """The versions that are kept, the newest first."""

    versions: tuple[VersionLine, ...]


class ComparedShown(Shown):
    """What would change if a version served instead of another one."""

    version: str
    against: str = Field(description="What serves, where nothing else was asked for.")
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


class BackTo(BaseModel):
    """Let a version serve again."""

    expected: str | None = Field(default=None, max_length=64, description="What serves now, as far as one knows.")
    by: By = None
