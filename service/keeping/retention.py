"""Old conversations go by themselves: a daily pass in steps so small that no turn waits for it.

`retention.days` of a brand says how long. A turn goes with its evidence, messages, reply, thumb and hand-over; a
conversation goes when nothing of it is left. What is still open stays: a turn that runs, a message that waits for
one, a reply that is still to be sent, and all of a conversation that waits for a person, or that one has. A reply that
was given up is not open: nobody tries any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, exists, literal, or_, select, tuple_

from configs.brand import Brand
from configs.home import Home
from service.errors import ServiceError
from service.keeping import attachments, sign_ins
from service.storage import tombstones
from service.storage.belonging import add, count_with_all, delete_with_all
from service.storage.database import Database, now
from service.storage.tables import Utc, conversations, handoffs, inbox, is_running, outbox, turns, unbound_events

log = logging.getLogger(__name__)

FIRST_AFTER_S = 60.0
"""A gateway that just started has other things to do."""
EVERY_S = 24 * 3600.0
STEP = 10
"""Turns deleted in one transaction."""
LOOK = 100
"""Rows looked at in one query."""
REST = 4.0
"""Times a step's own length that the database is left to the turns after it."""


@dataclass(slots=True)
class Pass:
    """What one pass deleted, or would delete, by brand and table; `""` stands for what belongs to no brand."""

    dry_run: bool
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    still_open: dict[str, int] = field(default_factory=dict)
    """Old turns that stay because something about them is open."""
    longest_ms: float = 0.0
    """Of all steps."""

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return asdict(self)


async def daily(db: Database, brands: Mapping[str, Brand], home: Home, *, first_after_s: float = FIRST_AFTER_S) -> None:
    """Delete what is old, once a day, for as long as the gateway runs."""
    await asyncio.sleep(first_after_s)
    while True:
        try:
            done = await run(db, brands)
            if deleted := await attachments.sweep(db, home):
                log.info("files_deleted", extra={"files": deleted})
            if any(done.rows.values()):
                log.info("old_rows_deleted", extra={"rows": done.rows, "longest_ms": round(done.longest_ms, 1)})
        except ServiceError as error:
            log.warning("retention_failed", extra={"reason": str(error)})
        except Exception:
            log.exception("retention_failed")
        await asyncio.sleep(EVERY_S)


async def run(db: Database, brands: Mapping[str, Brand], *, dry_run: bool = False, at: datetime | None = None) -> Pass:
    """Go through everything once.

    Args:
        db: Holds the conversations.
        brands: With their `retention.days`.
        dry_run: Only count.
        at: The present moment.

    Raises:
        StorageUnavailable: The database is locked, full or gone; what was deleted until then stays deleted.
    """
    at = at or now()
    limits = {name: at - timedelta(days=brand.retention.days) for name, brand in brands.items() if brand.retention.days}
    done = Pass(dry_run)
    if limits:
        steps = _Steps(db, limits, at, done)
        await steps.turns()
        await steps.conversations()
        await steps.without_conversation()
        await steps.unbound()
    if not dry_run:
        while await db.write(lambda connection: tombstones.sweep(connection, at), durable=False):
            continue
        await db.write(lambda connection: sign_ins.sweep(connection, at), durable=False)
    return done


