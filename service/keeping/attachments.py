"""Files that visitors sent go when nothing names them any more: their rows went, or no message ever took them along."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, select

from configs.home import Home
from service.storage.database import Database, now
from service.storage.tables import files

UNSENT_HOURS = 24
SPARE_S = 3600.0
"""A file this young may belong to a row that is just being written."""
PART = 200


async def sweep(db: Database, home: Home, *, spare_s: float = SPARE_S) -> int:
    """Delete rows that no message took along for a day, and what no row names; returns how many files went.

    Args:
        db: Holds the rows.
        home: Holds the files.
        spare_s: Files younger than this stay.

    Raises:
        StorageError: The database cannot be read or written; run it again.
    """
    old = now() - timedelta(hours=UNSENT_HOURS)
    unsent = delete(files).where(files.c.inbox_id.is_(None), files.c.created_at < old)
    await db.write(lambda connection: connection.execute(unsent), durable=False)
    found = await asyncio.to_thread(_found, home, time.time() - spare_s)
    gone = 0
    for begin in range(0, len(found), PART):
        part = found[begin : begin + PART]
        query = select(files.c.digest).where(files.c.digest.in_([path.name for path in part]))
        named = set(await db.read(lambda connection, query=query: connection.execute(query).scalars().all()))  # type: ignore[misc]
        for path in part:
            if path.name not in named:
                path.unlink(missing_ok=True)
                gone += 1
    return gone


def _found(home: Home, before: float) -> list[Path]:
    return [path for path in sorted(home.files.glob("*/*")) if path.stat().st_mtime < before]
