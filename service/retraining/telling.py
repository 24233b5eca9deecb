"""The outside is told of alarms and of trainings: calls signed as those of hand-overs are, to the same address.

Each is made again, later each time, until it is taken; see `service.people.handoffs`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

import aiohttp
from sqlalchemy import select

from service.delivery.schedule import SCHEDULE_S
from service.people.handoffs import Post, after_attempt, signed_headers
from service.retraining import state
from service.retraining.state import Note, State
from service.storage.database import Database, now
from service.storage.retraining_tables import retraining

log = logging.getLogger(__name__)


async def notify_due(db: Database, url: str, secret: str, post: Post, *, clock: Callable[[], datetime] = now) -> int:
    """Make the calls whose time has come; returns how many were taken.

    Args:
        db: Holds them.
        url: Where they go.
        secret: Signs them.
        post: Makes one call.
        clock: The present moment, with its zone.

    Raises:
        ConfigError: The secret is none.
    """
    at, taken = clock(), 0
    for brand, note in await _due(db, at):
        body = payload(brand, note)
        try:
            status = await post(url, signed_headers(secret, note.id, at, body), body)
        except (OSError, aiohttp.ClientError) as error:
            log.warning("retraining_not_told", extra={"note": note.id, "reason": f"{type(error).__name__}: {error}"})
            status = 0
        told = after_attempt(status, note.attempts + 1, clock())
        over = "notified_at" in told or told["attempts"] > len(SCHEDULE_S)
        later = (
            None if over else note.model_copy(update={"attempts": told["attempts"], "next_at": told["next_attempt_at"]})
        )
        await db.write(
            lambda connection, brand=brand, note=note, later=later: state.change(  # type: ignore[misc]
                connection, brand, lambda one: _replaced(one, note, later)
            )
        )
        taken += 200 <= status < 300
    return taken


def payload(brand: str, note: Note) -> bytes:
    """The body of a call, the same at every attempt."""
    data = {"brand": brand, **note.data}
    return json.dumps({"type": note.kind, "timestamp": note.at.isoformat(), "data": data}).encode()


async def _due(db: Database, at: datetime) -> Sequence[tuple[str, Note]]:
    rows = await db.read(lambda connection: connection.execute(select(retraining.c.brand, retraining.c.state)).all())
    return [(row.brand, one) for row in rows for one in State.model_validate(row.state).notes if one.next_at <= at]


def _replaced(one: State, note: Note, later: Note | None) -> State:
    kept = [later if each.id == note.id else each for each in one.notes]
    return one.with_(notes=tuple(each for each in kept if each is not None))