class _Steps:
    """One pass; a query looks at `LOOK` rows at most, a transaction deletes `STEP`."""

    def __init__(self, db: Database, limits: Mapping[str, datetime], at: datetime, done: Pass) -> None:
        self._db = db
        self._limits = limits
        self._at = at
        self._done = done

    async def turns(self) -> None:
        """Oldest first, along an index of their own."""
        newest = max(self._limits.values())
        after: tuple[datetime, str] | None = None
        while rows := await self._look(_old_turns(newest, after)):
            after = (rows[-1].created_at, rows[-1].id)
            for brand, due in self._due(rows):
                for ids in _slices(due):
                    await self._step(brand, ids, self._turns_step)

    async def conversations(self) -> None:
        """Those of which nothing is left."""
        last = ""
        while rows := await self._look(_CONVERSATIONS, {"last": last}):
            last = rows[-1].id
            for brand, due in self._due(rows):
                for ids in _slices(due):
                    await self._step(brand, ids, self._conversations_step)

    async def without_conversation(self) -> None:
        """Hand-overs of the API's callers, whose conversations are not kept here."""
        for brand, limit in self._limits.items():
            last = ""
            while rows := await self._look(_HANDOFFS, {"brand": brand, "limit": limit, "last": last}):
                last = rows[-1].id
                await self._step(brand, [row.id for row in rows], self._handoffs_step)

    async def unbound(self) -> None:
        """They belong to no brand: the brand that keeps the least says how long."""
        limit = max(self._limits.values())
        last = 0
        while rows := await self._look(_UNBOUND, {"last": last}):
            last = rows[-1].id
            if due := [row.id for row in rows if row.received_at < limit]:
                await self._step("", due, self._unbound_step)

    async def _look(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        return await self._db.read(lambda connection: connection.execute(query, values or {}).all())

    def _due(self, rows: Sequence[Row[Any]]) -> Iterator[tuple[str, list[str]]]:
        for brand, limit in self._limits.items():
            if due := [row.id for row in rows if row.brand == brand and row.created_at < limit]:
                yield brand, due

    async def _step(self, brand: str, ids: Sequence[Any], work: Any) -> None:
        began = time.perf_counter()

        def step(connection: Connection) -> tuple[dict[str, int], int]:
            result: tuple[dict[str, int], int] = work(connection, ids)
            return result

        if self._done.dry_run:
            counts, kept = await self._db.read(step)
        else:
            # Not durable: after a power cut the next pass deletes the same again.
            counts, kept = await self._db.write(step, durable=False)
        took = time.perf_counter() - began
        self._done.longest_ms = max(self._done.longest_ms, took * 1000)
        add(self._done.rows.setdefault(brand, {}), counts)
        if kept:
            add(self._done.still_open, {brand: kept})
        if not self._done.dry_run:
            await asyncio.sleep(took * REST)

    def _turns_step(self, connection: Connection, ids: Sequence[str]) -> tuple[dict[str, int], int]:
        closed = connection.execute(select(turns.c.id).where(turns.c.id.in_(ids), ~is_open())).scalars().all()
        if self._done.dry_run:
            return count_with_all(connection, turns, closed), len(ids) - len(closed)
        messages = select(inbox).where(inbox.c.turn_id.in_(closed))
        tombstones.lay(connection, connection.execute(messages).all(), at=self._at)
        return delete_with_all(connection, turns, closed), len(ids) - len(closed)

    def _conversations_step(self, connection: Connection, ids: Sequence[str]) -> tuple[dict[str, int], int]:
        # Locked first, so that a message that comes in now finds it there or makes a new one.
        locked = select(conversations.c.id).where(conversations.c.id.in_(ids))
        if not self._done.dry_run:
            locked = locked.with_for_update(skip_locked=True)
        found = connection.execute(locked).scalars().all()
        empty = select(conversations.c.id).where(conversations.c.id.in_(found), is_empty())
        gone = connection.execute(empty).scalars().all()
        if self._done.dry_run:
            return count_with_all(connection, conversations, gone), 0
        return delete_with_all(connection, conversations, gone), 0

    def _handoffs_step(self, connection: Connection, ids: Sequence[str]) -> tuple[dict[str, int], int]:
        if self._done.dry_run:
            return count_with_all(connection, handoffs, ids), 0
        return delete_with_all(connection, handoffs, ids), 0

    def _unbound_step(self, connection: Connection, ids: Sequence[int]) -> tuple[dict[str, int], int]:
        if not self._done.dry_run:
            connection.execute(delete(unbound_events).where(unbound_events.c.id.in_(ids)))
        return {unbound_events.name: len(ids)}, 0


def is_open() -> ColumnElement[bool]:
    """Whether something about a turn is still to be done; of `turns` in the surrounding statement."""
    unsent = exists().where(outbox.c.turn_id == turns.c.id, outbox.c.state.in_(UNSENT))
    waits = exists().where(handoffs.c.conversation_id == turns.c.conversation_id, handoffs.c.state != "closed")
    asked = exists().where(handoffs.c.turn_id == turns.c.id, handoffs.c.state != "closed")
    attended = exists().where(conversations.c.id == turns.c.conversation_id, conversations.c.state == "person")
    told_of = exists().where(
        conversations.c.id == turns.c.conversation_id,
        handoffs.c.conversation_id == conversations.c.about,
        handoffs.c.state != "closed",
    )
    return or_(is_running, unsent, waits, asked, attended, told_of)


def is_empty() -> ColumnElement[bool]:
    """Whether nothing that was said there is still kept; of `conversations` in the surrounding statement."""
    said = [exists().where(table.c.conversation_id == conversations.c.id) for table in (turns, inbox, handoffs)]
    return ~or_(*said)


UNSENT: tuple[Literal["planned", "sending"], ...] = ("planned", "sending")


def _slices(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ids), STEP):
        yield ids[begin : begin + STEP]


def _old_turns(newest: datetime, after: tuple[datetime, str] | None) -> Any:
    query = (
        select(turns.c.id, turns.c.created_at, conversations.c.brand)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(turns.c.created_at < newest)
        .order_by(turns.c.created_at, turns.c.id)
        .limit(LOOK)
    )
    if after:
        query = query.where(tuple_(turns.c.created_at, turns.c.id) > tuple_(literal(after[0], Utc()), after[1]))
    return query


_CONVERSATIONS = (
    select(conversations.c.id, conversations.c.brand, conversations.c.created_at)
    .where(conversations.c.id > bindparam("last"))
    .order_by(conversations.c.id)
    .limit(LOOK)
)
_HANDOFFS = (
    select(handoffs.c.id)
    .where(
        handoffs.c.id > bindparam("last"),
        handoffs.c.conversation_id.is_(None),
        handoffs.c.turn_id.is_(None),
        handoffs.c.state == "closed",
        handoffs.c.brand == bindparam("brand"),
        handoffs.c.created_at < bindparam("limit"),
    )
    .order_by(handoffs.c.id)
    .limit(STEP)
)
_UNBOUND = (
    select(unbound_events.c.id, unbound_events.c.received_at)
    .where(unbound_events.c.id > bindparam("last"))
    .order_by(unbound_events.c.id)
    .limit(STEP)
)
