"""A gateway with two brands in which everything that a brand has carries canaries: real but for weights and platforms.

The engine repeats every canary of its prompt, so that whatever reaches a prompt shows in the answer.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import uvicorn
from fastapi.routing import APIRoute
from sqlalchemy import Connection, insert

from benchmarks.canaries.marks import Watch
from benchmarks.chaos.delivery import App
from benchmarks.chaos.provider import Provider
from benchmarks.chaos.rig import apps
from benchmarks.fake_engine import Engine, Said
from benchmarks.gateway_under_test import WIDE, Life, configured
from configs.brand import Brand, Files
from configs.home import Home
from configs.load import Config
from configs.service import Secret
from retrieval.knowledge import store
from retrieval.testing import PAGES, HashEncoder
from service import bootstrap
from service.app import create_app
from service.bootstrap import Gateway
from service.console.people import accounts
from service.console.person import Role
from service.engines.process import free_port
from service.storage.database import now
from service.storage.tables import conversations, training_jobs, turns

BRANDS = ("velmora", "dicehollow")
KEY = "a-key-of-more-than-sixteen"
PASSWORD = "four words do well"  # noqa: S105 (of made-up people)
QUESTION = "How long do I have to return an unopened item?"


@dataclass
class Side:
    """One brand: its people's browser, its identities on platforms, and what it has, by the names of paths."""

    brand: Brand
    browser: aiohttp.ClientSession
    apps: list[App]
    csrf: str = ""
    has: dict[str, str] = field(default_factory=dict)
    visitor: dict[str, str] = field(default_factory=dict)
    """Token, conversation and last turn of a visitor of the widget."""
    senders: set[str] = field(default_factory=set)
    """Of those who wrote on platforms."""

    @property
    def name(self) -> str:
        """The brand's."""
        return self.brand.name


@dataclass
class World:
    """All of it."""

    url: str
    gateway: Gateway
    watch: Watch
    platforms: Provider
    program: aiohttp.ClientSession
    """Has an API key, and no cookies."""
    sides: dict[str, Side]
    routes: list[APIRoute]

    def other(self, side: Side) -> Side:
        """The other brand."""
        return next(one for one in self.sides.values() if one is not side)


@asynccontextmanager
async def world(watch: Watch) -> AsyncIterator[World]:
    """Open it, with what each brand has before the first request."""

    def echo(asked: dict[str, Any]) -> Said:
        prompt = json.dumps(asked["messages"])
        watch.look_at_prompt(prompt)
        return Said(f"You asked {', '.join(dict.fromkeys(watch.marks_in(prompt)))}.", 100, 20)

    async with AsyncExitStack() as stack:
        engine, platforms = Engine(says=echo), Provider()
        await engine.start()
        stack.push_async_callback(engine.stop)
        await platforms.start()
        stack.push_async_callback(platforms.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="brandvoice-canaries-")))
        stack.enter_context(mock.patch.object(bootstrap, "_encoder", return_value=HashEncoder()))
        stack.enter_context(mock.patch.object(bootstrap, "serving_adapters", return_value=({}, [])))
        config = _config(folder, engine.url, platforms.url, watch)
        for name in BRANDS:
            store.add(Home(folder).knowledge, name, config.brands[name].pages, HashEncoder())
        url, gateway, routes = await stack.enter_async_context(_standing(config, Home(folder)))
        key = {"Authorization": f"Bearer {KEY}"}
        program = await stack.enter_async_context(_browser(key, aiohttp.DummyCookieJar()))
        sides = {}
        for name in BRANDS:
            browser = await stack.enter_async_context(_browser({}, aiohttp.CookieJar(unsafe=True)))
            sides[name] = Side(config.brands[name], browser, apps(config, name))
        made = World(url, gateway, watch, platforms, program, sides, routes)
        for side in sides.values():
            await _people(made, side)
            await gateway.db.write(lambda c, side=side: _kept(c, watch, side))  # type: ignore[misc]
            adapter = gateway.home.adapters / side.name / side.has["version"]
            adapter.mkdir(parents=True)
            (adapter / "manifest.json").write_text(json.dumps({"note": watch.mark(side.name, "adapter")}))
        yield made


def _config(folder: Path, engine: str, platforms: str, watch: Watch) -> Config:
    life = Life(folder, free_port(), engine, f"sqlite:///{folder}/brandvoice.db", platforms=platforms, settings=WIDE)
    config = configured(life)
    (folder / "keys").write_text(KEY, encoding="utf-8")
    service = config.service.service.model_copy(update={"api_keys": Secret(file=folder / "keys")})
    settings = config.service.model_copy(update={"service": service})
    return replace(
        config, service=settings, brands={name: _marked(config.brands[name], folder, watch) for name in BRANDS}
    )


