"""Conversations and their turns: opened, shown, finished, explained."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, update

from service.database import Database, now
from service.errors import ConversationUnknown
from service.events import Reply
from service.outbox import OutboxItem, insert_item
from service.tables import conversations, feedback, handoffs, inbox, turns
from service.wire import citations_json

TRANSCRIPT_TURNS = 100


@dataclass(frozen=True, slots=True)
class VisitorConversation:
    """A widget's conversation, with the token that opens it again."""

    id: str
    visitor_token: str
    created: bool


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn as a widget shows it."""

    id: str
    """Empty while its message waits for the turn before it."""
    client_ids: tuple[str, ...]
    question: str
    state: str
    text: str
    outcome: str | None
    citations: Sequence[Mapping[str, Any]]
    feedback: str | None
    error_code: str | None
    at: datetime


async def open_visitor_conversation(
    db: Database, brand: str, conversation: str | None, visitor_token: str | None
) -> VisitorConversation:
    """Open a visitor's conversation; a wrong token or an unknown id gives a new one, never somebody else's."""
    if conversation and visitor_token:
        query = select(conversations.c.visitor_hash).where(
            conversations.c.id == conversation, conversations.c.channel == "web", conversations.c.brand == brand
        )
        known = await db.read(lambda connection: connection.execute(query).scalar_one_or_none())
        if known and hmac.compare_digest(known, _hash(visitor_token)):
            return VisitorConversation(conversation, visitor_token, created=False)
    # 128 bits from the system: ids cannot be guessed (OWASP ASVS 5.0, 11.5.1).
    fresh = secrets.token_urlsafe(16)
    token = secrets.token_urlsafe(16)
    row = {
        "id": fresh,
        "brand": brand,
        "channel": "web",
        "account": brand,
        "external_key": fresh,
        "visitor_hash": _hash(token),
        "created_at": now(),
    }
    await db.write(lambda connection: connection.execute(conversations.insert(), row))
    return VisitorConversation(fresh, token, created=True)


async def transcript(db: Database, conversation: str, limit: int = TRANSCRIPT_TURNS) -> list[TurnView]:
    """The last turns, oldest first, then messages that wait."""
    rows, messages = await db.read(lambda connection: _last_turns(connection, conversation, limit))
    client_ids: dict[str | None, list[str]] = {}
    for message in messages:
        client_ids.setdefault(message.turn_id, []).append(message.message_id.rpartition(":")[2])
    views = [
        TurnView(
            row.id,
            tuple(client_ids.get(row.id, ())),
            row.question,
            row.state,
            row.text,
            row.outcome,
            row.citations or (),
            row.thumb,
            row.error_code,
            row.created_at,
        )
        for row in rows
    ]
    views += [
        TurnView(
            "", (message.message_id.rpartition(":")[2],), message.text, "pending", "", None, (), None, None,
            message.received_at,
        )
        for message in messages
        if message.turn_id is None
    ]  # fmt: skip
    return views


def _last_turns(connection: Connection, conversation: str, limit: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """Turns with their thumbs, oldest first, and the messages of these turns and of none."""
    query = (
        select(turns, feedback.c.value.label("thumb"))
        .outerjoin(feedback, feedback.c.turn_id == turns.c.id)
        .where(turns.c.conversation_id == conversation)
        .order_by(turns.c.number.desc())
        .limit(limit)
    )
    rows = list(reversed(connection.execute(query).all()))
    theirs = (
        select(inbox.c.message_id, inbox.c.turn_id, inbox.c.text, inbox.c.received_at)
        .where(
            inbox.c.conversation_id == conversation,
            ~inbox.c.withdrawn,
            or_(inbox.c.turn_id.is_(None), inbox.c.turn_id.in_([row.id for row in rows])),
        )
        .order_by(inbox.c.id)
    )
    return rows, connection.execute(theirs).all()


def to_json(view: TurnView) -> dict[str, Any]:
    """A turn in the widget's protocol."""
    failed = view.state == "failed"
    return {
        "turn": view.id,
        "client_ids": list(view.client_ids),
        "question": view.question,
        "state": view.state,
        "sentences": [],
        "text": "" if failed else view.text,
        "outcome": view.outcome,
        "citations": list(view.citations),
        "feedback": view.feedback,
        "error": {"code": view.error_code, "message": view.text} if failed else None,
        "at": view.at.isoformat(),
    }


async def finish(db: Database, turn: str, reply: Reply, *, outbox: OutboxItem | None, handoff: str | None) -> None:
    """Store a reply, what must be sent, and who must hear of it, in one transaction; a second call changes nothing."""
    values = {
        "running_turn": turn,
        "state": "done",
        "text": reply.text,
        "outcome": reply.outcome,
        "citations": citations_json(reply.citations),
        "adapter_version": reply.adapter["version"],
        "prompt_tokens": reply.usage["prompt_tokens"],
        "completion_tokens": reply.usage["completion_tokens"],
        "timings": dict(reply.timings_ms),
        "evidence": dict(reply.evidence),
        "finished_at": now(),
    }

    def store(connection: Connection) -> None:
        if connection.execute(_END, values).rowcount == 0:
            return
        if outbox:
            connection.execute(insert_item(turn, outbox))
        if handoff:
            about = connection.execute(_WHOSE, {"turn": turn}).one()
            row = {"brand": about.brand, "conversation_id": about.id, "turn_id": turn, "reason": handoff}
            fresh = {"id": secrets.token_urlsafe(12), "state": "open", "created_at": now(), "attempts": 0}
            connection.execute(handoffs.insert(), row | fresh)

    await db.write(store)


async def fail(db: Database, turn: str, code: str, text: str, *, outbox: OutboxItem | None = None) -> None:
    """End a turn without a reply; the text is what the visitor reads."""
    values = {"running_turn": turn, "state": "failed", "text": text, "error_code": code, "finished_at": now()}

    def store(connection: Connection) -> None:
        if connection.execute(_END, values).rowcount and outbox:
            connection.execute(insert_item(turn, outbox))

    await db.write(store)


# Only a turn that runs can end, so that a late second end changes nothing.
_END = update(turns).where(turns.c.id == bindparam("running_turn"), turns.c.state == "running")
_WHOSE = (
    select(conversations.c.id, conversations.c.brand)
    .join(turns, turns.c.conversation_id == conversations.c.id)
    .where(turns.c.id == bindparam("turn"))
)


async def evidence(db: Database, turn: str) -> dict[str, Any]:
    """A turn with everything that explains it.

    Raises:
        ConversationUnknown: No such turn.
    """
    query = (
        select(turns, conversations.c.brand, conversations.c.channel)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(turns.c.id == turn)
    )
    row = await db.read(lambda connection: connection.execute(query).one_or_none())
    if row is None:
        raise ConversationUnknown(f"There is no turn {turn!r}.")
    return {
        "turn": row.id,
        "brand": row.brand,
        "channel": row.channel,
        "question": row.question,
        "state": row.state,
        "text": row.text,
        "outcome": row.outcome,
        "citations": row.citations,
        "adapter": {"brand": row.brand, "version": row.adapter_version},
        "usage": {"prompt_tokens": row.prompt_tokens, "completion_tokens": row.completion_tokens},
        "timings_ms": row.timings,
        "evidence": row.evidence,
        "error_code": row.error_code,
        "created_at": row.created_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
    }


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
