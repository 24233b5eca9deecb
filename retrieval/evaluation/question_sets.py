"""A corpus and questions about it as JSON lines, read strictly: a bad line stops the run.

{"id": "returns", "title": "Returns", "text": "Within 30 days ..."}
{"question": "Until when can I return it?", "gold": ["returns"], "answerable": true}
{"messages": [{"role": "user", "content": "..."}, ...], "gold": ["returns"]}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from retrieval.documents.loading import document_from_text
from retrieval.errors import BadLine, LinesInvalid
from retrieval.json_lines import read_lines
from retrieval.passages import Document

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Line(BaseModel):
    """One object a line; further keys are somebody else's and left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CorpusLine(_Line):
    """A whole document or a passage of one."""

    id: Text
    title: str = ""
    text: Text

    def document(self) -> Document:
        """The document as service would hold it: the title is its first heading."""
        title = " ".join(self.title.split())
        text = f"# {title}\n\n{self.text}" if title else self.text
        document = document_from_text(self.id, text)
        return Document(self.id, title, document.text, document.sha256)


class Message(_Line):
    """One message of a conversation."""

    role: str
    content: str


class QuestionLine(_Line):
    """A question, alone or as the end of a conversation (which wins), with what is known about its answer."""

    question: Text | None = None
    messages: tuple[Message, ...] = ()
    gold: tuple[str, ...] | None = None
    answerable: bool | None = None

    @model_validator(mode="after")
    def _is_a_question(self) -> Self:
        if self.question is None and not self.messages:
            raise ValueError("give `question` or `messages`")
        if self.messages and not self.said():
            raise ValueError("none of `messages` is a user's, so nothing is asked")
        if self.gold is None and self.answerable is None:
            raise ValueError("give `gold`, `answerable` or both")
        return self

    def said(self) -> list[str]:
        """What the user said in `messages`, oldest first."""
        return [one.content.strip() for one in self.messages if one.role == "user" and one.content.strip()]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the search takes it."""

    question: str
    history: tuple[str, ...] = ()
    """The visitor's earlier messages, oldest first."""
    gold: tuple[str, ...] = ()
    """Ids of the documents that hold the answer; empty where none is named."""
    answerable: bool | None = None
    """None where it is not said."""


def read_corpus(path: Path) -> tuple[Document, ...]:
    """Read a corpus, in the order of the file.

    Raises:
        LinesInvalid: The file cannot be read, is empty, or a line is broken or repeats an id; the bad lines are named.
    """
    bad: list[BadLine] = []
    seen: dict[str, int] = {}
    documents = []
    for number, line in read_lines(path, CorpusLine, bad):
        if line.id in seen:
            bad.append(BadLine(path, number, f"the id {line.id!r} stands in line {seen[line.id]} already"))
        seen.setdefault(line.id, number)
        documents.append(line.document())
    _refuse(path, bad, empty=not documents)
    return tuple(documents)


def read_questions(path: Path) -> tuple[Asked, ...]:
    """Read questions, in the order of the file; of a conversation the last user message is the question.

    Raises:
        LinesInvalid: As for a corpus.
    """
    bad: list[BadLine] = []
    asked = [_asked(line) for _, line in read_lines(path, QuestionLine, bad)]
    _refuse(path, bad, empty=not asked)
    return tuple(asked)


def _asked(line: QuestionLine) -> Asked:
    *history, question = line.said() or [line.question or ""]
    return Asked(question, tuple(history), tuple(dict.fromkeys(line.gold or ())), line.answerable)


def _refuse(path: Path, bad: list[BadLine], *, empty: bool) -> None:
    if empty and not bad:
        bad.append(BadLine(path, 1, "the file is empty"))
    if bad:
        raise LinesInvalid(sorted(bad, key=lambda one: one.line))
