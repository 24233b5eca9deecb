"""While an answer is being written, its reader sees that on their platform."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from channels.base import Channel
from service.delivery.outbox import Channels, Ready, Send, as_it_is

log = logging.getLogger(__name__)

AGAIN_BEFORE_S = 1.0
"""The sign is given again this long before the platform takes it away."""


class Typing:
    """Gives the sign, and gives it again while the answer takes its time; whether it arrives changes nothing."""

    def __init__(self, channels: Channels, send: Send, *, ready: Ready = as_it_is) -> None:
        self._channels = channels
        self._send = send
        self._ready = ready

    @asynccontextmanager
    async def shown(self, channel: str, app: str, account: str, reply_to: Mapping[str, str]) -> AsyncIterator[None]:
        """Show it for as long as the block runs."""
        platform = self._channels.get((channel, app))
        if platform is None:
            yield
            return
        task = asyncio.create_task(self._show(platform, account, reply_to), name="typing")
        try:
            yield
        finally:
            task.cancel()

    async def _show(self, platform: Channel, account: str, reply_to: Mapping[str, str]) -> None:
        lasts_s = platform.capabilities.typing_lasts_s
        try:
            while True:
                await self._ready(platform)
                for call in platform.typing(account, reply_to):
                    status, _, _ = await self._send(call)
                    log.debug("typing_shown", extra={"channel": platform.name, "status": status})
                if lasts_s is None:
                    return
                await asyncio.sleep(max(lasts_s - AGAIN_BEFORE_S, AGAIN_BEFORE_S))
        except Exception as error:
            log.debug("typing_not_shown", extra={"channel": platform.name, "reason": type(error).__name__})
