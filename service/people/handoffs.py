"""Somebody must take over: kept, listed, told to the outside, closed.

Source of the signature: Standard Webhooks specification (webhook-id, webhook-timestamp, webhook-signature `v1,`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import aiohttp
from sqlalchemy import Connection, Row, func, or_, select, update

from configs.errors import ConfigError
from service.delivery.outbox import BATCH
from service.delivery.schedule import SCHEDULE_S, wait_s
from service.errors import ConversationUnknown
from service.storage.database import Database, now
from service.storage.ids import fresh_id
from service.storage.tables import conversations, handoffs, turns

log = logging.getLogger(__name__)

Post = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
State = Literal["open", "taken", "closed"]

MIN_KEY_BYTES = 24
"""Source: Standard Webhooks specification, "Signature scheme": symmetric secrets have 24 to 64 bytes."""
GONE = 410
"""The other side wants no more of these. Source: Standard Webhooks specification, "Deliverability"."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """One hand-over."""

    id: str
    brand: str
    conversation_id: str | None
    turn_id: str | None
    channel: str | None
    reason: str
    state: str
    created_at: datetime
    notified_at: datetime | None
    question: str | None
    summary: Mapping[str, Any] | None = None
    taken_by: str | None = None


async def open_handoff(db: Database, *, brand: str, reason: str) -> str:
    """Note a hand-over that has no conversation here; returns its id."""
    fresh = fresh_id()
    row = {"id": fresh, "brand": brand, "reason": reason, "state": "open", "created_at": now(), "attempts": 0}
    await db.write(lambda connection: connection.execute(handoffs.insert(), row))
    return fresh


async def list_handoffs(
    db: Database, *, brands: Sequence[str] | None = None, state: State | None = None, limit: int = 200
) -> list[Handoff]:
    """Hand-overs, newest first.

    Args:
        db: Holds them.
        brands: Of these brands only.
        state: Only those in this state.
        limit: At most so many.
    """
    query = (
        select(handoffs, conversations.c.channel, turns.c.question)
        .outerjoin(conversations, conversations.c.id == handoffs.c.conversation_id)
        .outerjoin(turns, turns.c.id == handoffs.c.turn_id)
        .order_by(handoffs.c.created_at.desc())
        .limit(limit)
    )
    if brands is not None:
        query = query.where(handoffs.c.brand.in_(brands))
    if state:
        query = query.where(handoffs.c.state == state)
    rows = await db.read(lambda connection: connection.execute(query).all())
    return [
        Handoff(
            row.id, row.brand, row.conversation_id, row.turn_id, row.channel, row.reason, row.state, row.created_at,
            row.notified_at, row.question, row.summary, row.taken_by,
        )
        for row in rows
    ]  # fmt: skip


def to_json(handoff: Handoff) -> dict[str, Any]:
    """A hand-over as the API shows it."""
    return {
        "id": handoff.id,
        "brand": handoff.brand,
        "conversation": handoff.conversation_id,
        "turn": handoff.turn_id,
        "channel": handoff.channel or "api",
        "reason": handoff.reason,
        "state": handoff.state,
        "question": handoff.question,
        "created_at": handoff.created_at.isoformat(),
        "notified_at": handoff.notified_at.isoformat() if handoff.notified_at else None,
        "taken_by": handoff.taken_by,
        "summary": handoff.summary,
    }


async def close_handoff(db: Database, handoff: str) -> bool:
    """Somebody has taken over; returns whether it was open until now.

    Raises:
        ConversationUnknown: No such hand-over.
    """

    def close(connection: Connection) -> bool:
        query = select(handoffs.c.state).where(handoffs.c.id == handoff).with_for_update()
        state = connection.execute(query).scalar_one_or_none()
        if state is None:
            raise ConversationUnknown(f"There is no hand-over {handoff!r}. See `brandvoice handoffs list`.")
        connection.execute(update(handoffs).where(handoffs.c.id == handoff).values(state="closed"))
        return bool(state == "open")

    return await db.write(close)


async def count_open(db: Database) -> int:
    """How many wait for somebody."""
    query = select(func.count()).select_from(handoffs).where(handoffs.c.state == "open")
    return int(await db.read(lambda connection: connection.execute(query).scalar_one()))


def signing_key(secret: str) -> bytes:
    """The key in a `whsec_...` secret.

    Raises:
        ConfigError: Not base64, or shorter than the specification's 24 bytes.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(
            f"handoff.webhook_secret is not `whsec_` and base64 of at least {MIN_KEY_BYTES} bytes. Make one with: "
            "python -c 'import base64, os; print(\"whsec_\" + base64.b64encode(os.urandom(32)).decode())'"
        )
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: HMAC-SHA256 over `id.timestamp.body`.

    Raises:
        ConfigError: The secret is none.
    """
    key = signing_key(secret)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Headers of one call.

    Raises:
        ConfigError: The secret is none.
    """
    timestamp = int(at.timestamp())
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, body),
    }


async def notify_due(db: Database, url: str, secret: str, post: Post, *, clock: Callable[[], datetime] = now) -> int:
    """Tell the outside of open hand-overs that it has not taken yet; returns how many it took.

    A call whose answer is lost is made again with the same `webhook-id`, by which the other side knows a repeat.

    Raises:
        ConfigError: The secret is none.
    """
    at = clock()
    taken = 0
    for row in await _due(db, at):
        body = _payload(row)
        try:
            status = await post(url, signed_headers(secret, row.id, at, body), body)
        except (OSError, aiohttp.ClientError) as error:
            log.warning("handoff_not_told", extra={"handoff": row.id, "reason": f"{type(error).__name__}: {error}"})
            status = 0
        await _note(db, row.id, after_attempt(status, row.attempts + 1, clock()))
        taken += 200 <= status < 300
    return taken


async def _due(db: Database, at: datetime) -> Sequence[Row[Any]]:
    """Open hand-overs that nobody outside has taken, and whose time has come."""
    query = (
        select(handoffs)
        .where(
            handoffs.c.notified_at.is_(None),
            handoffs.c.state != "closed",
            handoffs.c.attempts <= len(SCHEDULE_S),
            or_(handoffs.c.next_attempt_at.is_(None), handoffs.c.next_attempt_at <= at),
        )
        .order_by(handoffs.c.created_at)
        .limit(BATCH)
    )
    return await db.read(lambda connection: connection.execute(query).all())


async def _note(db: Database, handoff: str, values: Mapping[str, Any]) -> None:
    change = update(handoffs).where(handoffs.c.id == handoff).values(**values)
    await db.write(lambda connection: connection.execute(change))


def _payload(row: Row[Any]) -> bytes:
    """The same bytes at every attempt. No customer's words: who may read them asks for the turn."""
    return json.dumps(
        {
            "type": "handoff.opened",
            "timestamp": row.created_at.isoformat(),
            "data": {
                "id": row.id,
                "brand": row.brand,
                "conversation": row.conversation_id,
                "turn": row.turn_id,
                "reason": row.reason,
            },
        }
    ).encode()


def after_attempt(status: int, attempts: int, at: datetime) -> dict[str, Any]:
    """What to note after an attempt: told, given up, or when to try again."""
    if 200 <= status < 300:
        return {"notified_at": at, "attempts": attempts}
    if status == GONE or attempts > len(SCHEDULE_S):
        log.error("handoff_given_up", extra={"status": status, "attempts": attempts})
        return {"attempts": len(SCHEDULE_S) + 1}
    return {"attempts": attempts, "next_attempt_at": at + timedelta(seconds=wait_s(attempts))}
