"""What goes out: a reply stays here until its platform has it.

planned -> sending -> sent, or back to planned with a later time, or failed. Any number of gateways deliver side by
side: one takes a reply, and only it says what became of it, unless it is taken for dead. What was being sent when a
gateway died, or when the line broke, may have arrived; `service.delivery.receipts` says how that is found out. What
cannot be found out is `unknown` and not sent again: a customer who reads an answer twice is worse served than one whom
an operator sees in the count; the parts after it are sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Row, bindparam, func, select, update

from channels.base import Channel, OutboundReply, Source
from channels.errors import DeliveryFailed
from service.delivery import receipts
from service.delivery.calls import InDoubt, render, send_part
from service.delivery.pace import Pace
from service.delivery.receipts import IN_DOUBT, UNKNOWN
from service.delivery.receipts import Send as Send  # part of this module as well
from service.delivery.schedule import SCHEDULE_S, is_due, moments, wait_s
from service.delivery.windows import NO_TEMPLATES, Templates, outbound
from service.errors import StorageUnavailable
from service.storage.database import Database, now, storable
from service.storage.ids import fresh_id
from service.storage.leases import NOBODY, Membership, Unshared, lives, of_the_dead
from service.storage.tables import is_running, outbox, turns

log = logging.getLogger(__name__)

Ready = Callable[[Channel], Awaitable[None]]
Channels = Mapping[tuple[str, str], Channel]
UNSHARED = Unshared()

IN_ORDER_ATTEMPTS = 3
"""A reply that failed more often than this (about six minutes) no longer holds up the replies after it."""
GROWING = "growing"
"""State of a reply whose turn still runs, and whose beginning is shown; see `service.delivery.growing`."""
BATCH = 16
"""Replies that are sent side by side, each of another conversation."""
RECORD_AGAIN_S = 1.0


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
        id=fresh_id(),
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


def plan_item(connection: Connection, turn: str, item: OutboxItem) -> None:
    """Plan a delivery; what was shown of it while it grew is the same delivery."""
    whole = {"text": storable(item.text), "sources": [asdict(source) for source in item.sources]}
    begun = update(outbox).where(outbox.c.turn_id == turn, outbox.c.state == GROWING)
    if connection.execute(begun.values(state="planned", next_attempt_at=now(), **whole)).rowcount == 0:
        connection.execute(insert_item(turn, item))


async def recover(db: Database) -> int:
    """The part that a gateway had in flight when it died is in doubt, those after it are planned.

    Returns:
        How many replies were in flight.
    """

    def plan(connection: Connection) -> int:
        query = select(outbox.c.id, outbox.c.provider_ids).where(
            outbox.c.state == "sending", of_the_dead(outbox.c.gateway)
        )
        found = connection.execute(query.with_for_update(skip_locked=True)).all()
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
    db: Database,
    channels: Channels,
    send: Send,
    *,
    ready: Ready = as_it_is,
    clock: Callable[[], datetime] = now,
    templates: Templates = NO_TEMPLATES,
    pace: Pace | None = None,
    member: Membership = UNSHARED,
) -> Mapping[str, int]:
    """Send everything whose time has come, the replies of one conversation in their order.

    Cancelled, it waits for calls that are on their way, so that an orderly stop leaves nothing unknown.

    Args:
        db: Holds the replies.
        channels: By (channel, app).
        send: Makes one HTTP call; it must give up by itself (`TimeoutError`).
        ready: Fetches what a channel needs before it can send; see `service.delivery.fetching`.
        clock: The present moment, with its zone.
        templates: What may be sent when free text is no longer taken; see `service.delivery.windows`.
        pace: Keeps the platforms' rates; None sends as fast as it can.
        member: Who delivers.

    Returns:
        How many replies are now `sent`, `put_off`, `failed` and `unknown`.
    """
    totals = Counter({"sent": 0, "put_off": 0, "failed": 0, "unknown": 0})
    courier = _Courier(db, channels, send, ready, clock, templates, pace, member)
    if await db.read(lambda connection: connection.execute(_ANY_LEFT_BEHIND).first()):
        await db.write(lambda connection: connection.execute(_LEFT_BEHIND, {"at": now()}))
    while due := await _due(db, clock()):
        work = asyncio.gather(*(courier.deliver(row) for row in due), return_exceptions=True)
        try:
            results = await asyncio.shield(work)
        except asyncio.CancelledError:
            courier.stop.set()
            await work
            raise
        if broken := [result for result in results if isinstance(result, BaseException)]:
            raise broken[0]
        done = [result for result in results if isinstance(result, str)]
        totals.update(done)
        if not done:
            # Others have them, or we are taken for dead.
            break
    return totals


async def counts(db: Database) -> Mapping[str, int]:
    """How many replies are in each state."""
    query = select(outbox.c.state, func.count()).group_by(outbox.c.state)
    rows = await db.read(lambda connection: connection.execute(query).all())
    return {row[0]: row[1] for row in rows}


async def _due(db: Database, at: datetime) -> Sequence[Row[Any]]:
    """Planned replies whose time has come and whose conversation waits for no earlier one."""
    return await db.read(lambda connection: connection.execute(_DUE, moments(at)).all())


@dataclass(frozen=True, slots=True)
class _Courier:
    """Who delivers, and with what; see `deliver_due`."""

    db: Database
    channels: Channels
    send: Send
    ready: Ready
    clock: Callable[[], datetime]
    templates: Templates
    pace: Pace | None
    member: Membership
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nothing new shall begin."""

    async def deliver(self, row: Row[Any]) -> str | None:
        """Send the parts of one reply that are not sent yet; returns its new state, None when it is left for later."""
        done: list[str] | None = None
        # Who speaks of it must find it as they left it: nobody took it meanwhile.
        ours = (outbox.c.state == "planned") & (outbox.c.attempts == row.attempts)
        try:
            channel = self._channel(row)
            await self.ready(channel)
            reply = await self._with_its_beginning(row, channel)
            calls = render(channel, reply)
            send = self._watched(row, channel)
            while not self.stop.is_set():
                me = self.member.id
                held_back = await self._held_back(row, channel)
                claimed = None if held_back else await _claim(self.db, row, me, self.clock())
                if claimed is None:
                    return None
                ours = (outbox.c.state == "sending") & (outbox.c.gateway == me)
                done, told = claimed
                # Until it is settled, a part in doubt stays in doubt: the platform may not be there to be asked.
                over, doubted = await receipts.settled(channel, reply, calls, done, told, send)
                if over != done and not doubted:
                    # Else a crash in the next call would leave the doubt with the wrong part.
                    await self._set(row, ours, state="sending", provider_ids=over)
                done = [*over, IN_DOUBT] if doubted else over
                if len(over) < len(calls) and not self.member.sure():
                    # We slept, and others may have taken it for broken off: nothing is sent before that is known.
                    await self._set(row, ours, state="planned", provider_ids=done)
                    return None
                if len(over) < len(calls):
                    done = [*over, await send_part(channel, calls[len(over)], send, doubted=doubted)]
                if len(done) >= len(calls):
                    state = "unknown" if UNKNOWN in done else "sent"
                    return await self._set(row, ours, state=state, provider_ids=done, attempts=row.attempts + 1)
                if await self._set(row, ours, state="planned", provider_ids=done) is None:
                    return None
        except InDoubt as error:
            return await self._put_off(row, error, ours, done=_doubtful(done or []))
        except DeliveryFailed as error:
            return await self._put_off(row, error, ours, done=done)
        return None

    def _channel(self, row: Row[Any]) -> Channel:
        channel = self.channels.get((row.channel, row.app))
        if channel is None:
            # Left in the queue: an operator who puts the app back gets its replies delivered.
            raise DeliveryFailed(f"The app {row.channel}/{row.app} is off or no longer configured.", retryable=True)
        return channel

    async def _with_its_beginning(self, row: Row[Any], channel: Channel) -> OutboundReply:
        """The reply, and the message in whose place it goes; where nobody knows whether that is there, it is asked for.

        Raises:
            DeliveryFailed: The platform could not be asked.
        """
        reply = await outbound(self.db, row, channel, self.templates, self.clock)
        if row.begun != IN_DOUBT:
            return replace(reply, begun=row.begun or "")
        found = await receipts.asked(channel, reply, self.send)
        begun = (found or {}).get(0, "")
        change = update(outbox).where(outbox.c.id == row.id).values(begun=begun)
        await self.db.write(lambda connection: connection.execute(change))
        return replace(reply, begun=begun)

    def _watched(self, row: Row[Any], channel: Channel) -> Send:
        pace = self.pace
        return pace.watching(self.send, channel, row.app, row.account, row.reply_to) if pace else self.send

    async def _held_back(self, row: Row[Any], channel: Channel) -> bool:
        """Whether the platform would not take a reply yet; it is left for later then, which is no attempt."""
        held_s = await self.pace.turn(channel, row.app, row.account, row.reply_to) if self.pace else 0.0
        if not held_s:
            return False
        until = self.clock() + timedelta(seconds=held_s)
        later = update(outbox).where(outbox.c.id == row.id, outbox.c.state == "planned").values(next_attempt_at=until)
        await self.db.write(lambda connection: connection.execute(later))
        return True

    async def _put_off(
        self, row: Row[Any], error: DeliveryFailed, ours: ColumnElement[bool], *, done: list[str] | None
    ) -> str | None:
        attempts = row.attempts + 1
        reason = storable(str(error))
        values: dict[str, Any] = {"attempts": attempts, "last_error": reason}
        if done is not None:  # else nothing was claimed, and another gateway may have sent more
            values["provider_ids"] = done
        if not error.retryable or attempts > len(SCHEDULE_S):
            told_of = {"outbox": row.id, "channel": row.channel, "reason": reason[:300]}
            log.error("account_needs_operator" if error.needs_operator else "delivery_failed", extra=told_of)
            state = "unknown" if IN_DOUBT in (row.provider_ids if done is None else done) else "failed"
            return await self._set(row, ours, state=state, **values)
        later = self.clock() + timedelta(seconds=wait_s(attempts, error.retry_after_s, error.backoff_base))
        noted = await self._set(row, ours, state="planned", next_attempt_at=later, **values)
        return None if noted is None else "put_off"

    async def _set(self, row: Row[Any], ours: ColumnElement[bool], **values: Any) -> str | None:
        """Record what became of a call; a full disk must not turn a known result into an unknown one: again, then.

        Returns:
            The state that the reply is in now; None where it is not `ours` to speak of any more.
        """
        found = select(outbox.c.id).where(outbox.c.id == row.id, ours).with_for_update()

        def change(connection: Connection) -> str | None:
            if connection.execute(found).one_or_none() is None:
                log.warning("delivery_taken_over", extra={"outbox": row.id})
                return None
            kept = receipts.recorded(connection, row, dict(values)) if "provider_ids" in values else values
            connection.execute(update(outbox).where(outbox.c.id == row.id).values(**kept))
            return str(kept["state"])

        while True:
            try:
                return await self.db.write(change)
            except StorageUnavailable as error:
                if self.stop.is_set():
                    raise
                log.error("delivery_not_recorded", extra={"outbox": row.id, "reason": str(error)[:300]})  # noqa: TRY400
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), RECORD_AGAIN_S)


