"""The platforms' own side: takes what channels send, with their checks, and knows what a customer then reads."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from channels.base import Request
from channels.registry import PLATFORMS
from channels.stand_in import PlatformAnswer, headers_of
from service.bindings.simulator import PATH

SENTENCE = re.compile(r"k\d{5}x\d{2}p\d{3}")
_ANY = ("POST", "PUT", "PATCH", "GET", "DELETE")


@dataclass(frozen=True, slots=True)
class Shown:
    """One message as it stands in a customer's window."""

    channel: str
    to: str
    """Where it went: a person, a channel, or the address of a call that names neither."""
    text: str
    at: float


@dataclass
class Provider:
    """All platforms at one address, `/simulator/<channel>/...`, as the simulator's are."""

    seed: int = 0
    drops: float = 0.0
    """Share of sends that it takes and whose answer it drops."""
    delay_s: float = 0.0
    """From its taking a call to its answer."""
    dropped: Counter[str] = field(default_factory=Counter)
    calls: list[tuple[str, str, float]] = field(default_factory=list)
    """Channel, path and moment of every call."""
    refused_at: dict[str, float] = field(default_factory=dict)
    """When a channel's call was last refused by `refuse_next`."""
    port: int = 0
    _shown: dict[str, Shown] = field(default_factory=dict)
    """By where it stands, so that an edit takes the place of what was there."""
    _keys: dict[str, PlatformAnswer] = field(default_factory=dict)
    _refusals: dict[str, list[PlatformAnswer]] = field(default_factory=dict)
    _runner: web.AppRunner | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 (repeatable, and no secret)
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """Where all platforms listen."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=2**24)
        for method in _ANY:
            app.router.add_route(method, PATH + "/{channel}/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, backlog=1024).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    def refuse_next(self, channel: str, answer: PlatformAnswer, times: int = 1) -> None:
        """Answer the next calls that carry text with this instead of taking them."""
        self._refusals.setdefault(channel, []).extend([answer] * times)

    @property
    def shown(self) -> list[Shown]:
        """What customers read now, in the order in which it came to stand there."""
        return list(self._shown.values())

    def sentences(self) -> Counter[str]:
        """How often each numbered sentence is shown, over all windows."""
        return Counter(found for one in self.shown for found in SENTENCE.findall(one.text))

    async def _take(self, request: web.Request) -> web.Response:
        channel = request.match_info["channel"]
        call = await _call(request)
        self.calls.append((channel, urlsplit(call.url).path, time.monotonic()))
        stand_in = PLATFORMS[channel].stand_in
        texts = stand_in.texts(call)
        if texts and self._refusals.get(channel):
            self.refused_at[channel] = time.monotonic()
            return _response(self._refusals[channel].pop(0))
        answer = self._answer(channel, call, texts)
        if texts and self._random.random() < self.drops:
            self.dropped[channel] += 1
            if request.transport is not None:
                request.transport.abort()
        await asyncio.sleep(self.delay_s)
        return _response(answer)

    def _answer(self, channel: str, call: Request, texts: tuple[str, ...]) -> PlatformAnswer:
        """Take a call, as often as the platform would take it."""
        key = _key(channel, call)
        if key is not None and key in self._keys:
            return self._keys[key]
        number = next(self._numbers)
        answer = PLATFORMS[channel].stand_in.answer(call, number=number)
        if not texts or not 200 <= answer[0] < 300 or b'"ok": false' in answer[2]:
            return answer
        if key is not None:
            self._keys[key] = (400, {}, b'{"message":"Invalid reply token"}') if key.startswith("reply") else answer
        path = urlsplit(call.url).path
        place = path if call.method == "PATCH" else str(number)
        to = call.fields.get("to") or call.fields.get("channel") or path.removeprefix(f"{PATH}/{channel}/")
        self._shown.pop(place, None)
        self._shown[place] = Shown(channel, str(to), "\n".join(texts), time.monotonic())
        return answer


def _key(channel: str, call: Request) -> str | None:
    """By what a platform knows that it has this already; LINE's tokens are good for one call."""
    if channel != "line":
        return None
    if (key := headers_of(call).get("x-line-retry-key")) is not None:
        return f"push {key}"
    return f"reply {call.fields.get('replyToken')}" if call.fields.get("replyToken") else None


def _response(answer: PlatformAnswer) -> web.Response:
    status, headers, body = answer
    return web.Response(status=status, headers=dict(headers), body=body)


async def _call(request: web.Request) -> Request:
    """The call as the channel made it."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    body = await request.read()
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return Request(request.method, str(request.url), headers, form=dict(parse_qsl(body.decode())))
    fields = json.loads(body) if body else {}
    return Request(request.method, str(request.url), headers, fields)
