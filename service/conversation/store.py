"""Conversations and their turns: opened, shown, finished, explained."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, exists, func, literal_column, or_, select, update

from service.conversation import files, takeover
from service.conversation.events import Reply
from service.conversation.house import NO_HOUSE, House
from service.conversation.wire import citations_json
from service.delivery.outbox import OutboxItem, plan_item
from service.errors import ConversationUnknown
from service.storage import leases
from service.storage.database import Database, now, storable
from service.storage.ids import fresh_id
from service.storage.leases import Lease
from service.storage.tables import conversations, feedback, inbox, turns

TRANSCRIPT_TURNS = 100


@dataclass(frozen=True, slots=True)
class VisitorConversation:
    """A widget's conversation, and who opened it."""

    id: str
    visitor: str
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
    author: str | None = None
    """The person who said the text; None for the bot."""
    files: Sequence[Mapping[str, Any]] = ()
    """What came with the question."""


async def open_visitor_conversation(
    db: Database, brand: str, conversation: str | None, visitor: str | None, identity: str | None = None
) -> VisitorConversation:
    """Open a visitor's conversation; who has no right to it gets a new one, never somebody else's.

    Args:
        db: Holds it.
        brand: Whose widget it is.
        conversation: The one wanted.
        visitor: Who a token of ours says that it is.
        identity: Who the brand's site says that it is. A conversation with an identity opens to that identity alone,
            also in another browser; one without takes it on as soon as something was said there.
    """
    visitor = visitor or fresh_id(16)  # 128 bits: ids cannot be guessed (OWASP ASVS 5.0, 11.5.1)
    known = await db.read(lambda connection: _openable(connection, brand, conversation, visitor, identity))
    if known is not None and (identity is None or known.identity):
        return VisitorConversation(known.id, visitor, created=False)
    opened, created = await db.write(lambda connection: _open(connection, brand, conversation, visitor, identity))
    return VisitorConversation(opened, visitor, created)


def _openable(
    connection: Connection, brand: str, wanted: str | None, visitor: str, identity: str | None
) -> Row[Any] | None:
    """The conversation that is asked for, where they may open it."""
    if not wanted:
        return None
    known = connection.execute(_of_widget(brand).where(conversations.c.id == wanted)).one_or_none()
    if known is None:
        return None
    if known.identity:
        return known if known.identity == identity else None
    mine = known.visitor_hash and hmac.compare_digest(known.visitor_hash, _hash(visitor))
    return known if mine else None


def _open(
    connection: Connection, brand: str, wanted: str | None, visitor: str, identity: str | None
) -> tuple[str, bool]:
    """The conversation of somebody who is logged in, or a new one."""
    known = _openable(connection, brand, wanted, visitor, identity)
    theirs = _newest_of(connection, brand, identity) if identity else None
    if known is not None and identity and (theirs is None or _was_used(connection, known.id)):
        values = {"identity": storable(identity)}
        connection.execute(update(conversations).where(conversations.c.id == known.id).values(values))
        return known.id, False
    if theirs:
        return theirs, False
    fresh = fresh_id(16)
    row: dict[str, Any] = {"id": fresh, "brand": brand, "channel": "web", "account": brand, "external_key": fresh}
    row |= {"visitor_hash": _hash(visitor), "identity": storable(identity) if identity else None, "created_at": now()}
    connection.execute(conversations.insert(), row)
    return fresh, True


def _of_widget(brand: str) -> Select[Any]:
    return select(conversations).where(conversations.c.channel == "web", conversations.c.brand == brand)


def _newest_of(connection: Connection, brand: str, identity: str) -> str | None:
    theirs = _of_widget(brand).where(conversations.c.identity == identity)
    row = connection.execute(theirs.order_by(conversations.c.created_at.desc()).limit(1)).one_or_none()
    return row.id if row else None


def _was_used(connection: Connection, conversation: str) -> bool:
    used = (exists().where(table.c.conversation_id == conversation) for table in (inbox, turns))
    return bool(connection.execute(select(or_(*used))).scalar_one())


async def transcript(
    db: Database, conversation: str, *, after: str | None = None, limit: int = TRANSCRIPT_TURNS
) -> tuple[list[TurnView], bool]:
    """The last turns, oldest first, then messages that wait.

    Args:
        db: Holds them.
        conversation: Whose.
        after: The newest turn that the reader has, with all before it, each to its end. Turns begin one after the other
            and never change once they ended, so what comes after its number is all that is new: also after a restart.
        limit: At most so many turns.

    Returns:
        The turns, and whether they are only those after `after`. They are all of the last ones where that turn is not
        here, still runs, or lies too far back.
    """
    rows, messages, resumed, with_files = await db.read(
        lambda connection: _last_turns(connection, conversation, after, limit)
    )
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
            row.author,
            with_files.get(row.id, ()),
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
    return views, resumed


def _last_turns(
    connection: Connection, conversation: str, after: str | None, limit: int
) -> tuple[Sequence[Any], Sequence[Any], bool, Mapping[str, Sequence[Any]]]:
    """Turns with their thumbs, oldest first, the messages of these turns and of none, whether it is a rest; files."""
    known = connection.execute(_ENDED, {"conversation": conversation, "turn": after}).one_or_none() if after else None
    resumed = known is not None and known.last - known.number <= limit
    query = (
        select(turns, feedback.c.value.label("thumb"))
        .outerjoin(feedback, feedback.c.turn_id == turns.c.id)
        .where(turns.c.conversation_id == conversation)
        .order_by(turns.c.number.desc())
        .limit(limit)
    )
    if known is not None and resumed:
        query = query.where(turns.c.number > known.number)
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
    return rows, connection.execute(theirs).all(), resumed, files.by_turn(connection, conversation)