async def _claim(db: Database, item: Row[Any], me: str, at: datetime) -> tuple[list[str], receipts.Told] | None:
    """Note that the next part is on its way.

    Returns:
        The parts before it, and what the platform has told; None when another worker has the reply.
    """

    def claim(connection: Connection) -> tuple[list[str], receipts.Told] | None:
        query = select(outbox.c.provider_ids).where(
            outbox.c.id == item.id,
            outbox.c.state == "planned",
            outbox.c.attempts == item.attempts,
            is_due(outbox),
        )
        row = connection.execute(query.with_for_update(skip_locked=True), moments(at)).one_or_none()
        # Whoever was taken for dead begins nothing: others would take it for broken off at once.
        if row is None or (me != NOBODY and not lives(connection, me)):
            return None
        connection.execute(update(outbox).where(outbox.c.id == item.id).values(state="sending", gateway=me))
        return list(row.provider_ids), receipts.told(connection, item.id)

    return await db.write(claim)


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
    select(outbox, turns.c.outcome, turns.c.author)
    .join(turns, turns.c.id == outbox.c.turn_id)
    .where(outbox.c.state == "planned", is_due(outbox), ~_HELD_UP)
    .order_by(outbox.c.next_attempt_at)
    .limit(BATCH)
)
_IS_LEFT_BEHIND = (outbox.c.state == GROWING) & outbox.c.turn_id.in_(select(turns.c.id).where(~is_running))
_ANY_LEFT_BEHIND = select(outbox.c.id).where(_IS_LEFT_BEHIND).limit(1)
_LEFT_BEHIND = (
    update(outbox).where(_IS_LEFT_BEHIND).values(state="planned", text="", sources=[], next_attempt_at=bindparam("at"))
)
"""Beginnings whose turn ended without a reply: with nothing to say they go."""
