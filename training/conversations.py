"""Conversations as authors write them, one JSON object a line, read strictly: a bad line stops the run.

{"id": "returns-001", "topic": "returns", "shared_policy": true, "messages": [
  {"role": "user", "content": "Until when can I return it?"},
  {"role": "assistant", "content": "Within 30 days.", "outcome": "answered", "documents": ["returns.md"]}]}

A conversation that a model wrote says so (`synthetic`) and is refused until a person has approved it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from configs.brand import Strict
from retrieval.errors import BadLine
from retrieval.json_lines import read_lines
from training.errors import DataInvalid

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Outcome = Literal["answered", "refused", "handed_off", "small_talk"]


class UserMessage(Strict):
    """What the visitor wrote."""

    role: Literal["user"]
    content: Text


class AssistantMessage(Strict):
    """What the brand replied: the text that is learnt."""

    role: Literal["assistant"]
    content: Text
    outcome: Outcome
    documents: tuple[str, ...] = ()
    """Pages that the reply rests on; at least one where it answers, none elsewhere."""
    learnt: bool = True
    """False for what was only said before: it stands in the prompts of the replies after it."""

    @model_validator(mode="after")
    def _documents_fit_the_outcome(self) -> Self:
        if self.outcome == "answered" and not self.documents:
            raise ValueError("an answered reply names the documents that it rests on")
        if self.outcome != "answered" and self.documents:
            raise ValueError(f"a reply with outcome {self.outcome!r} names no documents")
        return self


class Synthetic(Strict):
    """How a model came to write a conversation, and what a person said of it (`training.synthetic`)."""

    kind: Literal["answer", "refusal", "paraphrase"]
    brand: str
    model: str
    prompt: str
    """Version of the prompt (`training.synthetic.prompts`)."""
    seed: int
    made_at: AwareDatetime
    document: str
    passage: str
    """Id of the chunk that it was made from."""
    passage_text: str
    """What the reply was checked against, as it was then."""
    rewords: str | None = None
    """Of a paraphrase, the id of the conversation whose question it asks again."""
    voice: float | None = Field(default=None, ge=0, le=1)
    """How much the reply sounds like the brand; None where its voice cannot be learnt."""
    approved: bool = False
    decided_by: str | None = None
    decided_at: AwareDatetime | None = None
    edited: bool = False
    """Whether a person changed the words of the model."""

    @model_validator(mode="after")
    def _decisions_have_an_author(self) -> Self:
        if self.approved and not self.decided:
            raise ValueError("approved, but decided_by and decided_at do not say by whom and when")
        return self

    @property
    def decided(self) -> bool:
        """Whether a person has looked at it."""
        return bool(self.decided_by) and self.decided_at is not None


class Conversation(Strict):
    """User and assistant in turn, the user first."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    topic: str = Field(min_length=1)
    shared_policy: bool = False
    """Whether the facts stand in the pages of every sample brand, so that voices can be compared on them."""
    messages: tuple[Annotated[UserMessage | AssistantMessage, Field(discriminator="role")], ...] = Field(min_length=2)
    synthetic: Synthetic | None = None
    """Absent where people wrote it."""
    split: Literal["train", "evaluation"] | None = None
    """The side that `brandvoice data check --out` put it on; what lies in evaluation is not trained on."""
    source: str | None = None
    """File and line that it was read from, written there too."""

    @model_validator(mode="after")
    def _roles_alternate(self) -> Self:
        for number, message in enumerate(self.messages):
            if (message.role == "user") != (number % 2 == 0):
                raise ValueError(f"message {number + 1} has the role {message.role!r}; user and assistant take turns")
        if len(self.messages) % 2:
            raise ValueError("the last message is the user's; an assistant message ends a conversation")
        if not any(isinstance(one, AssistantMessage) and one.learnt for one in self.messages):
            raise ValueError("no reply of it is learnt; leave it out")
        return self


class Question(Strict):
    """A held-out question with what a right answer holds."""

    id: str = Field(min_length=1)
    question: Text
    document: str | None
    """The page that answers it; null where none does."""
    answer_contains: tuple[str, ...] = ()
    """Strings that a right answer holds, any letter case."""
    shared_policy: bool = False
    reference: Text | None = None
    """A right reply in the brand's own voice, for questions that a page answers."""
    handoff: bool = False
    """Whether it belongs to a person, whatever the pages say: a complaint, one's own data, the wish for a person."""

    @model_validator(mode="after")
    def _only_a_page_answers(self) -> Self:
        if self.handoff and self.document is not None:
            raise ValueError("a question that belongs to a person names no document")
        if self.reference is not None and self.document is None:
            raise ValueError("a reference stands only where a document answers")
        return self


Row = TypeVar("Row", Conversation, Question)


def read_conversations(path: Path) -> tuple[Conversation, ...]:
    """Read a file of conversations, in the order of the file.

    Raises:
        DataInvalid: The file cannot be read, is empty, or any of its lines is broken, repeats an id, or holds what a
            model wrote and nobody approved; all bad lines are named.
    """
    return _read(path, Conversation, lambda one: refusal(one.synthetic))


def refusal(synthetic: Synthetic | None) -> str | None:
    """Why a conversation may not be learnt from; None where people wrote or approved it."""
    if synthetic is None or synthetic.approved:
        return None
    if synthetic.decided:
        return f"synthetic, and {synthetic.decided_by} rejected it; `brandvoice data review FILE --out` leaves it out"
    return "synthetic, and nobody has approved it; look at it with `brandvoice data review FILE`"


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read a file of held-out questions, in the order of the file.

    Raises:
        DataInvalid: As for conversations.
    """
    return _read(path, Question, lambda _: None)


def data_sha256(conversations: Iterable[Conversation]) -> str:
    """Digest over what is learnt: blanks, key order, escapes and where a conversation came from leave it unchanged."""
    digest = hashlib.sha256()
    for conversation in conversations:
        learnt = conversation.model_dump(mode="json", exclude={"synthetic", "split", "source"})
        for message in learnt["messages"]:
            # Data from before there was the key keeps its digest.
            if message.get("learnt"):
                del message["learnt"]
        digest.update(json.dumps(learnt, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _read(path: Path, kind: type[Row], unfit: Callable[[Row], str | None]) -> tuple[Row, ...]:
    rows: list[Row] = []
    bad: list[BadLine] = []
    seen: dict[str, int] = {}
    for number, row in read_lines(path, kind, bad):
        if row.id in seen:
            bad.append(BadLine(path, number, f"the id {row.id!r} stands in line {seen[row.id]} already"))
        seen.setdefault(row.id, number)
        if reason := unfit(row):
            bad.append(BadLine(path, number, reason))
        rows.append(row)
    if not rows and not bad:
        bad.append(BadLine(path, 1, "the file is empty"))
    if bad:
        raise DataInvalid(sorted(bad, key=lambda one: one.line))
    return tuple(rows)
