"""What a reply is rendered from: its row, how long ago the person wrote, and what may be sent when that is too long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from channels.base import Channel, OutboundReply, Source, Template
from channels.errors import DeliveryFailed
from configs.brand import Brand
from service.delivery import receipts
from service.storage.database import Database
from service.storage.tables import inbox, outbox, turns

Templates = Mapping[tuple[str, str, str], Template]
"""By channel, app and account."""

NO_TEMPLATES: Templates = {}
THREAD_OF = "thread_of"
"""In `reply_to`: the outbox row whose message began the thread of a reply; see `service.people.slack`."""
RATEABLE = ("answered", "refused")
"""Outcomes of turns under whose replies thumbs are offered: what the bot itself said to a question."""


def late_templates(brands: Mapping[str, Brand]) -> Templates:
    """Each brand's template for replies that come too late for free text."""
    return {
        (binding.channel, binding.app, binding.account): Template(late.name, late.language, late.parameters)
        for brand in brands.values()
        for binding in brand.channels
        if binding.channel == "whatsapp" and (late := binding.templates.late_reply)
    }


async def outbound(
    db: Database, row: Row[Any], channel: Channel, templates: Templates, clock: Callable[[], datetime]
) -> OutboundReply:
    """The reply of an outbox row, which comes with its turn's outcome and author.

    When the person wrote is asked for only where the platform sets a time. It is when we heard of it, which is never
    earlier than when it was written: what the platform still refuses, it says by itself, at once or later.

    Raises:
        DeliveryFailed: It belongs to a thread that is not begun yet.
    """
    reply_to = await _in_thread(db, row.reply_to)
    since_s = None
    if (window_s := channel.capabilities.window_s) is not None:
        heard, closed = await db.read(lambda connection: _heard(connection, row))
        since_s = (clock() - heard).total_seconds() if heard else None
        if closed:
            since_s = max(since_s or 0.0, window_s + 1)
    return OutboundReply(
        row.account,
        reply_to,
        row.text,
        row.id,
        tuple(Source(**source) for source in row.sources),
        since_heard_s=since_s,
        by_person=row.author is not None,
        rateable=row.outcome in RATEABLE,
        template=templates.get((row.channel, row.app, row.account)),
    )


def _heard(connection: Connection, row: Row[Any]) -> tuple[datetime | None, bool]:
    """When the person last wrote, and whether the platform told of this reply that it was too late."""
    heard = connection.execute(_HEARD, {"turn": row.turn_id}).scalar_one()
    return heard, receipts.window_was_closed(receipts.told(connection, row.id))


async def _in_thread(db: Database, reply_to: Mapping[str, str]) -> Mapping[str, str]:
    """With the id of the thread, which Slack gives only once its first message is posted."""
    if THREAD_OF not in reply_to:
        return reply_to
    found = await db.read(lambda c: c.execute(_BEGAN, {"item": reply_to[THREAD_OF]}).scalar_one_or_none())
    _, _, ts = (found or [""])[0].partition(":")
    if not ts:
        raise DeliveryFailed("The thread's first message is not posted.", retryable=True)
    return {**{key: value for key, value in reply_to.items() if key != THREAD_OF}, "thread_ts": ts}


_BEGAN = select(outbox.c.provider_ids).where(outbox.c.id == bindparam("item"))
_HEARD = select(func.max(inbox.c.received_at)).where(
    inbox.c.conversation_id == select(turns.c.conversation_id).where(turns.c.id == bindparam("turn")).scalar_subquery()
)
