"""How platforms deliver: a signed body, and again by each one's schedule until it is taken or they give up.

Sources: docs.slack.dev/apis/events-api (three more: at once, after a minute, after five); Meta says "for up to 7 days"
and no steps, so they double here from 15 s; Telegram "a reasonable amount of attempts", ten here, doubling from 1 s;
LINE, where redelivery is on, names neither number nor steps: five here; Twilio's default is once more; Discord does
not come again; Microsoft does not say, so Teams does not here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from channels.base import Channel

TRIES = 4
BUSY = (0, 503)
"""No answer in time, and the one that asks to come again."""
_META = tuple(15.0 * 2**step for step in range(12))
SCHEDULES_S: Mapping[str, tuple[float, ...]] = {
    "slack": (0.0, 60.0, 300.0),
    "whatsapp": _META,
    "messenger": _META,
    "instagram": _META,
    "telegram": tuple(2.0**step for step in range(10)),
    "line": (60.0, 120.0, 240.0, 480.0, 960.0),
    "twilio": (0.0,),
    "discord": (),
    "teams": (),
}


@dataclass(frozen=True, slots=True)
class App:
    """One identity of ours on a platform."""

    name: str
    channel: Channel
    account: str

    @property
    def path(self) -> str:
        """Where its webhooks arrive."""
        return f"/webhooks/{self.channel.name}/{self.name}"


@dataclass(slots=True)
class Delivered:
    """What became of one message on its way to us."""

    app: App
    mark: str
    acked: bool = False
    tries: int = 0
    statuses: list[int] = field(default_factory=list)
    """0 where no answer came."""
    longest: float = 0.0
    """Share of the platform's deadline that the slowest answer took."""


async def post(
    session: aiohttp.ClientSession, url: str, app: App, body: bytes, *, within_s: float | None = None
) -> tuple[int, float]:
    """Deliver once; returns the status, 0 where no answer came in time (the platform's deadline), and the seconds."""
    began = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=within_s or app.channel.capabilities.ack_deadline_s)
    try:
        headers = dict(app.channel.sign(body))
        async with session.post(url + app.path, data=body, headers=headers, timeout=timeout) as answer:
            await answer.read()
            return answer.status, time.monotonic() - began
    except (aiohttp.ClientError, TimeoutError, ConnectionError):
        return 0, time.monotonic() - began


async def taken(
    session: aiohttp.ClientSession, url: str, app: App, body: bytes, *, within_s: float | None = None
) -> int:
    """Deliver again where the gateway is busy (503) or silent, as platforms do; returns the last status."""
    status = 0
    for _ in range(TRIES):
        status, _seconds = await post(session, url, app, body, within_s=within_s)
        if status not in BUSY:
            break
    return status


async def deliver(
    session: aiohttp.ClientSession, url: str, app: App, body: bytes, mark: str, *, faster: float
) -> Delivered:
    """Deliver until it is taken or the platform gives up.

    Args:
        session: Makes the calls.
        url: Of the gateway.
        app: Signs, each time anew.
        body: Of the webhook.
        mark: Of the message in it.
        faster: By how much the platform's waits are shortened.
    """
    done = Delivered(app, mark)
    for wait_s in (None, *SCHEDULES_S[app.channel.name]):
        if wait_s is not None:
            await asyncio.sleep(wait_s / faster)
        status, seconds = await post(session, url, app, body)
        done.longest = max(done.longest, seconds / app.channel.capabilities.ack_deadline_s)
        done.tries += 1
        done.statuses.append(status)
        if 200 <= status < 300:
            done.acked = True
            break
    return done
