"""Conversations and their turns: opened, shown, finished, explained."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update

from service.database import Database, now, whole
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


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A finished exchange."""

    question: str
    text: str


@whole
async def open_visitor_conversation(
    db: Database, brand: str, conversation: str | None, visitor_token: str | None
) -> VisitorConversation:
    """Open a visitor's conversation; a wrong token or an unknown id gives a new one, never somebody else's."""
    if conversation and visitor_token:
        async with db.read() as connection:
            query = select(conversations.c.visitor_hash).where(
                conversations.c.id == conversation, conversations.c.channel == "web", conversations.c.brand == brand
            )
            known = (await connection.execute(query)).scalar_one_or_none()
        if known and hmac.compare_digest(known, _hash(visitor_token)):
            return VisitorConversation(conversation, visitor_token, created=False)
    # 128 bits from the system: ids cannot be guessed (OWASP ASVS 5.0, 11.5.1).
    fresh = secrets.token_urlsafe(16)
    token = secrets.token_urlsafe(16)
    async with db.begin() as connection:
        await connection.execute(
            conversations.insert().values(
                id=fresh,
                brand=brand,
                channel="web",
                account=brand,
                external_key=fresh,
                visitor_hash=_hash(token),
                created_at=now(),
            )
        )
    return VisitorConversation(fresh, token, created=True)


@whole
async def history(db: Database, conversation: str, *, limit: int) -> list[PastTurn]:
    """The last finished exchanges, oldest first."""
    query = (
        select(turns.c.question, turns.c.text)
        .where(turns.c.conversation_id == conversation, turns.c.state == "done")
        .order_by(turns.c.number.desc())
        .limit(limit)
    )
    async with db.read() as connection:
        rows = (await connection.execute(query)).all()
    return [PastTurn(row.question, row.text) for row in reversed(rows)]


@whole
async def transcript(db: Database, conversation: str, limit: int = TRANSCRIPT_TURNS) -> list[TurnView]:
    """The last turns, oldest first, then messages that wait."""
    async with db.read() as connection:
        query = (
            select(turns, feedback.c.value.label("thumb"))
            .outerjoin(feedback, feedback.c.turn_id == turns.c.id)
            .where(turns.c.conversation_id == conversation)
            .order_by(turns.c.number.desc())
            .limit(limit)
        )
        rows = list(reversed((await connection.execute(query)).all()))
        messages = (
            await connection.execute(
                select(inbox.c.message_id, inbox.c.turn_id, inbox.c.text, inbox.c.received_at)
                .where(
                    inbox.c.conversation_id == conversation,
                    or_(inbox.c.turn_id.is_(None), inbox.c.turn_id.in_([row.id for row in rows])),
                )
                .order_by(inbox.c.id)
            )
        ).all()
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


@whole
async def finish(db: Database, turn: str, reply: Reply, *, outbox: OutboxItem | None, handoff: str | None) -> None:
    """Store a reply, what must be sent, and who must hear of it, in one transaction; a second call changes nothing."""
    async with db.begin() as connection:
        done = await connection.execute(
            update(turns)
            .where(turns.c.id == turn, turns.c.state == "running")
            .values(
                state="done",
                text=reply.text,
                outcome=reply.outcome,
                citations=citations_json(reply.citations),
                adapter_version=reply.adapter["version"],
                prompt_tokens=reply.usage["prompt_tokens"],
                completion_tokens=reply.usage["completion_tokens"],
                timings=dict(reply.timings_ms),
                evidence=dict(reply.evidence),
                finished_at=now(),
            )
        )
        if done.rowcount == 0:
            return
        if outbox:
            await connection.execute(insert_item(turn, outbox))
        if handoff:
            row = (
                await connection.execute(
                    select(conversations.c.id, conversations.c.brand)
                    .join(turns, turns.c.conversation_id == conversations.c.id)
                    .where(turns.c.id == turn)
                )
            ).one()
            await connection.execute(
                handoffs.insert().values(
                    id=secrets.token_urlsafe(12),
                    brand=row.brand,
                    conversation_id=row.id,
                    turn_id=turn,
                    reason=handoff,
                    state="open",
                    created_at=now(),
                    attempts=0,
                )
            )


@whole
async def fail(db: Database, turn: str, code: str, text: str, *, outbox: OutboxItem | None = None) -> None:
    """End a turn without a reply; the text is what the visitor reads."""
    async with db.begin() as connection:
        done = await connection.execute(
            update(turns)
            .where(turns.c.id == turn, turns.c.state == "running")
            .values(state="failed", text=text, error_code=code, finished_at=now())
        )
        if done.rowcount and outbox:
            await connection.execute(insert_item(turn, outbox))


@whole
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
    async with db.read() as connection:
        row = (await connection.execute(query)).one_or_none()
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
