"""What came in: each message once, each answered by one turn, in order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from channels.base import InboundMessage
from service.conversation import files, takeover
from service.conversation.house import NO_HOUSE, House
from service.conversation.transcript import Said, last_number
from service.storage import leases, tombstones
from service.storage.database import Database, insert_new, now, storable
from service.storage.ids import fresh_id
from service.storage.leases import NOBODY, Lease
from service.storage.line import tell
from service.storage.tables import conversations, inbox, is_running, turns

MOST_ROWS = 4
"""Rows that are read for each exchange wanted: people write several messages in a row."""

ALL_NUMBERS = 2**31 - 1
"""No turn has a higher one."""
NOWHERE = ""
"""Stands for the conversation of a message that was deleted, and came again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message is stored."""

    conversation_id: str
    duplicate: bool
    """It was already."""
    here: bool = True
    """Whoever accepts it answers it; else the gateway that has the conversation has been told."""


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A finished exchange, or one side of it: what was said to a person, or by one."""

    question: str
    text: str
    outcome: str | None = field(default=None, compare=False)
    support: float = field(default=0.0, compare=False)
    """Score of its best citation."""
    counts: bool = field(default=True, compare=False)
    """It came after the bot last got the conversation back, so that rules of a hand-over look at it."""


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
    since: datetime
    """When the newest message came, or later the conversation to the bot: for so long its writer waits for an answer of
    the bot's. Whoever wrote again is still there."""
    past: tuple[PastTurn, ...] = ()
    """The last finished exchanges, oldest first."""
    taken_up: bool = field(default=False, compare=False)
    """It ran already: a crash cut it, or it begins anew because more was said."""
    more: bool = field(default=False, compare=False)
    """Other messages wait, which want an answer of their own."""
    heard: bool = field(default=False, compare=False)
    """No bot may answer it: a person has the conversation, or will."""
    said: Said | None = field(default=None, compare=False)
    """What a waiting customer was told in answer, once."""
    files: bool = field(default=False, compare=False)
    """With its messages came some, which no bot can read."""
    nobody_came: bool = field(default=False, compare=False)
    """It was said while a person was waited for, who is still expected: it leads to no hand-over of its own."""
    starts: int = field(default=1, compare=False)
    """Processes that began it, as far as is noted; see `begin_again`."""
    lease: Lease | None = field(default=None, compare=False)
    """The hold on the conversation that the turn began under; none of nobody's."""


async def accept(
    db: Database, brand: str, message: InboundMessage, *, me: str = NOBODY, wait_s: float = 0.0
) -> Accepted:
    """Store a message, and make its conversation ours unless another gateway has it; when this returns, it is on disk.

    Args:
        db: Keeps it.
        brand: Whom it is for.
        message: What was said.
        me: The gateway that accepts it.
        wait_s: How long more may follow, for the gateway that answers; see `service.turns.bursts`.

    Raises:
        StorageUnavailable: It is not; the platform must send it again.
    """
    return await db.write(lambda connection: _store(connection, brand, message, me, wait_s), urgent=True)


async def accept_and_begin(
    db: Database, brand: str, message: InboundMessage, *, past: int, house: House = NO_HOUSE, me: str = NOBODY
) -> tuple[Accepted, PendingTurn | None]:
    """Store a message and begin its turn, in one transaction: for a visitor who waits while nothing else runs.

    Raises:
        StorageUnavailable: It is not stored; the sender must send it again.
    """

    def work(connection: Connection) -> tuple[Accepted, PendingTurn | None]:
        accepted = _store(connection, brand, message, me)
        if accepted.duplicate or not accepted.here:
            return accepted, None
        turn = _next_turn(connection, accepted.conversation_id, past, house=house, me=me)
        # A turn that runs already has its lane.
        return accepted, None if turn and turn.taken_up else turn

    return await db.write(work)


def _store(
    connection: Connection, brand: str, message: InboundMessage, me: str = NOBODY, wait_s: float = 0.0
) -> Accepted:
    if tombstones.lie_over(connection, message.channel, storable(message.account), storable(message.message_id)):
        return Accepted(NOWHERE, duplicate=True, here=False)
    key = {
        "brand": brand,
        "channel": message.channel,
        "account": storable(message.account),
        "external_key": storable(message.conversation_key),
    }
    found = connection.execute(_CONVERSATION, key).one_or_none()
    if found is None:
        fresh = {"id": fresh_id(16), "created_at": now(), **key}
        connection.execute(insert_new(connection, conversations), fresh)
        found = connection.execute(_CONVERSATION, key).one()
    row = {
        "conversation_id": found.id,
        "channel": message.channel,
        "account": storable(message.account),
        "message_id": storable(message.message_id),
        "text": storable(message.text),
        "reply_to": dict(message.reply_to),
        "received_at": now(),
        "sender": storable(message.sender),
    }
    new = bool(connection.execute(insert_new(connection, inbox), row).rowcount)
    if new and message.files:
        files.attach(connection, found.id, row, message.files)
    if not new:
        found = connection.execute(_STORED, row).one()
    holder = leases.elsewhere(connection, found, me)
    if holder is not None:
        news = {"kind": "news", "conversation": found.id, "wait_s": wait_s, "news": new}
        tell(connection, holder, news)
    elif new:
        leases.hold(connection, found, me)
    return Accepted(found.id, duplicate=not new, here=holder is None)


