"""The page as a visitor has it: both brands, phone and desktop, dark and light, by mouse, keyboard and screen reader.

With BRANDVOICE_PICTURES=FOLDER every picture is written there, to be looked at; docs/images keeps some of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.conftest import BRANDS, CHROMIUM, Running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; try: apt-get install chromium"),
]

QUESTION = "How long do I have to return an unopened item?"
ANSWER_MS = 90_000
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


@pytest.fixture
def open_shop(browser: Browser, gateway: Running) -> Iterator[Shops]:
    shops = Shops(browser, gateway.url)
    yield shops
    for context in shops.contexts:
        context.close()
    assert shops.strangers == [], "the page asked another host"
    assert shops.errors == [], "the page threw"


class Shops:
    """Opens a brand's shop and notes every request to another host and every error of a script."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self.contexts: list[BrowserContext] = []
        self.strangers: list[str] = []
        self.errors: list[str] = []

    def __call__(self, brand: str, *, size: str = "desktop", scheme: str = "light") -> Page:
        context = self._browser.new_context(
            viewport=SIZES[size], color_scheme=scheme, has_touch=size == "phone", reduced_motion="reduce"
        )
        self.contexts.append(context)
        context.set_default_timeout(20_000)
        context.on("request", self._note)
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"{self._url}/shop/{brand}")
        return page

    def _note(self, request: object) -> None:
        url: str = request.url  # type: ignore[attr-defined]
        if not url.startswith((self._url, "data:", "blob:")):
            self.strangers.append(url)


def launcher(page: Page) -> Locator:
    return page.locator("brandvoice-chat .launcher")


def panel(page: Page) -> Locator:
    return page.get_by_role("dialog").first


def bot(page: Page) -> Locator:
    return page.locator("brandvoice-chat .turns .message.bot")


def field(page: Page) -> Locator:
    return page.get_by_label("Your message")


def ask(page: Page, text: str = QUESTION) -> None:
    field(page).fill(text)
    field(page).press("Enter")


