"""What came in: each message once, each answered by one turn, in order."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, func, or_, select, update

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
    # Not durable: after a power cut the same turn is made again from the messages, which are on disk.
    async with db.begin(durable=False) as connection:
        about = (
            await connection.execute(select(conversations).where(conversations.c.id == conversation).with_for_update())
        ).one_or_none()
        if about is None:
            return None
        messages = (await connection.execute(_open_messages(conversation))).all()
        if not messages:
            return None
        taken_up = messages[0].turn_id is not None
        if taken_up:
            turn, question = messages[0].turn_id, messages[0].question
            messages = [message for message in messages if message.turn_id == turn]
        else:
            turn = secrets.token_urlsafe(12)
            question = "\n".join(message.text for message in messages if message.text)
            last = select(func.coalesce(func.max(turns.c.number), 0)).where(turns.c.conversation_id == conversation)
            await connection.execute(
                turns.insert().values(
                    id=turn,
                    conversation_id=conversation,
                    number=last.scalar_subquery() + 1,
                    question=question,
                    state="running",
                    text="",
                    citations=[],
                    created_at=now(),
                )
            )
            taken = inbox.c.id.in_([message.id for message in messages])
            await connection.execute(update(inbox).where(taken).values(turn_id=turn))
    return PendingTurn(
        turn,
        conversation,
        about.brand,
        about.channel,
        about.account,
        question,
        messages[-1].reply_to,
        tuple(message.message_id.rpartition(":")[2] for message in messages),
        taken_up=taken_up,
    )


def _open_messages(conversation: str) -> Select[Any]:
    """Messages of a turn that runs, first; then those that no turn has taken."""
    return (
        select(inbox.c.id, inbox.c.text, inbox.c.message_id, inbox.c.reply_to, inbox.c.turn_id, turns.c.question)
        .outerjoin(turns, turns.c.id == inbox.c.turn_id)
        .where(
            inbox.c.conversation_id == conversation,
            or_(inbox.c.turn_id.is_(None), turns.c.state == "running"),
        )
        .order_by(inbox.c.turn_id.is_(None), turns.c.number, inbox.c.id)
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
