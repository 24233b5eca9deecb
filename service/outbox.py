"""What goes out: a reply stays here until its platform has it.

planned -> sending -> sent, or back to planned with a later time, or failed. What was being sent when the process died,
or when the line broke, may have arrived; `service.receipts` says how that is found out. What cannot be found out is
`unknown` and not sent again: a customer who reads an answer twice is worse served than one whom an operator sees in the
count; the parts after it are sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from sqlalchemy import Connection, Insert, Row, bindparam, func, select, update

from channels.base import Channel, LooksUp, OutboundReply, Request, Source
from channels.errors import DeliveryFailed
from service import receipts
from service.database import Database, now, storable
from service.errors import StorageUnavailable
from service.receipts import IN_DOUBT, UNKNOWN
from service.receipts import Send as Send  # part of this module as well
from service.schedule import SCHEDULE_S, wait_s
from service.tables import conversations, outbox, turns

log = logging.getLogger(__name__)

Ready = Callable[[Channel], Awaitable[None]]
Channels = Mapping[tuple[str, str], Channel]

IN_ORDER_ATTEMPTS = 3
"""A reply that failed more often than this (about six minutes) no longer holds up the replies after it."""
BATCH = 16
"""Replies that are sent side by side, each of another conversation."""
RECORD_AGAIN_S = 1.0

NOT_SENT = (ConnectionRefusedError, socket.gaierror, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""No connection came about, so the platform cannot have the reply."""
UNSURE = (OSError, aiohttp.ClientError, TimeoutError)
"""The line broke or fell silent: the platform may have the reply."""


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """A reply to be delivered."""

    channel: str
    app: str
    account: str
    reply_to: Mapping[str, str]
    text: str
    sources: Sequence[Source]


def insert_item(turn: str, item: OutboxItem) -> Insert:
    """The statement that plans a delivery; part of the transaction that finishes the turn."""
    return outbox.insert().values(
        id=secrets.token_urlsafe(12),
        turn_id=turn,
        channel=item.channel,
        app=item.app,
        account=item.account,
        reply_to=dict(item.reply_to),
        text=storable(item.text),
        sources=[asdict(source) for source in item.sources],
        state="planned",
        attempts=0,
        next_attempt_at=now(),
        provider_ids=[],
    )


async def recover(db: Database) -> int:
    """After a start: the part that was in flight when we died is in doubt, those after it are planned.

    Only while no other gateway delivers from this database.

    Returns:
        How many replies were in flight.
    """

    def plan(connection: Connection) -> int:
        query = select(outbox.c.id, outbox.c.provider_ids).where(outbox.c.state == "sending")
        found = connection.execute(query).all()
        for row in found:
            values = {
                "state": "planned",
                "provider_ids": _doubtful(row.provider_ids),
                "next_attempt_at": now(),
                "last_error": "the gateway stopped while this was being sent",
            }
            connection.execute(update(outbox).where(outbox.c.id == row.id), values)
        return len(found)

    cut = await db.write(plan)
    if cut:
        log.warning("deliveries_in_doubt", extra={"count": cut})
    return cut


def _doubtful(done: Sequence[str]) -> list[str]:
    """With the next part in doubt, unless it is already."""
    return [*done] if done[-1:] == [IN_DOUBT] else [*done, IN_DOUBT]


async def as_it_is(channel: Channel) -> None:
    """For channels that need nothing from the network before they send."""
    del channel


