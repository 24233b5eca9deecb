"""Thumbs that come in from a platform: kept as the feedback of the reply's turn, and thanked for where it stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from sqlalchemy import select

from channels.base import Channel, OutboundReply, Rates, Rating, Source
from configs.brand import Brand
from service.conversation.feedback import set_feedback
from service.delivery.outbox import Ready, Send
from service.storage.database import Database
from service.storage.tables import conversations, outbox, turns

log = logging.getLogger(__name__)


class Ratings:
    """Keeps thumbs. Of several people in one thread, the last thumb counts."""

    def __init__(self, db: Database, brands: Mapping[str, Brand], send: Send, *, ready: Ready) -> None:
        self._db = db
        self._brands = brands
        self._send = send
        self._ready = ready
        self._thanking: set[asyncio.Task[None]] = set()

    async def take(self, channel: str, app: str, platform: Channel, rating: Rating) -> str | None:
        """Keep one.

        Returns:
            The brand that was rated; None where the reply is not one that this app sent to this account.

        Raises:
            StorageUnavailable: It is not kept.
        """
        query = (
            select(outbox, turns.c.conversation_id, conversations.c.brand)
            .join(turns, turns.c.id == outbox.c.turn_id)
            .join(conversations, conversations.c.id == turns.c.conversation_id)
            .where(
                outbox.c.id == rating.reply,
                outbox.c.channel == channel,
                outbox.c.app == app,
                outbox.c.account == rating.account,
            )
        )
        row = await self._db.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        await set_feedback(self._db, row.turn_id, rating.value, conversation_id=row.conversation_id)
        brand = self._brands.get(row.brand)
        if isinstance(platform, Rates) and brand is not None and rating.reply_to:
            sources = tuple(Source(**source) for source in row.sources)
            reply = OutboundReply(row.account, row.reply_to, row.text, row.id, sources)
            # Beside the answer to the platform, which waits for it no longer than for the database.
            task = asyncio.create_task(self._thank(platform, reply, rating, brand.words.thanks), name="thanks")
            self._thanking.add(task)
            task.add_done_callback(self._thanking.discard)
        return str(row.brand)

    async def _thank(self, platform: Channel, reply: OutboundReply, rating: Rating, words: str) -> None:
        if not isinstance(platform, Rates):
            return
        try:
            await self._ready(platform)
            for call in platform.thank(reply, rating, words):
                status, headers, body = await self._send(call)
                platform.receipt(status, headers, body)
        except Exception as error:
            # The thumb is kept; that it is thanked for is a courtesy.
            log.info("rating_not_thanked", extra={"channel": platform.name, "reason": f"{type(error).__name__}"})
