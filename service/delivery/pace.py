"""How fast replies go out: the rates that platforms name, and what their answers say.

Kept by each process for itself: with several gateways on one account a platform may still say 429, which is waited out.
The outbox is told for how long to wait, so that it does something else meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator, Mapping

from channels.base import Channel
from channels.base import Request as ChannelRequest
from service.buckets import Buckets
from service.delivery.receipts import Send

SHORT_S = 0.25
"""A wait that is not worth a second look at the outbox."""
MOST_HELD_S = 600.0
"""What an answer may hold us back; a longer one would come as a 429 with its time."""


class Pace:
    """Counts the calls of every account and chat."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rates: dict[tuple[str, int], Buckets] = {}
        # What an answer says of a place holds until then.
        self._held = Buckets(1.0, 1.0, clock=clock)

    async def turn(self, channel: Channel, app: str, account: str, reply_to: Mapping[str, str]) -> float:
        """Take one call's place, after a short wait where one is needed.

        Args:
            channel: Names its platform's rates.
            app: Ours.
            account: Ours on the platform.
            reply_to: Where the call goes.

        Returns:
            0, or the seconds after which to come again; then no place was taken.
        """
        meters = [(self._held, _place(channel, app, account, reply_to))]
        meters += self._meters(channel, app, account, reply_to)
        while (wait_s := max(buckets.wait_s(name) for buckets, name in meters)) > 0:
            if wait_s > SHORT_S:
                return wait_s
            await asyncio.sleep(wait_s)
        for buckets, name in meters[1:]:
            buckets.take(name)
        return 0.0

    def watching(self, send: Send, channel: Channel, app: str, account: str, reply_to: Mapping[str, str]) -> Send:
        """The same, which looks at answers for `X-RateLimit-Remaining: 0` with `X-RateLimit-Reset-After`, as Discord's.

        Source: discord.com/developers/docs/topics/rate-limits#header-format.
        """

        async def watched(request: ChannelRequest) -> tuple[int, Mapping[str, str], bytes]:
            status, headers, body = await send(request)
            if headers.get("x-ratelimit-remaining") == "0" and (held_s := _seconds(headers)) is not None:
                self._held.empty(_place(channel, app, account, reply_to), held_s)
            return status, headers, body

        return watched

    def _meters(
        self, channel: Channel, app: str, account: str, reply_to: Mapping[str, str]
    ) -> Iterator[tuple[Buckets, Hashable]]:
        for number, rate in enumerate(channel.capabilities.rates):
            buckets = self._rates.get((channel.name, number))
            if buckets is None:
                buckets = Buckets(1 / rate.per_s, rate.burst, clock=self._clock)
                self._rates[channel.name, number] = buckets
            yield buckets, (app, account, *(reply_to.get(name, "") for name in rate.per))


def _place(channel: Channel, app: str, account: str, reply_to: Mapping[str, str]) -> Hashable:
    return (channel.name, app, account, *(reply_to[name] for name in sorted(reply_to)))


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        found = float(headers.get("x-ratelimit-reset-after", ""))
    except ValueError:
        return None
    return min(found, MOST_HELD_S) if found >= 0 else None
