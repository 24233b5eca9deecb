"""Signed events that belong to no brand, or that nobody could read: the newest are kept for a look, all are counted."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from service.storage.database import Database, now, storable
from service.storage.tables import unbound_events

MAX_CHARS = 100_000
MAX_KEPT = 1_000
"""A workspace that nobody bound must not fill the disk."""


async def keep(db: Database, *, channel: str, app: str, account: str, reason: str, payload: bytes) -> None:
    """Store an event aside, and let go of the oldest beyond `MAX_KEPT`."""
    text = storable(payload.decode("utf-8", "replace"))[:MAX_CHARS]
    row = {
        "channel": channel,
        "app": app,
        "account": storable(account),
        "reason": storable(reason),
        "payload": text,
        "received_at": now(),
    }

    def store(connection: Connection) -> None:
        stored = connection.execute(unbound_events.insert().returning(unbound_events.c.id), row)
        connection.execute(delete(unbound_events).where(unbound_events.c.id <= stored.scalar_one() - MAX_KEPT))

    await db.write(store, urgent=True)


async def count(db: Database) -> int:
    """How many are kept."""
    query = select(func.count()).select_from(unbound_events)
    return int(await db.read(lambda connection: connection.execute(query).scalar_one()))