def _marked(brand: Brand, folder: Path, watch: Watch) -> Brand:
    """A brand whose words, guide and pages carry canaries."""

    def mark(place: str) -> str:
        return watch.mark(brand.name, place)

    pages = folder / "pages-of" / brand.name
    pages.mkdir(parents=True)
    for name, text in PAGES.items():
        # The same pages in both brands: a search in the wrong one finds them as well.
        marked = text.replace(" within 30 days", f" within 30 days, by form {mark('page')},")
        title = marked.replace("# ", f"# {mark('page title')} ", 1)
        (pages / name).write_text(f"{title}\nOur desk is called {mark('page')}.\n", encoding="utf-8")
    own = f"own-{mark('name of a page')}.md"
    (pages / own).write_text(f"# Own\n\nThe house lies in {mark('page')} street.\n", encoding="utf-8")
    guide = folder / f"{brand.name}-voice.md"
    guide.write_text(f"Speak as {mark('voice guide')} does.\n", encoding="utf-8")
    words = brand.words.model_copy(
        update={
            "greeting": f"Welcome to {mark('greeting')}.",
            "refusals": (f"{mark('refusal')} regrets.",),
            "handovers": (f"{mark('hand-over')} comes.",),
        }
    )
    widget = brand.widget.model_copy(update={"starters": (f"Where is {mark('starter')}?",), "files": Files()})
    changes = {"display_name": f"House {mark('name')}", "tagline": mark("tagline"), "voice_guide": guide}
    return brand.model_copy(update={**changes, "pages": pages, "words": words, "widget": widget})


def _browser(headers: dict[str, str], jar: aiohttp.abc.AbstractCookieJar) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers=headers, cookie_jar=jar, connector=aiohttp.TCPConnector(limit=0))


@asynccontextmanager
async def _standing(config: Config, home: Home) -> AsyncIterator[tuple[str, Gateway, list[APIRoute]]]:
    """The gateway's own application on a real socket, in this process."""
    opened: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()
    app, port = create_app(config, home, opened=opened), config.service.service.port
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, ws="websockets-sansio", log_config=None, timeout_graceful_shutdown=5)
    )
    serving = asyncio.create_task(server.serve())
    try:
        gateway = await opened
        while not server.started:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        await gateway.engine.ready()
        yield f"http://127.0.0.1:{port}", gateway, [one for one in app.routes if isinstance(one, APIRoute)]
    finally:
        server.should_exit = True
        await serving


async def _people(made: World, side: Side) -> None:
    """An admin of the brand, signed in, and a colleague."""

    def invite(connection: Connection) -> tuple[str, str]:
        mark = made.watch.mark(side.name, "person")
        _, token = accounts.invite(
            connection, by="set-up", email=f"{mark}@example.com", name=f"Anna {mark}", roles={side.name: Role.ADMIN}
        )
        mark = made.watch.mark(side.name, "person")
        colleague, _ = accounts.invite(
            connection, by="set-up", email=f"{mark}@example.com", name=f"Budi {mark}", roles={side.name: Role.AGENT}
        )
        return token or "", colleague.id

    token, side.has["who"] = await made.gateway.db.write(invite)
    fields = {"link": token, "password": PASSWORD, "again": PASSWORD}
    async with side.browser.post(f"{made.url}/console/set-up", data=fields) as answer:
        answer.raise_for_status()
    async with side.browser.get(f"{made.url}/v1/me") as answer:
        side.csrf = (await answer.json())["csrf"]


def _kept(connection: Connection, watch: Watch, side: Side) -> None:
    """What no request makes: a refused question, and a training that is over."""

    def mark(place: str) -> str:
        return watch.mark(side.name, place)

    about = {"id": mark("id of a conversation"), "brand": side.name, "channel": "web", "account": side.name}
    moment = now()
    row = {**about, "external_key": about["id"], "created_at": moment, "state": "bot"}
    connection.execute(insert(conversations).values(**row))
    refused: dict[str, Any] = {"id": mark("id of a turn"), "conversation_id": about["id"], "number": 1, "state": "done"}
    asked = {"question": f"Do you sell {mark('refused question')}?", "text": "No.", "outcome": "refused"}
    connection.execute(insert(turns).values(**refused, **asked, created_at=moment, finished_at=moment))
    side.has |= {"refused": refused["id"], "version": mark("version"), "job": f"job-{mark('id of a training')}"}
    job = {
        "id": side.has["job"], "brand": side.name, "state": "failed", "step": "train",
        "choice": {"recipe": "quick_cpu"}, "data": {}, "host": "here", "started_by": f"Anna {mark('training')}",
        "started_at": moment,
        "attempt_at": moment, "ended_at": moment, "version": side.has["version"], "error": mark("training's error"),
    }  # fmt: skip
    connection.execute(insert(training_jobs).values(**job))
