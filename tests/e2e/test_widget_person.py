"""A person in the widget: waiting, their name and words, back to the assistant; by eye, keyboard and screen reader.

The gateway is real; in place of vLLM stands an engine that says one sentence, since what it says plays no part here.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.gateway_process import UNDER_TEST, gateway_process
from tests.e2e.pages import BROWSER, Pages, accepted, accessible, ask, field, launcher, panel, picture

pytestmark = BROWSER
PERSON = "I would like to talk to a person"


class House:
    """A gateway in front of a stand-in engine, and the team's way to it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, path: str, body: object | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def newest(self) -> str:
        """The conversation that changed or began last."""
        found: str = self.call("/v1/conversations")["conversations"][0]["id"]
        return found

    def act(self, act: str, conversation: str, **more: object) -> Any:
        return self.call(f"/v1/conversations/{conversation}/{act}", {"by": "Anna Berg", **more})


@pytest.fixture(scope="module")
def house(furnished: Path) -> Iterator[House]:
    words = (*UNDER_TEST, "--home", str(furnished), "--check", "before")
    with gateway_process(furnished / "log", words, FAKE_TOKENS="12") as url:
        yield House(url)


@pytest.fixture
def pages(browser: Browser, house: House) -> Iterator[Pages]:
    with Pages(browser, house.url) as opened:
        yield opened


def strip(page: Page) -> Any:
    return page.locator("brandvoice-chat .strip")


def human(page: Page) -> Any:
    return page.locator("brandvoice-chat .turns .message.human")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("brand", ["velmora", "dicehollow"])
def test_a_visitor_waits_is_helped_by_a_person_and_comes_back_to_the_assistant(
    pages: Pages, house: House, brand: str, scheme: str
) -> None:
    page = pages.shop(brand, scheme=scheme, size="phone" if (brand, scheme) == ("velmora", "dark") else "desktop")
    launcher(page).click()
    heard: list[str] = []
    page.expose_function("heard", lambda text: heard.append(text))
    page.locator("brandvoice-chat [role=log]").evaluate(
        "log => new MutationObserver(all => all.forEach(one => one.addedNodes.forEach(n => heard(n.textContent))))"
        ".observe(log, {childList: true})"
    )
    page.get_by_role("button", name="Ask for a person").click()
    expect(strip(page)).to_contain_text("Waiting for a person")
    expect(page.get_by_role("button", name="Ask for a person")).to_be_hidden()
    picture(page, f"person-{brand}-{scheme}-waiting")
    accessible(page)

    ask(page, "Are you still there?")
    expect(page.locator("brandvoice-chat .turns")).to_contain_text("Somebody will write to you here.")
    ask(page, "Hello?")
    expect(page.locator("brandvoice-chat .turns .message.user")).to_have_count(3)
    accepted(page)
    conversation = house.newest()
    house.act("messages", conversation, text="Hello, I am Anna. How may I **help**?", id="a-1")
    expect(human(page)).to_contain_text("Anna Berg")
    expect(human(page).locator("strong")).to_have_text("help")
    expect(strip(page)).to_contain_text("Anna Berg is here")
    assert panel(page).inner_text().count("Anna Berg is here") == 1
    said_once = page.locator("brandvoice-chat .turns .message", has_text="Somebody will write to you here.")
    expect(said_once).to_have_count(1)
    ask(page, "My parcel is late.")
    accepted(page)
    house.act("messages", conversation, text="I look into it.", id="a-2")
    expect(human(page)).to_have_count(2)
    expect(page.locator("brandvoice-chat .typing")).to_have_count(0)
    picture(page, f"person-{brand}-{scheme}")
    accessible(page)

    before = page.locator("brandvoice-chat .turns").inner_text()
    page.reload()
    launcher(page).wait_for(state="attached")  # the chat comes when the page is idle
    if not panel(page).is_visible():
        launcher(page).click()
    expect(strip(page)).to_contain_text("Anna Berg is here")
    expect(human(page)).to_have_count(2)
    assert page.locator("brandvoice-chat .turns").inner_text() == before, "the snapshot shows what the frames showed"

    house.act("return", conversation)
    expect(strip(page)).to_contain_text("You are talking to the assistant again.")
    expect(page.get_by_role("button", name="Ask for a person")).to_be_visible()
    ask(page, "How long do I have to return an unopened item?")
    expect(page.get_by_role("button", name="Helpful", exact=True).last).to_be_visible()
    expect(strip(page)).to_be_hidden()
    told = " | ".join(heard)
    for words in ("Waiting for a person", "Anna Berg said: Hello, I am Anna.", "Anna Berg is here"):
        assert told.count(words) == 1, told


def test_another_person_takes_it_by_force_and_the_visitor_reads_the_new_name(pages: Pages, house: House) -> None:
    page = pages.shop("velmora")
    launcher(page).click()
    ask(page, PERSON)
    expect(strip(page)).to_contain_text("Waiting for a person")
    conversation = house.newest()
    house.act("take", conversation)
    expect(strip(page)).to_contain_text("Anna Berg is here")
    house.act("take", conversation, by="Ben Sol", force=True)
    expect(strip(page)).to_contain_text("Ben Sol is here")
    assert panel(page).inner_text().count("is here") == 1


def test_who_does_not_want_to_wait_goes_back_by_keyboard(pages: Pages) -> None:
    page = pages.shop("velmora")
    launcher(page).click()
    ask(page, PERSON)
    back = page.get_by_role("button", name="Back to the assistant")
    expect(back).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.querySelector('brandvoice-chat').shadowRoot.activeElement?.textContent") == (
            "Back to the assistant"
        ):
            break
    page.keyboard.press("Enter")
    expect(strip(page)).to_contain_text("You are talking to the assistant again.")
    expect(field(page)).to_be_focused()


def test_a_person_writes_while_the_panel_is_closed_and_a_closed_conversation_opens_again(
    pages: Pages, house: House
) -> None:
    page = pages.shop("dicehollow")
    launcher(page).click()
    ask(page, PERSON)
    expect(strip(page)).to_be_visible()
    conversation = house.newest()
    page.keyboard.press("Escape")
    house.act("messages", conversation, text="Here I am.", id="b-1")
    expect(page.locator("brandvoice-chat .badge")).to_have_text("1")
    house.act("close", conversation)
    launcher(page).click()
    expect(strip(page)).to_contain_text("This conversation was closed.")
    ask(page, "How long do I have to return an unopened item?")
    expect(page.get_by_role("button", name="Helpful", exact=True).last).to_be_visible()
    expect(strip(page)).to_be_hidden()


def test_words_that_the_assistant_answers_after_all_stand_there_once(pages: Pages) -> None:
    page = pages.shop("velmora")
    launcher(page).click()
    expect(page.locator("brandvoice-chat .presence")).to_have_text("Online")
    heard = {"type": "heard", "turn": "t-heard", "client_ids": ["c-1"], "question": "When do you open?"}
    turn = {"type": "turn", "turn": "t-new", "client_ids": ["c-1", "c-2"], "question": "When do you open?\nAnd close?"}
    chat = page.locator("brandvoice-chat")
    for frame in (heard, turn):
        chat.evaluate("(chat, frame) => chat.receive(frame)", frame)
    expect(page.locator("brandvoice-chat .turns .message.user")).to_have_count(1)
    expect(page.locator("brandvoice-chat .turns .message.user")).to_contain_text("And close?")