async def deliver_due(
    db: Database, channels: Channels, send: Send, *, ready: Ready = as_it_is, clock: Callable[[], datetime] = now
) -> Mapping[str, int]:
    """Send everything whose time has come, the replies of one conversation in their order.

    Cancelled, it waits for calls that are on their way, so that an orderly stop leaves nothing unknown.

    Args:
        db: Holds the replies.
        channels: By (channel, app).
        send: Makes one HTTP call; it must give up by itself (`TimeoutError`).
        ready: Fetches what a channel needs before it can send; see `service.fetching`.
        clock: The present moment, with its zone.

    Returns:
        How many replies are now `sent`, `put_off`, `failed` and `unknown`.
    """
    totals = Counter({"sent": 0, "put_off": 0, "failed": 0, "unknown": 0})
    stop = asyncio.Event()
    while due := await _due(db, clock()):
        work = asyncio.gather(
            *(_deliver(db, row, channels, send, ready, clock, stop) for row in due), return_exceptions=True
        )
        try:
            results = await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await work
            raise
        if broken := [result for result in results if isinstance(result, BaseException)]:
            raise broken[0]
        totals.update(result for result in results if isinstance(result, str))
    return totals


async def counts(db: Database) -> Mapping[str, int]:
    """How many replies are in each state."""
    query = select(outbox.c.state, func.count()).group_by(outbox.c.state)
    rows = await db.read(lambda connection: connection.execute(query).all())
    return {row[0]: row[1] for row in rows}


@dataclass(frozen=True, slots=True)
class Stuck:
    """A reply that its platform does not have, or may not have."""

    id: str
    brand: str
    channel: str
    app: str
    account: str
    state: str
    attempts: int
    reason: str
    turn: str
    text: str


STUCK_STATES = ("failed", "unknown")


async def stuck(db: Database, *, limit: int = 200) -> list[Stuck]:
    """Replies that were given up, or of which nobody knows whether they arrived, oldest first."""
    query = (
        select(outbox, conversations.c.brand, turns.c.finished_at)
        .join(turns, turns.c.id == outbox.c.turn_id)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(outbox.c.state.in_(STUCK_STATES))
        .order_by(turns.c.finished_at)
        .limit(limit)
    )
    rows = await db.read(lambda connection: connection.execute(query).all())
    return [
        Stuck(
            row.id, row.brand, row.channel, row.app, row.account, row.state, row.attempts, row.last_error or "",
            row.turn_id, row.text,
        )
        for row in rows
    ]  # fmt: skip


async def send_again(db: Database, items: Collection[str]) -> list[str]:
    """Plan stuck replies once more, as if they had never been tried; parts that arrived stay where they are.

    A part of which nobody knows whether it arrived is sent again too: its reader may see it twice.

    Args:
        db: Holds them.
        items: Ids of replies.

    Returns:
        Those that were stuck, and are planned now.
    """

    def plan(connection: Connection) -> list[str]:
        query = select(outbox.c.id, outbox.c.provider_ids).where(
            outbox.c.id.in_(items), outbox.c.state.in_(STUCK_STATES)
        )
        found = connection.execute(query.with_for_update()).all()
        for row in found:
            known = list(row.provider_ids)
            arrived = known[: known.index(UNKNOWN)] if UNKNOWN in known else known
            values = {"state": "planned", "attempts": 0, "next_attempt_at": now(), "provider_ids": arrived}
            connection.execute(update(outbox).where(outbox.c.id == row.id).values(last_error=None, **values))
        return [row.id for row in found]

    return await db.write(plan)


async def _due(db: Database, at: datetime) -> Sequence[Row[Any]]:
    """Planned replies whose time has come and whose conversation waits for no earlier one."""
    return await db.read(lambda connection: connection.execute(_DUE, {"at": at}).all())


