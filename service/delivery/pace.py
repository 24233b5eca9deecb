"""How fast replies go out: the rates that platforms name, and what their answers say.

Kept by each process for itself: with several gateways on one account a platform may still say 429, which is waited out.
A meter keeps no list of past calls but one moment, at which it would be empty (the generic cell rate algorithm, ITU-T
I.371): the outbox must be told for how long to wait, so that it does something else meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping

from channels.base import Channel, Rate
from channels.base import Request as ChannelRequest
from service.delivery.receipts import Send

SHORT_S = 0.25
"""A wait that is not worth a second look at the outbox."""
MOST_METERS = 10_000
MOST_HELD_S = 600.0
"""What an answer may hold us back; a longer one would come as a 429 with its time."""

_Key = tuple[str, ...]


class Pace:
    """Counts the calls of every account and chat."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._empty_at: dict[_Key, float] = {}
        """When a meter is empty again."""

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
        meters = list(_meters(channel, app, account, reply_to))
        while (wait_s := self._wait_s(meters, (channel.name, app, account, *_values(reply_to)))) > 0:
            if wait_s > SHORT_S:
                return wait_s
            await asyncio.sleep(wait_s)
        at = self._clock()
        for rate, key in meters:
            self._empty_at[key] = max(self._empty_at.get(key, at), at) + 1 / rate.per_s
        if len(self._empty_at) > MOST_METERS:
            self._empty_at = {key: empty_at for key, empty_at in self._empty_at.items() if empty_at > at}
        return 0.0

    def watching(self, send: Send, channel: Channel, app: str, account: str, reply_to: Mapping[str, str]) -> Send:
        """The same, which looks at answers for `X-RateLimit-Remaining: 0` with `X-RateLimit-Reset-After`, as Discord's.

        Source: discord.com/developers/docs/topics/rate-limits#header-format.
        """

        async def watched(request: ChannelRequest) -> tuple[int, Mapping[str, str], bytes]:
            status, headers, body = await send(request)
            if headers.get("x-ratelimit-remaining") == "0" and (held_s := _seconds(headers)) is not None:
                self._empty_at[channel.name, app, account, *_values(reply_to)] = self._clock() + held_s
            return status, headers, body

        return watched

    def _wait_s(self, meters: list[tuple[Rate, _Key]], held: _Key) -> float:
        at = self._clock()
        waits = [self._empty_at.get(key, at) - at - (rate.burst - 1) / rate.per_s for rate, key in meters]
        return max(0.0, self._empty_at.get(held, at) - at, *waits)


def _meters(channel: Channel, app: str, account: str, reply_to: Mapping[str, str]) -> Iterator[tuple[Rate, _Key]]:
    for number, rate in enumerate(channel.capabilities.rates):
        whom = tuple(reply_to.get(name, "") for name in rate.per)
        yield rate, ("rate", str(number), channel.name, app, account, *whom)


def _values(reply_to: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(reply_to[name] for name in sorted(reply_to))


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        found = float(headers.get("x-ratelimit-reset-after", ""))
    except ValueError:
        return None
    return min(found, MOST_HELD_S) if found >= 0 else None