def answered(page: Page, count: int = 1) -> None:
    """Wait until that many turns have ended: a finished turn offers its thumbs."""
    expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_count(count, timeout=ANSWER_MS)


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("BRANDVOICE_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("brand", BRANDS)
def test_a_visitor_asks_opens_the_source_votes_and_finds_it_all_again(open_shop: Shops, brand: str, size: str) -> None:
    page = open_shop(brand, size=size)
    launcher(page).click()
    expect(field(page)).to_be_focused()
    expect(page.get_by_text("Online")).to_be_visible()
    picture(page, f"widget-{brand}-{size}-open")
    ask(page)
    expect(page.locator("brandvoice-chat .typing")).to_be_visible()
    answered(page)
    expect(bot(page)).to_contain_text("30 days")
    picture(page, f"widget-{brand}-{size}")

    chip = bot(page).get_by_role("button", name=re.compile("^Source 1")).first
    chip.click()
    source = page.locator("brandvoice-chat .sheet")
    expect(source).to_contain_text("Returns")
    expect(source.locator(".passage")).to_contain_text("30 days")
    picture(page, f"widget-{brand}-{size}-source")
    page.keyboard.press("Escape")
    expect(source).to_have_count(0)
    expect(chip).to_be_focused()

    page.get_by_role("button", name="Helpful", exact=True).click()
    expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_attribute("aria-pressed", "true")
    said = bot(page).inner_text()

    page.reload()
    if size == "phone":  # a sheet over the whole screen does not open by itself
        launcher(page).click()
    answered(page)
    assert bot(page).inner_text() == said
    expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_attribute("aria-pressed", "true")


def test_a_vote_cast_on_a_dying_line_arrives_with_the_next_page(open_shop: Shops) -> None:
    page = open_shop("velmora")
    launcher(page).click()
    ask(page)
    answered(page)
    context = open_shop.contexts[-1]
    context.set_offline(True)
    helpful = page.get_by_role("button", name="Helpful", exact=True)
    helpful.click()
    expect(helpful).to_have_attribute("aria-pressed", "true")
    context.set_offline(False)
    for _ in range(2):  # the first page brings the vote; the second one has it from the server alone
        page.reload()
        answered(page)
        expect(helpful).to_have_attribute("aria-pressed", "true")
        kept = "Object.keys(localStorage).some((key) => key.includes(':vote:'))"
        page.wait_for_function(f"!{kept}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("brand", BRANDS)
def test_axe_finds_nothing_in_shop_chat_and_source(open_shop: Shops, brand: str, scheme: str) -> None:
    page = open_shop(brand, scheme=scheme)
    launcher(page).click()
    ask(page)
    answered(page)
    axe = Axe()
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
    bot(page).get_by_role("button", name=re.compile("^Source 1")).first.click()
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
    picture(page, f"widget-{brand}-{scheme}-source")


def test_the_keyboard_alone_is_enough(open_shop: Shops) -> None:
    page = open_shop("dicehollow")
    launcher(page).focus()
    page.keyboard.press("Enter")
    expect(field(page)).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    answered(page)
    expect(field(page)).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.querySelector('brandvoice-chat').shadowRoot.activeElement?.className") == "chip":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Close source")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()
    expect(launcher(page)).to_be_focused()


def test_a_screen_reader_hears_each_sentence_once_and_no_marks(open_shop: Shops) -> None:
    page = open_shop("velmora")
    launcher(page).click()
    log = page.locator("brandvoice-chat [role=log]")
    heard: list[str] = []
    page.expose_function("heard", lambda text: heard.append(text))
    log.evaluate(
        "log => new MutationObserver(all => all.forEach(one => one.addedNodes.forEach(n => heard(n.textContent))))"
        ".observe(log, {childList: true})"
    )
    ask(page)
    answered(page)
    assert heard[0].startswith("Maison Velmora said:")
    assert len(heard) == len(set(heard))
    assert not any(re.search(r"\[\d\]", text) for text in heard)
    assert "30 days" in " ".join(heard)


def test_what_is_written_without_a_connection_goes_out_once_when_it_is_back(open_shop: Shops) -> None:
    page = open_shop("dicehollow")
    launcher(page).click()
    ask(page)
    answered(page)
    open_shop.contexts[-1].set_offline(True)
    expect(page.get_by_text("Connection lost")).to_be_visible()
    picture(page, "widget-dicehollow-lost")
    ask(page, "Which payment methods do you take?")
    expect(page.get_by_text("Not sent yet")).to_be_visible()
    open_shop.contexts[-1].set_offline(False)
    answered(page, 2)
    expect(page.get_by_text("Connection lost")).to_be_hidden()
    expect(page.locator("brandvoice-chat .turns .message.user")).to_have_count(2)
    page.reload()
    answered(page, 2)
    expect(page.locator("brandvoice-chat .turns .message.user")).to_have_count(2)


def test_a_redraw_between_press_and_release_does_not_swallow_the_click(open_shop: Shops) -> None:
    # The pointer over the launcher opens the connection, and the greeting that follows redraws what is pressed.
    page = open_shop("dicehollow")
    launcher(page).hover()
    page.mouse.down()
    page.evaluate("document.querySelector('brandvoice-chat').render()")
    page.mouse.up()
    expect(field(page)).to_be_focused()


def test_a_question_that_no_page_answers_is_refused_without_a_source(open_shop: Shops) -> None:
    page = open_shop("velmora")
    launcher(page).click()
    ask(page, "How do I bake sourdough bread?")
    answered(page)
    expect(page.locator("brandvoice-chat .chip")).to_have_count(0)
    expect(page.locator("brandvoice-chat .sources")).to_have_count(0)


def test_what_a_visitor_writes_is_shown_as_text_and_never_runs(open_shop: Shops) -> None:
    page = open_shop("velmora")
    launcher(page).click()
    ask(page, "<img src=x onerror=\"document.title='owned'\"> hello [1](javascript:alert(1))")
    answered(page)
    assert page.title() != "owned"
    expect(page.locator("brandvoice-chat .turns img, brandvoice-chat .turns a")).to_have_count(0)
