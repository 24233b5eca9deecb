"""Calls that a channel needs before it can verify or send: signing keys of the platform's, a token of ours."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from channels.base import Channel, Fetches, Request
from channels.errors import NotReady
from service.delivery.outbox import Send

log = logging.getLogger(__name__)

LIMIT_S = 5.0
"""Of one call. Two may follow one another, and Microsoft waits 15 s for the answer to a webhook."""

AGAIN_AFTER_S = 10.0
"""The same address is not called sooner again, so that neither a platform in trouble nor a sender of nonsense makes us
call it once a request."""


class Fetcher:
    """Makes the calls, for each channel one round at a time: who comes meanwhile waits for what it brings."""

    def __init__(self, send: Send, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._locks: defaultdict[Fetches, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._called_at: dict[tuple[Fetches, str], float] = {}

    async def ready(self, channel: Channel) -> None:
        """Fetch what a channel needs now; nothing for a channel that is not `Fetches`.

        It raises nothing: whether what did not come is missing, only the channel knows.
        """
        if not isinstance(channel, Fetches) or not self._due(channel):
            return
        async with self._locks[channel]:
            while due := self._due(channel):
                await asyncio.gather(*(self._fetch(channel.name, channel, request) for request in due))

    async def verify(self, channel: Channel, headers: Mapping[str, str], body: bytes) -> None:
        """As the channel does; where something is missing, it is fetched once and the request is looked at again.

        Raises:
            NotReady: It did not come, so nobody knows whether the request is genuine.
            SignatureInvalid: It is not.
            StaleRequest: It is not from now.
        """
        try:
            channel.verify(headers, body)
        except NotReady:
            await self.ready(channel)
            channel.verify(headers, body)

    def _due(self, channel: Fetches) -> Sequence[Request]:
        latest = self._clock() - AGAIN_AFTER_S
        return [call for call in channel.needs() if self._called_at.get((channel, call.url), latest) <= latest]

    async def _fetch(self, name: str, channel: Fetches, request: Request) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                status, headers, body = await self._send(request)
            channel.learn(request, status, headers, body)
        except Exception as error:
            # Whatever it is, it must not become an error of the webhook or the delivery that it was for.
            log.warning("not_fetched", extra={"channel": name, "reason": f"{type(error).__name__}: {error}"})
        self._called_at[channel, request.url] = self._clock()
