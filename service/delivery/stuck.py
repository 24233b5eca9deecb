"""Replies that were given up, or of which nobody knows whether they arrived: shown to an operator, and sent again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from service.delivery.receipts import UNKNOWN
from service.storage.database import Database, now
from service.storage.tables import conversations, outbox, turns


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
