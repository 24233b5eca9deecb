"""What the outside is told of people's work: signed calls, planned in the transaction that they tell of.

They go where hand-overs go (`handoff.webhook_url`), are signed alike, and come again alike; see
`service.people.handoffs`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import aiohttp
from sqlalchemy import Connection, Row, select, update

from service.conversation.house import Event
from service.delivery.outbox import BATCH
from service.delivery.schedule import SCHEDULE_S, is_due, moments
from service.people.handoffs import Post, after_attempt, signed_headers
from service.storage.database import Database, now
from service.storage.ids import fresh_id
from service.storage.tables import hooks, turns

log = logging.getLogger(__name__)


def plan(connection: Connection, event: Event) -> None:
    """Note a call; `handoff.opened` is told by `service.people.handoffs`, which keeps it beside the hand-over."""
    if event.kind in ("handoff.opened", "message.heard"):
        return
    data = {"brand": event.brand, "handoff": event.handoff, "by": event.by}
    row: dict[str, Any] = {"id": fresh_id(), "kind": event.kind, "conversation_id": event.conversation}
    row |= {"turn_id": event.turn, "created_at": now(), "attempts": 0, "next_attempt_at": now()}
    connection.execute(hooks.insert(), row | {"data": data})


async def notify_due(
    db: Database, url: str, secret: str, post: Post, *, words: bool = False, clock: Callable[[], datetime] = now
) -> int:
    """Make the calls whose time has come; returns how many were taken.

    Args:
        db: Holds them.
        url: Where they go.
        secret: Signs them.
        post: Makes one call.
        words: Whether a customer's words go along.
        clock: The present moment, with its zone.

    Raises:
        ConfigError: The secret is none.
    """
    at = clock()
    taken = 0
    for row in await _due(db, at):
        body = payload(row, words=words)
        try:
            status = await post(url, signed_headers(secret, row.id, at, body), body)
        except (OSError, aiohttp.ClientError) as error:
            log.warning("hook_not_told", extra={"hook": row.id, "reason": f"{type(error).__name__}: {error}"})
            status = 0
        change = update(hooks).where(hooks.c.id == row.id).values(**after_attempt(status, row.attempts + 1, clock()))
        await db.write(lambda connection, change=change: connection.execute(change))  # type: ignore[misc]
        taken += 200 <= status < 300
    return taken


def payload(row: Row[Any], *, words: bool) -> bytes:
    """The body of a call, the same at every attempt."""
    data = {"conversation": row.conversation_id, "turn": row.turn_id, **row.data}
    if words and row.question:
        data["text"] = row.question
    return json.dumps({"type": row.kind, "timestamp": row.created_at.isoformat(), "data": data}).encode()


async def _due(db: Database, at: datetime) -> Sequence[Row[Any]]:
    query = (
        select(hooks, turns.c.question)
        .outerjoin(turns, turns.c.id == hooks.c.turn_id)
        .where(hooks.c.notified_at.is_(None), hooks.c.attempts <= len(SCHEDULE_S), is_due(hooks))
        .order_by(hooks.c.created_at)
        .limit(BATCH)
    )
    return await db.read(lambda connection: connection.execute(query, moments(at)).all())
