"""Several gateway processes on one PostgreSQL, with stand-ins for engine and platforms, to test and to measure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import text

from benchmarks.gateway_under_test import with_platforms
from benchmarks.postgres import emptied
from channels.base import Channel
from configs.home import Home
from configs.load import load_config
from service.bindings.apps import open_app
from service.engines.process import free_port
from service.storage.database import Database

ROOT = Path(__file__).resolve().parents[1]
BRAND = "velmora"
START_S = 120


@dataclass
class Process:
    """One server of the fleet."""

    name: str
    url: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin; `answers` says when it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **self.environment}
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal, and wait for the end where it is one."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(30)

    def end(self) -> None:
        """Be gone, also if stopped."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(30)


@dataclass
class Event:
    """What a platform delivers."""

    channel: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    to: str
    """Where its reply goes."""


@dataclass
class Fleet:
    """The running processes, and what one may do to them."""

    gateways: list[Process]
    engine: Process
    platforms: Process
    database: str
    session: aiohttp.ClientSession
    db: Database
    _channels: Mapping[str, tuple[str, str, Channel]]
    sockets: list[Socket] = field(default_factory=list)

    def event(self, channel: str, number: str, *, sender: str | None = None, said: str = "") -> Event:
        """A signed message of a person who wrote never before, or of a given one."""
        app, account, made = self._channels[channel]
        who = sender or f"person-{number}"
        question = said or "How long do I have to return an unopened item?"
        body = made.simulate(question, account=account, message_id=f"m-{number}", sender=_person(channel, who))
        if channel == "line":
            # Without a reply token, which is good for one call, LINE's replies are pushes with a key.
            whole = json.loads(body)
            for one in whole["events"]:
                del one["replyToken"]
            body = json.dumps(whole).encode()
        (message,) = made.parse(body).messages
        reply_to = message.reply_to
        to = (
            reply_to.get("to")
            or reply_to.get("channel")
            or f"webhooks/{account}/{reply_to['token']}/messages/@original"
        )
        return Event(channel, f"/webhooks/{channel}/{app}", body, made.sign(body), to)

    async def deliver(self, event: Event, gateway: Process) -> int:
        """Post it; the gateway's status, 0 where it did not answer."""
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self.session.post(
                gateway.url + event.path,
                data=event.body,
                headers=dict(event.headers),
                timeout=aiohttp.ClientTimeout(total=10),
            ) as answer:
                return answer.status
        return 0

    async def shown(self) -> list[dict[str, Any]]:
        """What people see."""
        async with self.session.get(self.platforms.url + "/shown") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def rows(self, query: str, **values: object) -> Sequence[Any]:
        """Ask the database."""
        statement = text(query)
        return await self.db.read(lambda connection: connection.execute(statement, values).all())

    async def settled(self, patience_s: float = 60.0) -> bool:
        """Wait until everything is answered and nothing waits to be sent; whether that came about."""
        query = (
            "SELECT (SELECT count(*) FROM inbox WHERE turn_id IS NULL) + (SELECT count(*) FROM turns WHERE state ="
            " 'running') + (SELECT count(*) FROM outbox WHERE state IN ('planned', 'sending'))"
        )
        return await until(lambda: self._is(query, 0), patience_s)

    async def _is(self, query: str, wanted: int) -> bool:
        return bool((await self.rows(query))[0][0] == wanted)

    async def widget(self, gateway: Process, *, like: Socket | None = None) -> Socket:
        """Open a page's socket, of a new visitor or of the same as another socket's."""
        made = Socket(await self.session.ws_connect(gateway.url.replace("http", "ws") + "/ws/chat"))
        self.sockets.append(made)
        key = load_config(ROOT / "configs", {}).brands[BRAND].widget.site_key
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

        async def there() -> bool:
            return [frame["type"] for frame in self.frames].count(kind) >= count

        assert await until(there, patience_s), (kind, [frame["type"] for frame in self.frames], self.code)
        return [frame for frame in self.frames if frame["type"] == kind][count - 1]

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


async def until(true: Callable[[], Awaitable[bool]], patience_s: float, every_s: float = 0.05) -> bool:
    """Wait for something to be true."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if await true():
            return True
        await asyncio.sleep(every_s)
    return False


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
) -> AsyncIterator[Fleet]:
    """Start all processes.

    Args:
        database: A PostgreSQL URL; the tables are made anew.
        folder: For logs and made-up secrets.
        count: Gateways.
        lease_s: How long one may be silent.
        check: Of the brand: `before` shows sentences, `off` tokens.
        pace_ms: Between the engine's tokens.
        tokens: Of a reply.
        delay_ms: From a platform's taking a call to its answer.
    """
    home = folder / "home"
    home.mkdir(exist_ok=True)
    await emptied(database)
    engine = _server("engine", "benchmarks.fake_engine:app", folder, FAKE_PACE_MS=str(pace_ms), FAKE_TOKENS=str(tokens))
    platforms = _server("platforms", "benchmarks.platforms_under_test:app", folder, PLATFORM_DELAY_MS=str(delay_ms))
    common = ["--engine", engine.url, "--platforms", platforms.url, "--home", str(home), "--database", database]
    common += ["--lease-s", str(lease_s), "--check", check, "--encoder", "hash"]
    gateways = [_gateway(number, common, folder) for number in range(count)]
    channels = _channels(home, platforms.url)
    everyone = [engine, platforms, *gateways]
    try:
        for process in everyone:
            process.start()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(answers(session, one, "/health" if one is engine else "/livez") for one in everyone))
            db = await Database.open(database)
            made = Fleet(gateways, engine, platforms, database, session, db, channels)
            try:
                yield made
            finally:
                for socket in made.sockets:
                    await socket.close()
                await db.close()
    finally:
        for process in everyone:
            process.end()


async def answers(session: aiohttp.ClientSession, process: Process, path: str = "/livez") -> None:
    """Wait until a process serves."""

    async def there() -> bool:
        assert process.process is not None
        if process.process.poll() is not None:
            raise RuntimeError(process.log.read_text("utf-8", "replace")[-3000:])
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with session.get(process.url + path, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                return bool(answer.status == 200)
        return False

    if not await until(there, START_S, 0.1):
        raise TimeoutError(f"{process.name} does not answer; see {process.log}")


def _server(name: str, application: str, folder: Path, **environment: str) -> Process:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--log-level", "warning"]
    return Process(name, f"http://127.0.0.1:{port}", command, environment, folder / f"{name}.log")


def _gateway(number: int, common: list[str], folder: Path) -> Process:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.gateway_under_test", "--port", str(port), *common]
    name = f"gateway-{number}"
    return Process(name, f"http://127.0.0.1:{port}", command, {}, folder / f"{name}.log")


def _channels(home: Path, platforms: str) -> dict[str, tuple[str, str, Channel]]:
    """Of each platform: app, account and channel of the brand."""
    config = load_config(ROOT / "configs", {})
    apps = {(one, app): settings for one, app, settings in with_platforms(config.service, Home(home), platforms).each()}
    return {
        name: (binding.app, binding.account, open_app(name, binding.app, apps[name, binding.app], {}))
        for binding in config.brands[BRAND].channels
        for name in [binding.channel]
        if name in ("discord", "line", "slack")
    }


def _person(channel: str, who: str) -> str:
    """An id of the platform's form."""
    return f"U{uuid.uuid5(uuid.NAMESPACE_URL, who).hex}" if channel == "line" else who
