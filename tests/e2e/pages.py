"""What the browser tests share: pages that are watched, and the widget's parts on them.

With BRANDVOICE_PICTURES=FOLDER every picture is written there, to be looked at; docs/images keeps some of them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from service.console.people.sessions import COOKIE
from tests.patience import PATIENCE_S

CHROMIUM = shutil.which("chromium")
BROWSER = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; try: apt-get install chromium"),
]
"""The marks of a file of browser tests."""
PAYLOADS = Path(__file__).resolve().parents[3] / "shared/data/safety/dompurify_expect.json"
"""Texts that would run in a page which took them for markup."""
PASSWORD = "four words do well"
QUESTION = "How long do I have to return an unopened item?"
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
# Told on the console, because what a page keeps is gone with the next page.
WATCH = """
for (const name of ["alert", "confirm", "prompt", "print", "open"]) window[name] = () => console.error(`ran ${name}`);
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`refused ${event.violatedDirective} ${event.blockedURI}`);
});
"""
AMISS = ("ran ", "refused ")

expect.set_options(timeout=PATIENCE_S * 1000)


class Pages:
    """Opens pages in browsers of their own; on the way out, none may have done what no page of ours does.

    That is: ask another host, throw, break its policy, or run what somebody wrote.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.contexts: list[BrowserContext] = []
        self.amiss: list[str] = []
        self._browser = browser

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for context in self.contexts:
            context.close()
        if kind is None:
            assert self.amiss == []

    def open(
        self, path: str = "", *, size: str = "desktop", scheme: str = "light", token: str = "", **context: Any
    ) -> Page:
        """A page of a new visitor at a path or an address.

        Args:
            path: Where it goes; nowhere where empty.
            size: Of its window, a name of SIZES.
            scheme: `light` or `dark`.
            token: Of a session of the console.
            context: More of Playwright's `new_context`.
        """
        made = self._browser.new_context(
            viewport=SIZES[size],  # type: ignore[arg-type]
            color_scheme=scheme,  # type: ignore[arg-type]
            has_touch=size == "phone",
            reduced_motion="reduce",
            **context,
        )
        self.contexts.append(made)
        made.set_default_timeout(PATIENCE_S * 1000)
        made.add_init_script(WATCH)
        made.on("request", lambda request: self._note(request.url))
        if token:
            made.add_cookies([{"name": COOKIE, "value": token, "url": self.url}])
        page = made.new_page()
        page.on("pageerror", lambda error: self.amiss.append(str(error)))
        page.on("console", self._hear)
        if path:
            page.goto(path if path.startswith("http") else self.url + path)
        return page

    def shop(self, brand: str, *, size: str = "desktop", scheme: str = "light") -> Page:
        """The sample shop of a brand."""
        return self.open(f"/shop/{brand}", size=size, scheme=scheme)

    def _note(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.amiss.append(f"asked {url}")

    def _hear(self, said: ConsoleMessage) -> None:
        # The policy's own words tell of breaches in the page's first bytes, too.
        if said.text.startswith(AMISS) or "Content Security" in said.text:
            self.amiss.append(said.text)


def press(page: Page, key: str) -> None:
    """Press a key once the page's scripts are there to hear it."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def accessible(page: Page, what: str = "") -> None:
    """Axe finds nothing."""
    found = Axe().run(page)
    assert found.violations_count == 0, f"{what or page.url}: {found.generate_report()}"


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """Keep a picture of the window, or of the whole page, where one is wanted."""
    if folder := os.environ.get("BRANDVOICE_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=whole)


def launcher(page: Page) -> Locator:
    """The widget's button."""
    return page.locator("brandvoice-chat .launcher")


def panel(page: Page) -> Locator:
    """The widget, open."""
    return page.get_by_role("dialog").first


def bot(page: Page) -> Locator:
    """What the assistant said."""
    return page.locator("brandvoice-chat .turns .message.bot")


def field(page: Page) -> Locator:
    """Where a visitor writes."""
    return page.get_by_label("Your message")


def ask(page: Page, text: str = QUESTION) -> None:
    """Write a message, and send it."""
    field(page).fill(text)
    field(page).press("Enter")


def accepted(page: Page) -> None:
    """Wait until the gateway has all that was written, so that what comes after stands after it."""
    expect(page.locator("brandvoice-chat .message.user.waiting")).to_have_count(0)


def answered(page: Page, count: int = 1) -> None:
    """Wait until that many turns have ended: a finished turn offers its thumbs."""
    helpful = page.get_by_role("button", name="Helpful", exact=True)
    expect(helpful).to_have_count(count)
