"""A turn that was wrong, and what somebody says of it, as a correction that waits for review."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, exists, select

from configs.verdict import BASE_VERSION
from service.corrections.masking import Masker
from service.corrections.terms import MAX_REPLY, OUTCOMES, Change, Outcome, Proposal
from service.errors import ConversationUnknown, NotPossible, RequestInvalid
from service.storage.database import now
from service.storage.ids import fresh_id
from service.storage.tables import conversations, corrections, feedback, turns
from service.turns.grounded import strip_marks
from service.turns.handover_rules import keyword_in

MAX_PAGE = 400_000
OPEN = ("proposed", "accepted")


@dataclass(frozen=True, slots=True)
class Draft:
    """What a correction begins with: a turn as it was."""

    turn: str
    brand: str
    question: str
    said: str
    """Without citation marks."""
    outcome: str | None
    adapter_version: str | None
    documents: tuple[str, ...]
    """Pages that the answer cited."""
    passages: tuple[Mapping[str, Any], ...]
    """What was found for it: document, title, text."""
    history: tuple[Mapping[str, str], ...]
    """Messages before the question, as the model read them."""
    prompt: tuple[Mapping[str, str], ...] | None
    """The whole prompt, where an adapter got one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the bot, to be looked at."""

    turn: str
    question: str
    said: str
    outcome: str | None
    at: datetime
    thumb: str | None
    corrected: bool
    """Whether somebody has corrected it, or wants to."""


def latest(connection: Connection, brand: str, limit: int = 20) -> list[Answer]:
    """The bot's last answers, those with a thumb down first."""
    mine = exists().where(corrections.c.turn_id == turns.c.id, corrections.c.state.in_(OPEN))
    query = (
        select(turns, feedback.c.value.label("thumb"), mine.label("corrected"))
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .outerjoin(feedback, feedback.c.turn_id == turns.c.id)
        .where(conversations.c.brand == brand, turns.c.state == "done", turns.c.author.is_(None))
        .where(turns.c.question != "", turns.c.text != "")
        .order_by(turns.c.created_at.desc())
        .limit(limit)
    )
    found = [
        Answer(row.id, row.question, strip_marks(row.text), row.outcome, row.created_at, row.thumb, bool(row.corrected))
        for row in connection.execute(query).all()
    ]
    return sorted(found, key=lambda one: one.thumb != "down")


