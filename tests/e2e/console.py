"""A gateway in this process for stories of the console: real but for its weights, with people who are signed in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page

from retrieval.knowledge import store
from retrieval.testing import HashEncoder, write_pages
from service import bootstrap
from service.bootstrap import Gateway
from service.console.people import accounts
from service.console.person import Role
from tests.e2e.pages import PASSWORD, Pages
from tests.patience import PATIENCE_S
from tests.unit.service.fake_engines import FakeEngine, running
from tests.unit.service.standing import standing, visiting

T = TypeVar("T")


@dataclass
class Console:
    """A gateway that listens, and what the stories need of it."""

    url: str
    gateway: Gateway
    engine: FakeEngine
    loop: asyncio.AbstractEventLoop
    pages: Pages

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def ask(self, question: str, answer: str) -> str:
        """A visitor asks, and the engine says just this; returns the turn."""
        self.engine.says = answer

        async def visit() -> str:
            async with visiting(self.url) as visitor:
                await visitor.say(question, "client-0001")
                return str((await visitor.until("reply"))["turn"])

        return self.run(visit())

    def person(self, name: str, roles: Mapping[str, Role], *, size: str = "desktop", scheme: str = "light") -> Page:
        """A person who has just been let in, signed in, in a browser of their own."""
        email = f"{name.lower()}@example.com"
        _, token = self.run(
            self.gateway.db.write(lambda c: accounts.invite(c, by="test", email=email, name=name, roles=roles))
        )
        page = self.page(size=size, scheme=scheme)
        page.goto(f"{self.url}/console/set-up?link={token}")
        for one in page.locator("input[type=password]").all():
            one.fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "set-up" not in url)
        return page

    def page(self, *, size: str = "desktop", scheme: str = "light") -> Page:
        """An empty page, which is watched."""
        return self.pages.open(size=size, scheme=scheme)


@contextmanager
def console(browser: Browser, home: Path, patch: pytest.MonkeyPatch) -> Iterator[Console]:
    """A gateway over sample pages and an engine that says what it is told."""
    patch.setattr(bootstrap, "_encoder", lambda _: HashEncoder())
    patch.setattr(bootstrap, "serving_adapters", lambda *_, **__: ({}, []))
    store.add(home / "knowledge", "velmora", write_pages(home / "pages"), HashEncoder())
    engine = FakeEngine()
    ready: list[Console] = []
    failed: list[BaseException] = []
    standing_, over = threading.Event(), asyncio.Event()

    async def stand() -> None:
        async with running(engine), standing(home, engine.url) as (url, gateway):
            ready.append(Console(url, gateway, engine, asyncio.get_running_loop(), Pages(browser, url)))
            standing_.set()
            await over.wait()

    def body() -> None:
        try:
            asyncio.run(stand())
        except BaseException as error:
            failed.append(error)
            standing_.set()

    thread = threading.Thread(target=body, name="gateway")
    thread.start()
    standing_.wait(PATIENCE_S)
    if failed:
        raise failed[0]
    one = ready[0]
    try:
        with one.pages:
            yield one
    finally:
        one.loop.call_soon_threadsafe(over.set)
        thread.join(PATIENCE_S)