async def _deliver(
    db: Database,
    row: Row[Any],
    channels: Channels,
    send: Send,
    ready: Ready,
    clock: Callable[[], datetime],
    stop: asyncio.Event,
) -> str | None:
    """Send the parts of one reply that are not sent yet; returns its new state, None when it is left for later."""
    done: list[str] | None = None
    try:
        channel = _channel(channels, row)
        await ready(channel)
        reply = _outbound(row)
        calls = _render(channel, reply)
        while not stop.is_set():
            claimed = await _claim(db, row.id)
            if claimed is None:
                return None
            done, told = claimed
            # Until it is settled, a part in doubt stays in doubt: the platform may not be there to be asked.
            over, doubted = await receipts.settled(channel, reply, calls, done, told, send)
            if over != done and not doubted:
                # Else a crash in the next call would leave the doubt with the wrong part.
                await _set(db, row, stop, state="sending", provider_ids=over)
            done = [*over, IN_DOUBT] if doubted else over
            if len(over) < len(calls):
                done = [*over, await _send_part(channel, calls[len(over)], send, doubted=doubted)]
            if len(done) >= len(calls):
                return await _close(db, row, done, stop)
            await _set(db, row, stop, state="planned", provider_ids=done)
    except _InDoubt as error:
        return await _put_off(db, row, error, clock, stop, done=_doubtful(done or []))
    except DeliveryFailed as error:
        return await _put_off(db, row, error, clock, stop, done=done)
    return None


class _InDoubt(DeliveryFailed):
    """The platform may have it, and will be asked, or told again, before anybody gives up."""


def _channel(channels: Channels, row: Row[Any]) -> Channel:
    channel = channels.get((row.channel, row.app))
    if channel is None:
        # Left in the queue: an operator who puts the app back gets its replies delivered.
        raise DeliveryFailed(f"The app {row.channel}/{row.app} is off or no longer configured.", retryable=True)
    return channel


def _outbound(row: Row[Any]) -> OutboundReply:
    sources = tuple(Source(**source) for source in row.sources)
    return OutboundReply(row.account, row.reply_to, row.text, row.id, sources)


def _render(channel: Channel, reply: OutboundReply) -> Sequence[Request]:
    try:
        return channel.render(reply)
    except DeliveryFailed:
        raise
    except Exception as error:
        # One reply that cannot be rendered must not hold up all others.
        log.exception("reply_not_rendered", extra={"outbox": reply.idempotency_key, "channel": channel.name})
        raise DeliveryFailed(
            f"The reply cannot be rendered ({type(error).__name__}: {error}).", retryable=False
        ) from error


async def _claim(db: Database, item: str) -> tuple[list[str], receipts.Told] | None:
    """Note that the next part is on its way.

    Returns:
        The parts before it, and what the platform has told; None when another worker has the reply.
    """

    def claim(connection: Connection) -> tuple[list[str], receipts.Told] | None:
        query = select(outbox.c.provider_ids).where(outbox.c.id == item, outbox.c.state == "planned").with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        connection.execute(update(outbox).where(outbox.c.id == item).values(state="sending"))
        return list(row.provider_ids), receipts.told(connection, item)

    return await db.write(claim)


async def _send_part(channel: Channel, request: Request, send: Send, *, doubted: bool = False) -> str:
    """Make one call; returns the platform's id, or UNKNOWN when the platform may or may not have the part.

    A call that is refused for good is followed by the one that may be made otherwise; both are the same part, and where
    the second must be tried again, so must the first, since nothing is kept of it. Where an earlier call may have been
    taken, a refusal can mean just that: then nothing is sent otherwise.

    Raises:
        _InDoubt: The platform may have it, and that can be found out later.
        DeliveryFailed: The platform does not have it.
    """
    # Made once more, it finds out by itself: it shows once; or the platform can be asked.
    clears_up = request.repeatable or isinstance(channel, LooksUp)
    try:
        status, headers, body = await send(request)
    except NOT_SENT as error:
        broken = f"The platform cannot be reached ({_named(error)})."
        raise (_InDoubt if doubted else DeliveryFailed)(broken, retryable=True) from error
    except UNSURE as error:
        if clears_up:
            raise _InDoubt(f"The line broke ({_named(error)}).", retryable=True) from error
        log.warning("delivery_unknown", extra={"channel": channel.name, "reason": _named(error)})
        return UNKNOWN
    try:
        return channel.receipt(status, headers, body)
    except DeliveryFailed as error:
        if error.retryable:
            # Who fails in the middle of a call may have carried it out.
            if doubted or (clears_up and status >= 500):
                raise _as_in_doubt(error) from error
            raise
        if doubted:
            log.warning("delivery_unknown", extra={"channel": channel.name, "reason": str(error)[:300]})
            return UNKNOWN
        if request.otherwise is None:
            raise
        log.info("delivery_otherwise", extra={"channel": channel.name, "reason": str(error)[:300]})
        return await _send_part(channel, request.otherwise, send)
    except Exception:
        # The platform answered, so it has the call; what it said is not worth a second message to a customer.
        log.exception("receipt_not_read", extra={"channel": channel.name, "status": status})
        return UNKNOWN


