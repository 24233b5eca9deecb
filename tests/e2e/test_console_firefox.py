"""The console in Firefox: overview, an answer in the inbox, the bench, a review by keys, the plan of a training.

The gateway, its search and its knowledge are real; in place of vLLM stands an engine that says one sentence.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from retrieval.knowledge import store
from retrieval.testing import HashEncoder, write_pages
from service import bootstrap
from service.console.people import accounts
from service.console.person import Role
from service.corrections.terms import Proposal, Who
from tests.e2e.bidi import ENTER, Firefox, firefox
from tests.unit.service.fake_engines import FakeEngine, running
from tests.unit.service.standing import standing, visiting

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(FIREFOX is None, reason="no firefox here; try: apt-get install firefox-esr"),
]
BRAND = "velmora"
PASSWORD = "four words do well"
QUESTION = "How long do I have to return an unopened item?"
SAID = "An unopened item can be returned within 30 days of delivery."
WATCH = """() => {
    const note = (said) => sessionStorage.setItem("told", `${sessionStorage.getItem("told") ?? ""}${said}\\n`);
    addEventListener("error", (event) => note(`error: ${event.message}`));
    addEventListener("unhandledrejection", (event) => note(`rejection: ${event.reason}`));
    addEventListener("securitypolicyviolation", (event) => note(`policy: ${event.violatedDirective}`));
}"""


class Reader:
    """Somebody who reads the console's pages in Firefox."""

    def __init__(self, page: Firefox, url: str) -> None:
        self.page = page
        self.url = url

    async def go(self, path: str) -> None:
        """Open a page, and see that it is there."""
        await self.page.open(self.url + path)
        await self.page.until("document.querySelector('main h1') !== null")

    async def press(self, css: str) -> None:
        """Press the mouse in the middle of something."""
        thing = f"document.querySelector({json.dumps(css)})"
        await self.page.until(f"{thing} !== null")
        await self.page.evaluate(f"{thing}.scrollIntoView({{block: 'center', behavior: 'instant'}}) ?? true")
        at, before = await self.page.evaluate(f"{thing}.getBoundingClientRect()"), None
        # What comes in late moves it.
        while at != before:
            await asyncio.sleep(0.1)
            at, before = await self.page.evaluate(f"{thing}.getBoundingClientRect()"), at
        await self.page.click(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)

    async def reads(self, text: str, css: str = "main") -> None:
        """Wait until it stands there."""
        await self.page.until(f"document.querySelector({json.dumps(css)})?.textContent.includes({json.dumps(text)})")


async def signed_in(reader: Reader, token: str) -> None:
    """Choose a password by the link."""
    await reader.page.open(f"{reader.url}/console/set-up?link={token}")
    for css in ("input[name=password]", "input[name=again]"):
        await reader.press(css)
        await reader.page.type(PASSWORD)
    await reader.page.type(ENTER)
    await reader.page.until("!location.pathname.includes('set-up')")


async def test_the_consoles_pages_work_in_firefox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FIREFOX is not None
    home, profile = tmp_path / "home", tmp_path / "profile"
    profile.mkdir()
    monkeypatch.setattr(bootstrap, "_encoder", lambda _: HashEncoder())
    monkeypatch.setattr(bootstrap, "serving_adapters", lambda *_, **__: ({}, []))
    store.add(home / "knowledge", BRAND, write_pages(home / "pages"), HashEncoder())
    engine = FakeEngine(says=SAID)
    async with running(engine), standing(home, engine.url) as (url, gateway), firefox(FIREFOX, profile) as page:
        await page.call("script.addPreloadScript", functionDeclaration=WATCH)
        async with visiting(url) as visitor:
            await visitor.say(QUESTION, "client-0001")
            turn = (await visitor.until("reply"))["turn"]
            conversation = visitor.welcome["conversation"]
        _, token = await gateway.db.write(
            lambda c: accounts.invite(c, by="test", email="cleo@example.com", name="Cleo", roles={BRAND: Role.ADMIN})
        )
        reader = Reader(page, url)
        await signed_in(reader, token or "")

        await reader.go("/console/overview")
        await page.until("document.querySelector('main svg') !== null")

        await reader.go("/console/inbox?show=all")
        await reader.press(f"#c-{conversation} a")
        await reader.press("#act-take")
        await reader.reads("You have it", "#standing")
        await reader.press("#answer-text")
        await page.type("I am Cleo, and I am here.")
        await reader.press("form:has(#answer-text) button[type=submit]")
        await reader.reads("I am Cleo, and I am here.", "#thread")

        await reader.go("/console/bench")
        await reader.press("#question")
        await page.type(QUESTION + ENTER)
        await page.until("document.querySelectorAll('article.answer:not([aria-busy])').length === 2")
        await reader.reads("30 days", "article.answer")

        better = Proposal(turn, "voice", Who("Ben"), corrected=f"With pleasure. {SAID}", documents=("returns.md",))
        await gateway.corrections.propose(better)
        await reader.go(f"/console/corrections/review/{BRAND}")
        await reader.reads("With pleasure.")
        await page.type("a")
        await reader.reads("Nothing waits for you", "body")

        await reader.go(f"/console/training?brand={BRAND}")
        await reader.press("form[action$='/plan'] button")
        await reader.reads("python -m training.train")

        assert await page.evaluate("sessionStorage.getItem('told')") is None
