"""What came in: each message once, each answered by one turn, in order."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select, update

from channels.base import InboundMessage
from service.database import Database, now, storable, whole
from service.tables import conversations, inbox, turns


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message is stored."""

    conversation_id: str
    duplicate: bool
    """It was already."""


@dataclass(frozen=True, slots=True)
class PendingTurn:
    """Everything unanswered of one conversation, to be answered now."""

    id: str
    conversation_id: str
    brand: str
    channel: str
    account: str
    question: str
    reply_to: Mapping[str, str]
    """Of the newest message."""
    client_ids: tuple[str, ...]
    """What the widget called its messages."""
    taken_up: bool = field(default=False, compare=False)
    """A crash had left it running, so newer messages may wait behind it."""


@whole
async def accept(db: Database, brand: str, message: InboundMessage) -> Accepted:
    """Store a message; when this returns, it is on disk.

    Raises:
        StorageUnavailable: It is not; the platform must send it again.
    """
    key = {
        "brand": brand,
        "channel": message.channel,
        "account": storable(message.account),
        "external_key": storable(message.conversation_key),
    }
    # Locked (in PostgreSQL; SQLite has one writer), so that rows of a conversation are numbered in the order in which
    # they become visible, and no message is left behind by a turn that begins meanwhile.
    query = select(conversations.c.id).filter_by(**key).with_for_update()
    async with db.begin() as connection:
        found = (await connection.execute(query)).scalar_one_or_none()
        if found is None:
            await connection.execute(
                db.insert_new(
                    conversations,
                    id=secrets.token_urlsafe(16),
                    created_at=now(),
                    **key,
                )
            )
            found = (await connection.execute(query)).scalar_one()
        identity = {
            "channel": message.channel,
            "account": storable(message.account),
            "message_id": storable(message.message_id),
        }
        stored = await connection.execute(
            db.insert_new(
                inbox,
                conversation_id=found,
                text=storable(message.text),
                reply_to=dict(message.reply_to),
                received_at=now(),
                **identity,
            ).returning(inbox.c.id)
        )
        if stored.scalar_one_or_none() is not None:
            return Accepted(found, duplicate=False)
        first = await connection.execute(select(inbox.c.conversation_id).filter_by(**identity))
        return Accepted(first.scalar_one(), duplicate=True)


@whole
async def next_turn(db: Database, conversation: str) -> PendingTurn | None:
    """Make one turn of all unanswered messages, or take up the one that a crash left running."""
    async with db.begin() as connection:
        about = (
            await connection.execute(select(conversations).where(conversations.c.id == conversation).with_for_update())
        ).one_or_none()
        if about is None:
            return None
        running = (
            await connection.execute(
                select(turns.c.id, turns.c.question)
                .where(turns.c.conversation_id == conversation, turns.c.state == "running")
                .order_by(turns.c.number)
            )
        ).first()
        if running is None:
            waiting = (
                await connection.execute(
                    select(inbox.c.id, inbox.c.text)
                    .where(inbox.c.conversation_id == conversation, inbox.c.turn_id.is_(None))
                    .order_by(inbox.c.id)
                )
            ).all()
            if not waiting:
                return None
            turn = secrets.token_urlsafe(12)
            question = "\n".join(row.text for row in waiting if row.text)
            number = select(func.coalesce(func.max(turns.c.number), 0) + 1).where(
                turns.c.conversation_id == conversation
            )
            await connection.execute(
                turns.insert().values(
                    id=turn,
                    conversation_id=conversation,
                    number=(await connection.execute(number)).scalar_one(),
                    question=question,
                    state="running",
                    text="",
                    citations=[],
                    created_at=now(),
                )
            )
            await connection.execute(
                update(inbox).where(inbox.c.id.in_([row.id for row in waiting])).values(turn_id=turn)
            )
        else:
            turn, question = running.id, running.question
        messages = (
            await connection.execute(
                select(inbox.c.message_id, inbox.c.reply_to).where(inbox.c.turn_id == turn).order_by(inbox.c.id)
            )
        ).all()
    return PendingTurn(
        turn,
        conversation,
        about.brand,
        about.channel,
        about.account,
        question,
        messages[-1].reply_to if messages else {},
        tuple(message.message_id.rpartition(":")[2] for message in messages),
        taken_up=running is not None,
    )


@whole
async def unfinished(db: Database) -> list[str]:
    """Conversations with messages that wait or turns that a crash left running."""
    waiting = select(inbox.c.conversation_id).where(inbox.c.turn_id.is_(None))
    running = select(turns.c.conversation_id).where(turns.c.state == "running")
    async with db.read() as connection:
        rows = (await connection.execute(waiting.union(running))).all()
    return sorted(row[0] for row in rows)


@whole
async def count_waiting(db: Database) -> int:
    """How many messages no turn has taken up yet."""
    async with db.read() as connection:
        query = select(func.count()).select_from(inbox).where(inbox.c.turn_id.is_(None))
        return int((await connection.execute(query)).scalar_one())