def _as_in_doubt(error: DeliveryFailed) -> _InDoubt:
    return _InDoubt(
        str(error),
        retryable=True,
        retry_after_s=error.retry_after_s,
        code=error.code,
        backoff_base=error.backoff_base,
        needs_operator=error.needs_operator,
    )


async def _close(db: Database, row: Row[Any], done: list[str], stop: asyncio.Event) -> str:
    state = "unknown" if UNKNOWN in done else "sent"
    return await _set(db, row, stop, state=state, provider_ids=done, attempts=row.attempts + 1)


async def _put_off(
    db: Database,
    row: Row[Any],
    error: DeliveryFailed,
    clock: Callable[[], datetime],
    stop: asyncio.Event,
    *,
    done: list[str] | None,
) -> str:
    attempts = row.attempts + 1
    reason = storable(str(error))
    values: dict[str, Any] = {"attempts": attempts, "last_error": reason}
    if done is not None:  # else nothing was claimed, and another gateway may have sent more
        values["provider_ids"] = done
    if not error.retryable or attempts > len(SCHEDULE_S):
        told_of = {"outbox": row.id, "channel": row.channel, "reason": reason[:300]}
        log.error("account_needs_operator" if error.needs_operator else "delivery_failed", extra=told_of)
        state = "unknown" if IN_DOUBT in (row.provider_ids if done is None else done) else "failed"
        return await _set(db, row, stop, state=state, **values)
    later = clock() + timedelta(seconds=wait_s(attempts, error.retry_after_s, error.backoff_base))
    await _set(db, row, stop, state="planned", next_attempt_at=later, **values)
    return "put_off"


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


async def _set(db: Database, row: Row[Any], stop: asyncio.Event, **values: Any) -> str:
    """Record what became of a call. A full disk must not turn a known result into an unknown one: it is tried again.

    Returns:
        The state that the reply is in now.
    """

    def change(connection: Connection) -> str:
        kept = receipts.recorded(connection, row, dict(values)) if "provider_ids" in values else values
        connection.execute(update(outbox).where(outbox.c.id == row.id).values(**kept))
        return str(kept["state"])

    while True:
        try:
            return await db.write(change)
        except StorageUnavailable as error:
            if stop.is_set():
                raise
            log.error("delivery_not_recorded", extra={"outbox": row.id, "reason": str(error)[:300]})  # noqa: TRY400
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RECORD_AGAIN_S)


_EARLIER, _ITS_TURN = outbox.alias("earlier"), turns.alias("its_turn")
_HELD_UP = (
    select(_EARLIER.c.id)
    .join(_ITS_TURN, _ITS_TURN.c.id == _EARLIER.c.turn_id)
    .where(
        _ITS_TURN.c.conversation_id == turns.c.conversation_id,
        _ITS_TURN.c.number < turns.c.number,
        _EARLIER.c.state.in_(("planned", "sending")),
        _EARLIER.c.attempts <= IN_ORDER_ATTEMPTS,
    )
    .correlate(turns)
    .exists()
)
_DUE = (
    select(outbox)
    .join(turns, turns.c.id == outbox.c.turn_id)
    .where(outbox.c.state == "planned", outbox.c.next_attempt_at <= bindparam("at"), ~_HELD_UP)
    .order_by(outbox.c.next_attempt_at)
    .limit(BATCH)
)
