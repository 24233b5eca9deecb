"""Messages that were deleted, remembered by digest: a platform that delivers one again must not bring it back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select

from service.storage.database import insert_new, now
from service.storage.tables import tombstones

KEPT = timedelta(days=14)
"""Longer than any platform repeats an event: Meta does for up to 7 days. Source: Meta, "Webhooks: Retries"."""
SWEPT = 200


def digest(channel: str, account: str, message_id: str) -> str:
    """What is kept of a message: its platform's id cannot be read back from it."""
    return hashlib.sha256("\0".join((channel, account, message_id)).encode()).hexdigest()


def lie_over(connection: Connection, channel: str, account: str, message_id: str) -> bool:
    """Whether a message was deleted."""
    return connection.execute(_FIND, {"digest": digest(channel, account, message_id)}).first() is not None


def lay(connection: Connection, messages: Iterable[Row[Any]], *, at: datetime | None = None) -> int:
    """Remember messages that are about to be deleted, while their platform may still repeat them.

    Args:
        connection: In the transaction that deletes them.
        messages: Rows with `channel`, `account`, `message_id` and `received_at`.
        at: The present moment.

    Returns:
        How many are remembered.
    """
    at = at or now()
    found = [
        {"digest": digest(row.channel, row.account, row.message_id), "until": row.received_at + KEPT}
        for row in messages
        if row.received_at + KEPT > at
    ]
    if found:
        connection.execute(insert_new(connection, tombstones), found)
    return len(found)


def sweep(connection: Connection, at: datetime) -> int:
    """Let go of some whose time is over; returns how many."""
    over = connection.execute(_OVER, {"at": at}).scalars().all()
    if over:
        connection.execute(delete(tombstones).where(tombstones.c.digest.in_(over)))
    return len(over)


_FIND = select(tombstones.c.digest).where(tombstones.c.digest == bindparam("digest"))
_OVER = select(tombstones.c.digest).where(tombstones.c.until <= bindparam("at")).limit(SWEPT)