def draft(connection: Connection, turn: str) -> Draft:
    """Look a turn up.

    Raises:
        ConversationUnknown: No such turn.
        NotPossible: The bot has said nothing in it.
    """
    query = (
        select(turns, conversations.c.brand)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(turns.c.id == turn)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise ConversationUnknown(f"There is no turn {turn!r}.")
    if row.state != "done" or row.author is not None or not row.question.strip() or not row.text.strip():
        raise NotPossible("Only what the bot answered to a question can be corrected.")
    return _draft(row)


def _draft(row: Row[Any]) -> Draft:
    evidence = row.evidence or {}
    prompt: Sequence[Mapping[str, str]] = evidence.get("prompt") or ()
    # The base model reads the voice guide, which no adapter is trained with.
    an_adapter = row.adapter_version not in (None, "", BASE_VERSION, "none")
    cited = dict.fromkeys(one["document"] for one in row.citations or ())
    return Draft(
        row.id,
        row.brand,
        row.question.strip(),
        strip_marks(row.text),
        row.outcome,
        row.adapter_version,
        tuple(cited),
        tuple((evidence.get("search") or {}).get("passages", ())),
        tuple(one for one in prompt[1:-1]),
        tuple(prompt) if prompt and an_adapter else None,
    )


def checked(proposal: Proposal, about: Draft, documents: Collection[str]) -> Proposal:
    """A proposal with what its kind needs and nothing else.

    Args:
        proposal: As it came.
        about: The turn.
        documents: Names of the pages there are.

    Raises:
        RequestInvalid: Something is missing, or cannot be meant.
    """
    corrected = (proposal.corrected or "").strip() or None
    if proposal.kind == "fact":
        if not proposal.document or not proposal.document_sha256 or not (proposal.document_text or "").strip():
            raise RequestInvalid("A wrong fact needs the page that says it, and what it shall say.", param="document")
        holds = tuple(one.strip() for one in proposal.holds if one.strip())
        return _with(proposal, corrected=corrected, outcome="answered", holds=holds)
    keyword = (proposal.keyword or "").strip() or None
    if keyword and proposal.kind == "handover" and keyword_in(about.question, [keyword]) is None:
        raise RequestInvalid(f"{keyword!r} does not stand in what the customer wrote.", param="keyword")
    if corrected is None and not (keyword and proposal.kind == "handover"):
        raise RequestInvalid("The reply as it should have been is missing.", param="corrected")
    if corrected == about.said and proposal.kind != "handover":
        raise RequestInvalid("The corrected reply is what was said.", param="corrected")
    outcome = OUTCOMES.get(proposal.kind) or proposal.outcome or _outcome(about)
    named = tuple(dict.fromkeys(proposal.documents or about.documents)) if outcome == "answered" and corrected else ()
    if outcome == "answered" and not named:
        raise RequestInvalid("Name the pages that the corrected answer rests on.", param="documents")
    if unknown := [one for one in named if one not in documents]:
        raise RequestInvalid(f"There is no page {', '.join(unknown)}.", param="documents")
    return _with(
        proposal,
        corrected=corrected,
        outcome=outcome,
        documents=named,
        keyword=keyword if proposal.kind == "handover" else None,
    )


def _outcome(about: Draft) -> Outcome:
    known: Mapping[str, Outcome] = {
        "answered": "answered", "refused": "refused", "handed_off": "handed_off", "small_talk": "small_talk"
    }  # fmt: skip
    return known.get(about.outcome or "", "answered")


def _with(proposal: Proposal, **kept: Any) -> Proposal:
    """Only what every proposal has, and what is named."""
    fact = proposal.kind == "fact"
    return Proposal(
        proposal.turn,
        proposal.kind,
        proposal.by,
        proposal.why.strip(),
        document=proposal.document if fact else None,
        document_sha256=proposal.document_sha256 if fact else None,
        document_text=proposal.document_text if fact else None,
        **kept,
    )


def row_of(proposal: Proposal, about: Draft, masker: Masker) -> dict[str, Any]:
    """The row of a proposal, with personal data hidden."""
    masker.meet(about.question, proposal.corrected, proposal.why, *(one["content"] for one in about.history))
    row: dict[str, Any] = {
        "id": fresh_id(),
        "turn_id": about.turn,
        "brand": about.brand,
        "adapter_version": about.adapter_version,
        "kind": proposal.kind,
        "state": "proposed",
        "question": masker.customer(about.question),
        "said": masker.reply(about.said),
        "corrected": masker.reply(proposal.corrected) if proposal.corrected else None,
        "outcome": proposal.outcome,
        "documents": list(proposal.documents),
        "history": masker.messages(about.history),
        "prompt": masker.messages(about.prompt) if about.prompt else None,
        "why": masker.customer(proposal.why),
        "document": proposal.document,
        "document_sha256": proposal.document_sha256,
        "document_text": proposal.document_text,
        "holds": list(proposal.holds),
        "keyword": proposal.keyword,
        "proposed_by": proposal.by.name,
        "proposed_key": proposal.by.key,
        "proposed_at": now(),
    }
    fits(row)
    return row | {"masked": masker.hidden}


def fits(row: Mapping[str, Any]) -> None:
    """Refuse what training or the knowledge could not read.

    Raises:
        RequestInvalid: It is too long.
    """
    for name, most in (("question", MAX_REPLY), ("corrected", MAX_REPLY), ("document_text", MAX_PAGE)):
        if len(row.get(name) or "") > most:
            raise RequestInvalid(f"{name} has more than {most} characters.", param=name)


def keep(connection: Connection, row: Mapping[str, Any]) -> None:
    """Keep a proposal, unless the turn has one already that would teach something else.

    Raises:
        ConversationUnknown: The turn was deleted meanwhile.
        NotPossible: It has one.
    """
    lock = select(turns.c.id).where(turns.c.id == row["turn_id"]).with_for_update()
    if connection.execute(lock).one_or_none() is None:
        raise ConversationUnknown("The turn was deleted meanwhile.")
    same = corrections.c.kind == "fact" if row["kind"] == "fact" else corrections.c.kind != "fact"
    query = select(corrections.c.proposed_by).where(
        corrections.c.turn_id == row["turn_id"], corrections.c.state.in_(OPEN), same
    )
    if (other := connection.execute(query).scalars().first()) is not None:
        raise NotPossible(f"{other} has corrected this answer already; look at it in the review.")
    connection.execute(corrections.insert(), dict(row))


def changed(change: Change, masker: Masker) -> dict[str, Any]:
    """The fields that a change sets, with personal data hidden."""
    given: dict[str, Any] = {
        "corrected": masker.reply(change.corrected.strip()) if change.corrected else None,
        "documents": list(change.documents) if change.documents is not None else None,
        "document_sha256": change.document_sha256,
        "document_text": change.document_text,
        "holds": [one.strip() for one in change.holds if one.strip()] if change.holds is not None else None,
        "keyword": (change.keyword or "").strip() or None,
    }
    return {name: value for name, value in given.items() if value is not None}
