"""A reply that takes long is shown while it grows, and its last part is written by the outbox, whatever happens.

A row of the outbox is there before the first call, in the state `growing`; its `begun` is

    none         nothing was posted
    IN_DOUBT     the call was on its way; the outbox asks the platform before it sends (`LooksUp`)
    an id        the message that holds the beginning

When the turn ends, the row is planned with the whole text, which takes the place of the beginning. A turn that ends
without a reply (taken back, taken over by a person) leaves a beginning that the outbox deletes. A turn that runs again
after a crash finds its row and goes on with it. No call of ours is under way when the whole is planned, so no earlier
text comes after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from sqlalchemy import select, update

from channels.base import Channel, Grows, LooksUp, OutboundReply
from channels.errors import DeliveryFailed
from service.delivery.calls import NOT_SENT, UNSURE
from service.delivery.outbox import GROWING, Channels, Ready, Send
from service.delivery.receipts import IN_DOUBT
from service.storage.database import Database, insert_new, now, storable
from service.storage.ids import fresh_id
from service.storage.tables import outbox

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""From the first sentence on: what is whole sooner is sent as one message, without a mark that it was edited."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reply goes."""

    turn: str
    channel: str
    app: str
    account: str
    reply_to: Mapping[str, str]


class Growth:
    """What there is of one reply so far."""

    def __init__(self) -> None:
        self._text = ""
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    def say(self, text: str) -> None:
        """The reply so far; all of it, checked."""
        self._text = text
        self._news.set()

    def end(self) -> None:
        """No more is shown."""
        self._over.set()
        self._news.set()

    async def begun(self) -> None:
        """Wait for the first words, or the end."""
        await self._news.wait()

    async def next(self, *, not_before_s: float) -> str | None:
        """What is new, once there is something and so much time has passed; None at the end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), not_before_s)
        await self._news.wait()
        self._news.clear()
        return None if self._over.is_set() else self._text


class Growing:
    """Shows replies while they grow, on channels that can be asked what they have."""

    def __init__(
        self,
        db: Database,
        channels: Channels,
        send: Send,
        *,
        ready: Ready,
        patience_s: float = PATIENCE_S,
        sure: Callable[[], bool] = lambda: True,
    ) -> None:
        self._db = db
        self._channels = channels
        self._send = send
        self._ready = ready
        self._patience_s = patience_s
        # Whether no other gateway can have taken the turn over yet: else an edit of ours might follow its whole.
        self._sure = sure

    @asynccontextmanager
    async def shown(self, place: Place) -> AsyncIterator[Growth]:
        """Show what the block says of its reply; when the block is left, no call is under way."""
        growth, platform = Growth(), self._channels.get((place.channel, place.app))
        if platform is None or not isinstance(platform, Grows) or not isinstance(platform, LooksUp):
            yield growth
            return
        task = asyncio.create_task(self._show(platform, platform.grow_every_s, place, growth), name="growing")
        try:
            yield growth
        finally:
            growth.end()
            # Also for a lane that is cancelled: what is on its way would else arrive after the whole.
            await asyncio.shield(asyncio.wait({task}))

    async def _show(self, platform: Channel, every_s: float, place: Place, growth: Growth) -> None:
        try:
            await growth.begun()
            text = await growth.next(not_before_s=self._patience_s)
            if text is None or not isinstance(platform, Grows) or not self._sure():
                return
            await self._ready(platform)
            reply = await self._begun(platform, place, text)
            while reply is not None and (text := await growth.next(not_before_s=every_s)) is not None:
                reply = replace(reply, text=text)
                call = platform.grow(reply)
                if call is None or not self._sure():
                    return
                platform.receipt(*await self._send(call))
        except (DeliveryFailed, *UNSURE) as error:
            # The whole comes by the outbox, with what is known of the beginning.
            log.info("reply_stopped_growing", extra={"channel": place.channel, "reason": type(error).__name__})
        except Exception:
            log.exception("reply_stopped_growing", extra={"channel": place.channel})

    async def _begun(self, platform: Channel, place: Place, text: str) -> OutboundReply | None:
        """The reply with its beginning, posted now or by an earlier run of the turn; None where it must not grow."""
        reply = OutboundReply(place.account, place.reply_to, text, fresh_id())
        call = platform.begin(reply) if isinstance(platform, Grows) else None
        if call is None:
            return None
        row = {
            "id": reply.idempotency_key,
            "turn_id": place.turn,
            "channel": place.channel,
            "app": place.app,
            "account": storable(place.account),
            "reply_to": dict(place.reply_to),
            "text": storable(text),
            "sources": [],
            "state": GROWING,
            "attempts": 0,
            "next_attempt_at": now(),
            "provider_ids": [],
            "begun": IN_DOUBT,
        }
        fresh = await self._db.write(
            lambda connection: connection.execute(insert_new(connection, outbox), row).rowcount
        )
        if not fresh:
            query = select(outbox.c.id, outbox.c.begun).where(outbox.c.turn_id == place.turn)
            known = await self._db.read(lambda connection: connection.execute(query).one())
            sure = known.begun and known.begun != IN_DOUBT
            return replace(reply, idempotency_key=known.id, begun=known.begun) if sure else None
        try:
            begun = platform.receipt(*await self._send(call))
        except NOT_SENT:
            begun = ""
        except DeliveryFailed as error:
            begun = "" if not error.retryable else IN_DOUBT
        if begun != IN_DOUBT:
            change = update(outbox).where(outbox.c.id == reply.idempotency_key).values(begun=begun or None)
            await self._db.write(lambda connection: connection.execute(change))
        return replace(reply, begun=begun) if begun not in ("", IN_DOUBT) else None
