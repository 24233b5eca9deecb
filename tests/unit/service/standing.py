"""A whole gateway on real sockets in front of an engine of the test's own: everything real but the weights."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from configs.home import Home
from configs.load import Config, load_config
from configs.service import Apps
from retrieval.passages import Passage
from retrieval.testing import HashEncoder
from service import bootstrap
from service.bootstrap import Gateway
from service.engines.process import free_port
from service.starting.serve import serve
from service.testing import FixedRetriever
from tests.patience import PATIENCE_S

SENTENCE = "An unopened item can be returned within 30 days of delivery."
QUESTION = "How long do I have to return an unopened item?"
PASSAGE = Passage("returns.md", "Returns", "Returns", SENTENCE, 0.9)
SITE_KEY = "pk_velmora0a7c41d93e5f"


class Over(Exception):
    """Ends a server, in order."""


class Knowledge(FixedRetriever):
    """A fixed search that also answers what the gateway asks of a knowledge base."""

    version = "stub"

    def documents(self) -> tuple[str, ...]:
        """One is enough to be ready."""
        return ("returns.md",)

    def refresh(self) -> bool:
        """Nothing ever changes."""
        return False


def furnish(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put what needs weights aside."""
    monkeypatch.setattr(bootstrap, "_encoder", lambda _folder: HashEncoder())
    monkeypatch.setattr(
        bootstrap, "_knowledge", lambda config, *_: {name: Knowledge((PASSAGE,)) for name in config.brands}
    )
    monkeypatch.setattr(bootstrap, "serving_adapters", lambda *_, **__: ({}, []))


def configured(engine: str, port: int, *, check: str = "off", service: Mapping[str, Any] | None = None) -> Config:
    """The project's configuration with this engine, this port, and no platform."""
    config = load_config(Path("configs"), {})
    settings = config.service
    settings = settings.model_copy(
        update={
            "engine": settings.engine.model_copy(update={"url": engine}),
            "service": settings.service.model_copy(update={"port": port, **(service or {})}),
            "apps": Apps(),
        }
    )
    brands = {name: brand.model_copy(update={"check": check, "channels": ()}) for name, brand in config.brands.items()}
    return replace(config, service=settings, brands=brands)


@asynccontextmanager
async def standing(
    home: Path, engine: str, *, port: int = 0, check: str = "off", service: Mapping[str, Any] | None = None
) -> AsyncIterator[tuple[str, Gateway]]:
    """A gateway that listens; on the way out it is told to end, and waited for."""
    config = configured(engine, port or free_port(), check=check, service=service)
    opened: asyncio.Future[tuple[str, Gateway]] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def until_over(gateway: Gateway, url: str) -> None:
        opened.set_result((url, gateway))
        await over.wait()
        raise Over

    serving = asyncio.create_task(serve(config, Home(home), on_open=until_over))
    try:
        await asyncio.wait((serving, opened), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        url, gateway = opened.result()
        async with asyncio.timeout(PATIENCE_S):
            await gateway.engine.ready()
        yield url, gateway
    finally:
        over.set()
        with contextlib.suppress(Over):
            await serving


@dataclass
class Visitor:
    """A widget that only listens and speaks; it keeps what it got."""

    socket: aiohttp.ClientWebSocketResponse
    welcome: dict[str, Any] = field(default_factory=dict)
    frames: list[dict[str, Any]] = field(default_factory=list)

    async def next(self) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = await self.socket.receive_json(timeout=PATIENCE_S)
        self.frames.append(frame)
        return frame

    async def until(self, kind: str) -> dict[str, Any]:
        """The next frame of this kind."""
        while (frame := await self.next())["type"] != kind:
            pass
        return frame

    async def say(self, text: str, client_id: str) -> None:
        """Send a message."""
        await self.socket.send_json({"type": "message", "client_id": client_id, "text": text})


@asynccontextmanager
async def visiting(
    url: str, known: Mapping[str, Any] | None = None, after: str | None = None
) -> AsyncIterator[Visitor]:
    """A socket whose hello was answered; `known` is an earlier welcome."""
    hello: dict[str, Any] = {"type": "hello", "site_key": SITE_KEY, "after": after}
    if known:
        hello |= {name: known[name] for name in ("visitor", "conversation")}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws/chat") as socket:
        await socket.send_json(hello)
        visitor = Visitor(socket)
        visitor.welcome = await visitor.until("welcome")
        yield visitor