async def holder(db: Database, conversation: str) -> dict[str, str | None]:
    """Who has a conversation, as the widget is told."""
    query = select(conversations.c.state, conversations.c.owner).where(conversations.c.id == conversation)
    row = await db.read(lambda connection: connection.execute(query).one())
    return {"state": row.state, "owner": row.owner}


def to_json(view: TurnView) -> dict[str, Any]:
    """A turn in the widget's protocol."""
    failed = view.state == "failed"
    hidden = failed or view.state == "withheld"
    return {
        "turn": view.id,
        "client_ids": list(view.client_ids),
        "question": view.question,
        "files": list(view.files),
        "state": view.state,
        "sentences": [],
        "text": "" if hidden else view.text,
        "author": view.author,
        "outcome": None if hidden else view.outcome,
        "citations": [] if hidden else list(view.citations),
        "feedback": view.feedback,
        "error": {"code": view.error_code, "message": view.text} if failed else None,
        "at": view.at.isoformat(),
    }


async def finish(
    db: Database,
    turn: str,
    reply: Reply,
    *,
    outbox: OutboxItem | None,
    handoff: str | None,
    waits: bool = True,
    house: House = NO_HOUSE,
    lease: Lease | None = None,
) -> bool:
    """Store a reply, what must be sent, and who must hear of it, in one transaction; a second call changes nothing.

    Args:
        db: Holds the turn.
        turn: The one that ends.
        reply: What is said.
        outbox: How it reaches a platform.
        handoff: Why a person must take over; None where none must.
        waits: Whether the conversation then waits for a person; else the bot answers on.
        house: The deployment.
        lease: What the turn began under.

    Returns:
        Whether the reply goes out; not where a person has taken the conversation since, or the turn was over already.

    Raises:
        LeaseLost: The lease holds no more; nothing was stored.
    """
    values = {
        "running_turn": turn,
        "state": "done",
        "text": reply.text,
        "outcome": reply.outcome,
        "citations": citations_json(reply.citations),
        "support": reply.support,
        "adapter_version": reply.adapter["version"],
        "prompt_tokens": reply.usage["prompt_tokens"],
        "completion_tokens": reply.usage["completion_tokens"],
        "timings": dict(reply.timings_ms),
        "evidence": dict(reply.evidence),
        "error_code": None,  # of a turn whose reader was told that it takes longer
        "finished_at": now(),
    }
    return await db.write(lambda c: _end(c, turn, values, outbox, handoff, house, lease, waits=waits))


async def fail(
    db: Database,
    turn: str,
    code: str,
    text: str,
    *,
    outbox: OutboxItem | None = None,
    handoff: str | None = None,
    house: House = NO_HOUSE,
    lease: Lease | None = None,
) -> bool:
    """End a turn without a reply; the text is what the visitor reads. Returns and raises as `finish`.

    With `handoff`, why a person must look at it, the hand-over is open and the bot answers on.
    """
    values = {"running_turn": turn, "state": "failed", "text": text, "error_code": code, "finished_at": now()}
    return await db.write(lambda c: _end(c, turn, values, outbox, handoff, house, lease, waits=False))


def _end(
    connection: Connection,
    turn: str,
    values: Mapping[str, Any],
    outbox: OutboxItem | None,
    handoff: str | None,
    house: House,
    lease: Lease | None,
    *,
    waits: bool,
) -> bool:
    """Within the turn's last transaction; see `finish`."""
    about = _ending(connection, turn, values, house, lease)
    if about is None:
        return False
    if outbox:
        plan_item(connection, turn, outbox)
    if handoff:
        takeover.hand_over(connection, about, turn, handoff, house, waits=waits)
    return True


def _ending(
    connection: Connection, turn: str, values: Mapping[str, Any], house: House, lease: Lease | None
) -> Row[Any] | None:
    """End a turn under its lease, where the bot may speak; the conversation is let go unless more is unanswered.

    Returns:
        The turn's conversation, locked; None where nothing goes out.
    """
    if lease is not None:
        leases.require(connection, lease)
    about = connection.execute(_WHOSE, {"turn": turn}).one_or_none()
    if about is None:
        return None
    speaks = takeover.may_speak(about, house)
    ending = values if speaks else {"running_turn": turn, "state": "withheld", "finished_at": now()}
    ended = connection.execute(_END, ending).rowcount > 0
    if lease is not None:
        leases.let_go(connection, about)
    return about if speaks and ended else None


# Only a turn that runs can end, so that a late second end changes nothing.
_END = update(turns).where(turns.c.id == bindparam("running_turn"), turns.c.state == "running")
_OTHER = turns.alias("other")
_LAST = select(func.max(_OTHER.c.number)).where(_OTHER.c.conversation_id == bindparam("conversation"))
_STILL_RUNS = (
    select(_OTHER.c.id)
    .where(_OTHER.c.conversation_id == turns.c.conversation_id, _OTHER.c.number <= turns.c.number)
    .where(_OTHER.c.state == literal_column("'running'"))
)
_ENDED = select(turns.c.number, _LAST.scalar_subquery().label("last")).where(
    turns.c.id == bindparam("turn"), turns.c.conversation_id == bindparam("conversation"), ~_STILL_RUNS.exists()
)
# Locked: whoever takes the conversation over comes before or after.
_WHOSE = (
    select(conversations)
    .join(turns, turns.c.conversation_id == conversations.c.id)
    .where(turns.c.id == bindparam("turn"))
    .with_for_update(of=conversations)
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
        "conversation": row.conversation_id,
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