async def next_turn(
    db: Database,
    conversation: str,
    *,
    past: int = 0,
    apart: Collection[str] = (),
    house: House = NO_HOUSE,
    me: str = NOBODY,
) -> PendingTurn | None:
    """Make one turn of all unanswered messages, or put them to the one that runs and begin that anew.

    None where nothing is unanswered, or another living gateway has the conversation. Where a person has it, the turn
    that comes back is over already, and `heard`.

    Args:
        db: Holds the messages.
        conversation: Whose messages.
        past: How many of the last finished exchanges come with it.
        apart: Channels on which each message gets a turn of its own.
        house: The deployment.
        me: The gateway that answers.
    """
    # Not durable: after a power cut the same turn is made again from the messages, which are on disk.
    return await db.write(
        lambda connection: _next_turn(connection, conversation, past, apart, house, me), durable=False
    )


def _next_turn(
    connection: Connection,
    conversation: str,
    past: int,
    apart: Collection[str] = (),
    house: House = NO_HOUSE,
    me: str = NOBODY,
) -> PendingTurn | None:
    about = connection.execute(_ABOUT, {"conversation": conversation}).one_or_none()
    if about is None or leases.elsewhere(connection, about, me):
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
        leases.let_go(connection, about)
        return None
    if about.state == "closed":
        takeover.reopen(connection, about)
    elif waiting and not takeover.may_speak(about, house):
        turn_of_theirs = _heard(connection, about, waiting, house)
        leases.let_go(connection, about)
        return turn_of_theirs
    lease = leases.hold(connection, about, me)
    question = "\n".join(message.text for message in messages if message.text)
    turn = running.id if running else _begin(connection, conversation, question)
    if running and taken:
        connection.execute(_ASK_MORE, {"of_turn": turn, "question": question})
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
        max(messages[-1].received_at, about.state_at or messages[-1].received_at),
        _past(connection, about, past),
        taken_up=running is not None,
        starts=running.starts if running else 1,
        nobody_came=_said_while_waiting(about, messages[-1].received_at),
        more=len(waiting) > len(taken),
        files=_takes_files(about, house) and files.came_with(connection, [message.id for message in messages]),
        lease=lease,
    )


def _takes_files(about: Row[Any], house: House) -> bool:
    brand = house.brands.get(about.brand)
    return about.channel == "web" and brand is not None and brand.widget.files is not None


async def begin_again(db: Database, turn: str) -> int:
    """Note that another process begins a turn, since the one before died.

    Returns:
        How many have by now; 0 where the turn is over.

    Raises:
        StorageUnavailable: It is not noted.
    """
    query = update(turns).where(turns.c.id == turn, is_running).values(starts=turns.c.starts + 1)
    query = query.returning(turns.c.starts)
    return await db.write(lambda connection: connection.execute(query).scalar_one_or_none()) or 0


async def leave_for_later(db: Database, left: Collection[str]) -> None:
    """This process ends in order: those of its turns that still run shall not be counted as begun by it.

    Raises:
        StorageUnavailable: It is not noted.
    """
    query = update(turns).where(turns.c.id.in_(left), is_running).values(starts=turns.c.starts - 1)
    await db.write(lambda connection: connection.execute(query))


def _begin(connection: Connection, conversation: str, question: str) -> str:
    turn = fresh_id()
    number = last_number(connection, conversation) + 1
    fresh = {"id": turn, "conversation_id": conversation, "number": number, "question": question}
    connection.execute(turns.insert(), fresh | {"state": "running", "text": "", "citations": [], "created_at": now()})
    return turn


def _said_while_waiting(about: Row[Any], at: datetime) -> bool:
    return bool(about.state == "bot" and about.told == takeover.TOLD_NOBODY and at < about.state_at)


def _heard(connection: Connection, about: Row[Any], waiting: Sequence[Any], house: House) -> PendingTurn:
    turn, said = takeover.heard(connection, about, waiting, house)
    return PendingTurn(
        turn,
        about.id,
        about.brand,
        about.channel,
        about.account,
        "\n".join(message.text for message in waiting if message.text),
        waiting[-1].reply_to,
        tuple(message.message_id.rpartition(":")[2] for message in waiting),
        waiting[-1].received_at,
        heard=True,
        said=said,
    )


