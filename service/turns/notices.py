"""While no engine answers, whoever wrote reads that once: in the widget at once, on a platform after some seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import update

from channels.base import OutboundReply
from configs.brand import Brand
from service.conversation.inbox import PendingTurn
from service.delivery.outbox import Channels, Ready, Send, as_it_is
from service.errors import ServiceError
from service.storage.database import Database
from service.storage.tables import is_running, turns

log = logging.getLogger(__name__)

AFTER_S = 10.0
"""An engine that is back sooner is not worth a message on somebody's phone."""
DELAYED = "delayed"
"""Stands as the error code of a turn that runs and whose reader was told that it takes longer."""


class Notices:
    """Tells people on platforms that their message is kept; at most once a turn, also through a crash.

    Not by the outbox: a notice that fails is not worth another try, and must never come after the answer.
    """

    def __init__(self, db: Database, channels: Channels, send: Send, *, ready: Ready = as_it_is) -> None:
        self._db = db
        self._channels = channels
        self._send = send
        self._ready = ready

    @asynccontextmanager
    async def while_waiting(self, turn: PendingTurn, brand: Brand, app: str) -> AsyncIterator[None]:
        """Tell it where the block takes longer than some seconds; a call that was begun ends before the block does."""
        if (turn.channel, app) not in self._channels:
            yield
            return
        over = asyncio.Event()
        task = asyncio.create_task(self._tell(turn, brand, app, over), name="notice")
        try:
            yield
        finally:
            over.set()
            await asyncio.wait({task})

    async def _tell(self, turn: PendingTurn, brand: Brand, app: str, over: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AFTER_S):
                await over.wait()
            return
        platform = self._channels[turn.channel, app]
        reply = OutboundReply(turn.account, turn.reply_to, brand.words.delayed, f"{turn.id}-{DELAYED}")
        try:
            if not await self._first(turn.id):
                return
            await self._ready(platform)
            for call in platform.render(reply):
                status, headers, body = await self._send(call)
                platform.receipt(status, headers, body)
        except Exception as error:
            log.warning("notice_not_sent", extra={"turn": turn.id, "reason": f"{type(error).__name__}: {error}"[:200]})
        else:
            log.info("notice_sent", extra={"turn": turn.id, "channel": turn.channel})

    async def _first(self, turn: str) -> bool:
        """Note that it is told now; says whether it was not yet. Noted before the call: never twice."""
        mark = update(turns).where(turns.c.id == turn, is_running, turns.c.error_code.is_(None))
        try:
            return bool(
                await self._db.write(lambda connection: connection.execute(mark.values(error_code=DELAYED)).rowcount)
            )
        except ServiceError:
            return False
