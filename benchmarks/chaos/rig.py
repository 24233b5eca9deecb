"""What the experiments share: a folder of its own, the gateway and its lives, the engine, the platforms."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import Table, select

from benchmarks.chaos.delivery import App, Delivered, deliver
from benchmarks.chaos.provider import Provider
from benchmarks.fake_engine import Engine
from benchmarks.gateway_under_test import Gateway, Life, configured
from channels.registry import PLATFORMS
from channels.testing import learn_all
from configs.load import Config
from service.bindings.apps import open_app
from service.engines.process import free_port
from service.storage.database import Database
from service.storage.tables import inbox, outbox, turns


@dataclass(kw_only=True)
class Rig(Gateway):
    """One gateway among stand-ins."""

    engine: Engine
    platforms: Provider
    config: Config

    def apps(self, brand: str = "velmora") -> list[App]:
        """The brand's identities, one a platform, by their names."""
        return apps(self.config, brand)

    def body(self, app: App, mark: str, text: str | None = None, sender: str | None = None) -> bytes:
        """A webhook body with a question that carries a mark."""
        return app.channel.simulate(
            text if text is not None else f"How long may I return item {mark}?",
            account=app.account,
            message_id=_message_id(mark),
            sender=sender or sender_of(app.channel.name, mark),
        )

    async def deliver(self, app: App, mark: str, text: str | None = None, *, faster: float = 30.0) -> Delivered:
        """Let a person write."""
        return await deliver(self.session, self.url, app, self.body(app, mark, text), mark, faster=faster)

    async def rows(self, table: Table) -> list[Any]:
        """All of a table, read beside the gateway."""
        db = await Database.open(self.life.database)
        try:
            return list(await db.read(lambda connection: connection.execute(select(table)).all()))
        finally:
            await db.close()

    async def settled(self, timeout_s: float = 120.0) -> bool:
        """Wait until every message is answered and every reply is sent, failed or unknown."""
        db = await Database.open(self.life.database)
        try:
            return await until(lambda: settled(db), timeout_s)
        finally:
            await db.close()

    async def replies(self) -> Counter[str]:
        """Replies by their state."""
        return Counter(row.state for row in await self.rows(outbox))


def apps(config: Config, brand: str = "velmora") -> list[App]:
    """A brand's identities, one a platform, by their names."""
    apps = {(kind, name): settings for kind, name, settings in config.service.apps.each()}
    found: dict[str, App] = {}
    for binding in config.brands[brand].channels:
        channel = open_app(binding.channel, binding.app, apps[binding.channel, binding.app], {})
        learn_all(channel, PLATFORMS[binding.channel].stand_in)
        found.setdefault(binding.channel, App(binding.app, channel, binding.account))
    return [found[name] for name in sorted(found)]


async def settled(db: Database) -> bool:
    """Whether every message is answered and every reply is sent, failed or unknown."""
    open_ones = (
        select(inbox.c.id).where(inbox.c.turn_id.is_(None)).limit(1),
        select(turns.c.id).where(turns.c.state == "running").limit(1),
        select(outbox.c.id).where(outbox.c.state.in_(("planned", "sending"))).limit(1),
    )
    found = await db.read(lambda connection: [connection.execute(one).first() for one in open_ones])
    return not any(found)


async def until(holds: Callable[[], Any], timeout_s: float, every_s: float = 0.1) -> bool:
    """Wait until something holds, asked again and again; returns whether it came to hold."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = holds()
        if await answer if asyncio.iscoroutine(answer) else answer:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(every_s)


@asynccontextmanager
async def rig(
    *, seed: int = 0, database: str | None = None, drops: float = 0.0, faster: float = 30.0, check: str = "off"
) -> AsyncIterator[Rig]:
    """Everything but a life of the gateway, which `Rig.begin` begins.

    Args:
        seed: Of what the platforms drop.
        database: URL; a SQLite file of its own where absent.
        drops: Share of sends whose answer a platform drops.
        faster: By how much the outbox's waits are shortened.
        check: The brands' sentence check.
    """
    engine, platforms = Engine(), Provider(seed=seed, drops=drops)
    with tempfile.TemporaryDirectory(prefix="brandvoice-chaos-") as folder:
        home = Path(folder)
        await engine.start()
        await platforms.start()
        life = Life(
            home=home,
            port=free_port(),
            engine=engine.url,
            platforms=platforms.url,
            database=database or f"sqlite:///{home}/brandvoice.db",
            faster=faster,
            check=check,
        )
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            log = home / "gateway.log"
            one = Rig(life, session, log, engine=engine, platforms=platforms, config=configured(life))
            try:
                yield one
            finally:
                await one.end()
                await platforms.stop()
                await engine.stop()


def sender_of(channel: str, mark: str) -> str:
    """A person's id of the platform's form, the same for all messages of one person."""
    number = int(mark[1:6])
    forms = {
        "slack": f"U0{number:08d}",
        "whatsapp": f"1555{number:07d}",
        "twilio": f"+1555{number:07d}",
        "line": f"U{2**64 + number:032x}",
        "teams": f"29:1person{number}",
        "discord": str(2**60 + number),
    }
    return forms.get(channel, str(10**15 + number))


def _message_id(mark: str) -> str:
    """Of letters and digits, in capitals as WhatsApp's; the simulators make of it what their platform has."""
    return f"wamid.{json.dumps(mark).encode().hex().upper()}"
