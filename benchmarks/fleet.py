"""Several gateway processes on one PostgreSQL, with stand-ins for engine and platforms, to test and to measure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import text

from benchmarks.chaos.delivery import App, post
from benchmarks.chaos.provider import Provider
from benchmarks.chaos.rig import apps, settled, until
from benchmarks.fake_engine import Engine
from benchmarks.gateway_under_test import WIDE, Gateway, Life, configured
from benchmarks.postgres import emptied
from service.engines.process import free_port
from service.storage.database import Database
from service.turns.lanes import STARTS


@dataclass
class Event:
    """What a platform delivers."""

    app: App
    body: bytes
    to: str
    """Where its reply goes."""


@dataclass
class Fleet:
    """The running gateways, and what one may do to them."""

    gateways: list[Gateway]
    platforms: Provider
    session: aiohttp.ClientSession
    db: Database
    sockets: list[Socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._config = configured(self.gateways[0].life)
        self._apps = {app.channel.name: app for app in apps(self._config)}

    def event(self, channel: str, number: str, *, sender: str | None = None, said: str = "") -> Event:
        """A signed message of a person who wrote never before, or of a given one."""
        app = self._apps[channel]
        who = sender or f"person-{number}"
        question = said or "How long do I have to return an unopened item?"
        sent = app.channel.simulate(
            question, account=app.account, message_id=f"m-{number}", sender=_person(channel, who)
        )
        if channel == "line":
            # Without a reply token, which is good for one call, LINE's replies are pushes with a key.
            whole = json.loads(sent)
            for one in whole["events"]:
                del one["replyToken"]
            sent = json.dumps(whole).encode()
        (message,) = app.channel.parse(sent).messages
        reply_to = message.reply_to
        to = (
            reply_to.get("to")
            or reply_to.get("channel")
            or f"webhooks/{app.account}/{reply_to['token']}/messages/@original"
        )
        return Event(app, sent, to)

    async def deliver(self, event: Event, gateway: Gateway) -> int:
        """Post it; the gateway's status, 0 where it did not answer."""
        return (await post(self.session, gateway.url, event.app, event.body, within_s=10))[0]

    async def rows(self, query: str, **values: object) -> Sequence[Any]:
        """Ask the database."""
        statement = text(query)
        return await self.db.read(lambda connection: connection.execute(statement, values).all())

    async def settled(self, patience_s: float = 60.0) -> bool:
        """Wait until everything is answered and nothing waits to be sent; whether that came about."""
        return await until(lambda: settled(self.db), patience_s)

    async def widget(self, gateway: Gateway, *, like: Socket | None = None) -> Socket:
        """Open a page's socket, of a new visitor or of the same as another socket's."""
        made = Socket(await self.session.ws_connect(gateway.url.replace("http", "ws") + "/ws/chat"))
        self.sockets.append(made)
        key = self._config.brands["velmora"].widget.site_key
        known = {"conversation": like.conversation, "visitor": like.visitor} if like else {}
        await made.send({"type": "hello", "site_key": key, **known})
        await made.until("welcome")
        return made


class Socket:
    """A page's connection, with all frames that came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.frames: list[dict[str, Any]] = []
        self.code: int | None = None
        self._reader = asyncio.create_task(self._read())

    @property
    def welcome(self) -> dict[str, Any]:
        """The first frame."""
        return next(frame for frame in self.frames if frame["type"] == "welcome")

    @property
    def conversation(self) -> str:
        """Its id."""
        return str(self.welcome["conversation"])

    @property
    def visitor(self) -> str:
        """The visitor's token."""
        return str(self.welcome["visitor"])

    async def send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame."""
        await self._socket.send_str(json.dumps(frame))

    async def say(self, question: str) -> str:
        """Send a message; its id."""
        client_id = uuid.uuid4().hex
        await self.send({"type": "message", "client_id": client_id, "text": question})
        return client_id

    async def until(self, kind: str, patience_s: float = 20.0, *, count: int = 1) -> dict[str, Any]:
        """The frame of a kind, once it is there."""
        there = await until(lambda: len(self.of(kind)) >= count, patience_s, 0.05)
        assert there, (kind, [frame["type"] for frame in self.frames], self.code)
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All frames of a kind."""
        return [frame for frame in self.frames if frame["type"] == kind]

    async def _read(self) -> None:
        async for message in self._socket:
            self.frames.append(json.loads(message.data))
        self.code = self._socket.close_code

    async def close(self) -> None:
        """Leave the page."""
        await self._socket.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


@contextlib.asynccontextmanager
async def fleet(
    database: str,
    folder: Path,
    *,
    count: int = 2,
    lease_s: float = 2.0,
    check: str = "before",
    pace_ms: float = 5.0,
    tokens: int = 24,
    delay_ms: float = 0.0,
    starts: int = STARTS,
) -> AsyncIterator[Fleet]:
    """Start all gateways, with stand-ins beside them.

    Args:
        database: A PostgreSQL URL; the tables are made anew.
        folder: For logs and made-up secrets.
        count: Gateways.
        lease_s: How long one may be silent.
        check: Of the brand: `before` shows sentences, `off` tokens.
        pace_ms: Between the engine's tokens.
        tokens: Of a reply.
        delay_ms: From a platform's taking a call to its answer.
        starts: Of a turn, before it is given up.
    """
    home = folder / "home"
    home.mkdir(exist_ok=True)
    await emptied(database)
    engine, platforms = Engine(tokens, pace_ms / 1000), Provider(delay_s=delay_ms / 1000)
    await engine.start()
    await platforms.start()
    given: dict[str, Any] = {"check": check, "lease_s": lease_s, "settings": WIDE, "starts": starts}
    lives = [Life(home, free_port(), engine.url, database, platforms.url, **given) for _ in range(count)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        gateways = [Gateway(life, session, folder / f"gateway-{number}.log") for number, life in enumerate(lives)]
        try:
            await asyncio.gather(*(gateway.begin() for gateway in gateways))
            db = await Database.open(database)
            made = Fleet(gateways, platforms, session, db)
            try:
                yield made
            finally:
                for socket in made.sockets:
                    await socket.close()
                await db.close()
        finally:
            for gateway in gateways:
                await gateway.end()
            await platforms.stop()
            await engine.stop()


def _person(channel: str, who: str) -> str:
    """An id of the platform's form."""
    return f"U{uuid.uuid5(uuid.NAMESPACE_URL, who).hex}" if channel == "line" else who
