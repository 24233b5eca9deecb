"""What came in: each message once, each answered by one turn, in order."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, func, select, update

from channels.base import InboundMessage
from service.database import Database, insert_new, now, storable
from service.tables import conversations, inbox, is_running, turns


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message is stored."""

    conversation_id: str
    duplicate: bool
    """It was already."""


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A finished exchange."""

    question: str
    text: str


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
    past: tuple[PastTurn, ...] = ()
    """The last finished exchanges, oldest first."""
    taken_up: bool = field(default=False, compare=False)
    """It ran already: a crash cut it, or it begins anew because more was said."""
    more: bool = field(default=False, compare=False)
    """Other messages wait, which want an answer of their own."""


async def accept(db: Database, brand: str, message: InboundMessage) -> Accepted:
    """Store a message; when this returns, it is on disk.

    Raises:
        StorageUnavailable: It is not; the platform must send it again.
    """
    return await db.write(lambda connection: _store(connection, brand, message))


async def accept_and_begin(
    db: Database, brand: str, message: InboundMessage, *, past: int
) -> tuple[Accepted, PendingTurn | None]:
    """Store a message and begin its turn, in one transaction: for a visitor who waits while nothing else runs.

    Raises:
        StorageUnavailable: It is not stored; the sender must send it again.
    """

    def work(connection: Connection) -> tuple[Accepted, PendingTurn | None]:
        accepted = _store(connection, brand, message)
        if accepted.duplicate:
            return accepted, None
        turn = _next_turn(connection, accepted.conversation_id, past)
        # A turn that runs already has its lane.
        return accepted, None if turn and turn.taken_up else turn

    return await db.write(work)


def _store(connection: Connection, brand: str, message: InboundMessage) -> Accepted:
    key = {
        "brand": brand,
        "channel": message.channel,
        "account": storable(message.account),
        "external_key": storable(message.conversation_key),
    }
    found = connection.execute(_CONVERSATION, key).scalar_one_or_none()
    if found is None:
        fresh = {"id": secrets.token_urlsafe(16), "created_at": now(), **key}
        connection.execute(insert_new(connection, conversations), fresh)
        found = connection.execute(_CONVERSATION, key).scalar_one()
    row = {
        "conversation_id": found,
        "channel": message.channel,
        "account": storable(message.account),
        "message_id": storable(message.message_id),
        "text": storable(message.text),
        "reply_to": dict(message.reply_to),
        "received_at": now(),
    }
    if connection.execute(insert_new(connection, inbox), row).rowcount:
        return Accepted(found, duplicate=False)
    return Accepted(connection.execute(_STORED, row).scalar_one(), duplicate=True)


async def next_turn(
    db: Database, conversation: str, *, past: int = 0, apart: Collection[str] = ()
) -> PendingTurn | None:
    """Make one turn of all unanswered messages, or put them to the one that runs and begin that anew.

    Args:
        db: Holds the messages.
        conversation: Whose messages.
        past: How many of the last finished exchanges come with it.
        apart: Channels on which each message gets a turn of its own.
    """
    # Not durable: after a power cut the same turn is made again from the messages, which are on disk.
    return await db.write(lambda connection: _next_turn(connection, conversation, past, apart), durable=False)


def _next_turn(connection: Connection, conversation: str, past: int, apart: Collection[str] = ()) -> PendingTurn | None:
    about = connection.execute(_ABOUT, {"conversation": conversation}).one_or_none()
    if about is None:
        return None
    mine = {"conversation": conversation}
    running = connection.execute(_RUNNING, mine).one_or_none()
    waiting = connection.execute(_WAITING, mine).all()
    taken = waiting
    if about.channel in apart:
        taken = () if running else waiting[:1]
    known = connection.execute(_MESSAGES_OF, {"turn": running.id} | mine).all() if running else []
    messages = [*known, *taken]
    if not messages:
        return None
    question = "\n".join(message.text for message in messages if message.text)
    if running:
        turn = running.id
        if taken:
            connection.execute(_ASK_MORE, {"of_turn": turn, "question": question})
    else:
        turn = secrets.token_urlsafe(12)
        number = connection.execute(_LAST_NUMBER, mine).scalar_one() + 1
        fresh = {"id": turn, "conversation_id": conversation, "number": number, "question": question}
        connection.execute(
            turns.insert(), fresh | {"state": "running", "text": "", "citations": [], "created_at": now()}
        )
    if taken:
        connection.execute(_TAKE, [{"message": message.id, "turn": turn} for message in taken])
    return PendingTurn(
        turn,
        conversation,
        about.brand,
        about.channel,
        about.account,
        question,
        messages[-1].reply_to,
        tuple(message.message_id.rpartition(":")[2] for message in messages),
        _past(connection, conversation, past),
        taken_up=running is not None,
        more=len(waiting) > len(taken),
    )


def _past(connection: Connection, conversation: str, limit: int) -> tuple[PastTurn, ...]:
    if not limit:
        return ()
    found = connection.execute(_PAST, {"conversation": conversation, "past": limit}).all()
    return tuple(PastTurn(row.question, row.text) for row in reversed(found))


async def unfinished(db: Database) -> list[str]:
    """Conversations with messages that wait or turns that a crash left running."""
    waiting = select(inbox.c.conversation_id).where(inbox.c.turn_id.is_(None), ~inbox.c.withdrawn)
    running = select(turns.c.conversation_id).where(is_running)
    rows = await db.read(lambda connection: connection.execute(waiting.union(running)).all())
    return sorted(row[0] for row in rows)


async def count_waiting(db: Database) -> int:
    """How many messages no turn has taken up yet."""
    query = select(func.count()).select_from(inbox).where(inbox.c.turn_id.is_(None), ~inbox.c.withdrawn)
    return int(await db.read(lambda connection: connection.execute(query).scalar_one()))


# --- statements, made once: making one takes longer than carrying it out ---------------------------------------------

_MINE = inbox.c.conversation_id == bindparam("conversation")
# Conversations are locked (in PostgreSQL; SQLite has one writer), so that messages are numbered in the order in which
# they become visible, and none is left behind by a turn that begins meanwhile.
_CONVERSATION = (
    select(conversations.c.id)
    .where(*(conversations.c[name] == bindparam(name) for name in ("brand", "channel", "account", "external_key")))
    .with_for_update()
)
_STORED = select(inbox.c.conversation_id).where(
    *(inbox.c[name] == bindparam(name) for name in ("channel", "account", "message_id"))
)
_ABOUT = select(conversations).where(conversations.c.id == bindparam("conversation")).with_for_update()
# What runs comes before what waits; each by an index of its own, however long the conversation is.
_RUNNING = (
    select(turns.c.id)
    .where(turns.c.conversation_id == bindparam("conversation"), is_running)
    .order_by(turns.c.number)
    .limit(1)
)
_MESSAGES = (
    select(inbox.c.id, inbox.c.text, inbox.c.message_id, inbox.c.reply_to)
    .where(_MINE, ~inbox.c.withdrawn)
    .order_by(inbox.c.id)
)
_WAITING = _MESSAGES.where(inbox.c.turn_id.is_(None))
_MESSAGES_OF = _MESSAGES.where(inbox.c.turn_id == bindparam("turn"))
_LAST_NUMBER = select(func.coalesce(func.max(turns.c.number), 0)).where(
    turns.c.conversation_id == bindparam("conversation")
)
_TAKE = update(inbox).where(inbox.c.id == bindparam("message")).values(turn_id=bindparam("turn"))
_ASK_MORE = update(turns).where(turns.c.id == bindparam("of_turn")).values(question=bindparam("question"))
_PAST = (
    select(turns.c.question, turns.c.text)
    .where(turns.c.conversation_id == bindparam("conversation"), turns.c.state == "done")
    .order_by(turns.c.number.desc())
    .limit(bindparam("past"))
)