async def past_of(db: Database, turn: str, *, past: int) -> tuple[PastTurn, ...]:
    """The last finished exchanges before a turn, oldest first, as it had them; none where there is no such turn."""

    def work(connection: Connection) -> tuple[PastTurn, ...]:
        about: Any = connection.execute(_WHERE_IT_STANDS, {"turn": turn}).one_or_none()
        return _past(connection, about, past, before=about.number) if about else ()

    return await db.read(work)


def _past(connection: Connection, about: Row[Any], limit: int, *, before: int = ALL_NUMBERS) -> tuple[PastTurn, ...]:
    """The last exchanges: `limit` times the customer and who answered, however many messages each wrote in a row."""
    if not limit:
        return ()
    which = {"conversation": about.id, "past": MOST_ROWS * limit, "before": before}
    rows = connection.execute(_PAST, which).all()
    found: list[PastTurn] = []
    sides, last = 0, ""
    for row in rows:
        text = row.text if row.state == "done" else ""
        for side, words in (("them", text), ("customer", row.question)):
            if words and side != last:
                sides, last = sides + 1, side
        if sides > 2 * limit:
            break
        support = max((float(one.get("score", 0.0)) for one in row.citations or ()), default=0.0)
        found.append(PastTurn(row.question, text, row.outcome, support, counts=row.number > about.rules_from))
    return tuple(reversed(found))


async def unfinished(db: Database) -> list[str]:
    """Conversations of no living gateway with messages that wait or turns that a crash left running."""
    waiting = select(inbox.c.conversation_id).where(inbox.c.turn_id.is_(None), ~inbox.c.withdrawn)
    running = select(turns.c.conversation_id).where(is_running)
    query = select(conversations.c.id).where(
        conversations.c.id.in_(waiting.union(running)), leases.of_the_dead(conversations.c.gateway)
    )
    return sorted(await db.read(lambda connection: connection.execute(query).scalars().all()))


async def count_waiting(db: Database) -> int:
    """How many messages no turn has taken up yet."""
    query = select(func.count()).select_from(inbox).where(inbox.c.turn_id.is_(None), ~inbox.c.withdrawn)
    return int(await db.read(lambda connection: connection.execute(query).scalar_one()))


# --- statements, made once: making one takes longer than carrying it out ---------------------------------------------

_MINE = inbox.c.conversation_id == bindparam("conversation")
# Conversations are locked (in PostgreSQL; SQLite has one writer), so that messages are numbered in the order in which
# they become visible, and none is left behind by a turn that begins meanwhile.
_HOLD = (conversations.c.id, conversations.c.gateway, conversations.c.fence)
_CONVERSATION = (
    select(*_HOLD)
    .where(*(conversations.c[name] == bindparam(name) for name in ("brand", "channel", "account", "external_key")))
    .with_for_update()
)
_STORED = select(*_HOLD).where(
    conversations.c.id == inbox.c.conversation_id,
    *(inbox.c[name] == bindparam(name) for name in ("channel", "account", "message_id")),
)
_ABOUT = select(conversations).where(conversations.c.id == bindparam("conversation")).with_for_update()
# What runs comes before what waits; each by an index of its own, however long the conversation is.
_RUNNING = (
    select(turns.c.id, turns.c.starts)
    .where(turns.c.conversation_id == bindparam("conversation"), is_running)
    .order_by(turns.c.number)
    .limit(1)
)
_MESSAGES = (
    select(inbox.c.id, inbox.c.text, inbox.c.message_id, inbox.c.reply_to, inbox.c.received_at)
    .where(_MINE, ~inbox.c.withdrawn)
    .order_by(inbox.c.id)
)
_WAITING = _MESSAGES.where(inbox.c.turn_id.is_(None))
_MESSAGES_OF = _MESSAGES.where(inbox.c.turn_id == bindparam("turn"))
_TAKE = update(inbox).where(inbox.c.id == bindparam("message")).values(turn_id=bindparam("turn"))
_ASK_MORE = update(turns).where(turns.c.id == bindparam("of_turn")).values(question=bindparam("question"))
_PAST = (
    select(turns.c.question, turns.c.text, turns.c.state, turns.c.outcome, turns.c.citations, turns.c.number)
    .where(
        turns.c.conversation_id == bindparam("conversation"),
        turns.c.state.in_(("done", "heard", "withheld")),
        turns.c.number < bindparam("before"),
    )
    .order_by(turns.c.number.desc())
    .limit(bindparam("past"))
)
_WHERE_IT_STANDS = (
    select(conversations.c.id, conversations.c.rules_from, turns.c.number)
    .join(turns, turns.c.conversation_id == conversations.c.id)
    .where(turns.c.id == bindparam("turn"))
)
