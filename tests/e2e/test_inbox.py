"""The inbox as an agent has it, in a real browser: live, by mouse and keyboard, in both themes and on a phone.

The gateway, its search and its knowledge are real; in place of vLLM stands an engine that says one sentence.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Connection

from benchmarks.gateway_process import UNDER_TEST, gateway_process
from configs.home import Home
from configs.load import load_config
from retrieval.encoder import OnnxEncoder
from retrieval.knowledge import store
from retrieval.knowledge.inspection import list_documents
from service.console.people import accounts
from service.people import canned
from service.storage.database import Database
from service.storage.tables import conversations, handoffs, inbox, transitions, turns
from tests.e2e.conftest import ROOT
from tests.e2e.pages import (
    BROWSER,
    PASSWORD,
    PAYLOADS,
    SIZES,
    Pages,
    accessible,
    answered,
    ask,
    launcher,
    picture,
    press,
)

pytestmark = BROWSER
T = TypeVar("T")


class Station:
    """A running gateway, its state, and its database."""

    def __init__(self, url: str, home: Home) -> None:
        self.url = url
        self.home = home

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do something in the gateway's database, as a command would."""

        async def whole() -> T:
            db = await Database.open(f"sqlite:///{self.home.database}")
            try:
                return await db.write(work)
            finally:
                await db.close()

        # In a thread: playwright keeps a loop in this one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(whole())).result()


@pytest.fixture(scope="module")
def station(furnished: Path) -> Iterator[Station]:
    home = Home(furnished)
    encoder = OnnxEncoder.load(home.models / "all-minilm-l6-v2")
    for name, brand in load_config(ROOT / "configs", {}).brands.items():
        store.add(home.knowledge, name, brand.pages, encoder)
    words = ("--home", str(furnished), "--database", f"sqlite:///{home.database}", "--retrieval", "real")
    with gateway_process(furnished / "log", (*UNDER_TEST, *words, "--check", "before"), FAKE_TOKENS="12") as url:
        yield Station(url, home)


class Desk(Pages):
    """Opens pages of agents and of customers."""

    def __init__(self, browser: Browser, station: Station) -> None:
        super().__init__(browser, station.url)
        self.station = station
        self._state: Any = None

    def customer(self, brand: str = "velmora") -> Page:
        page = self.shop(brand)
        launcher(page).click()
        return page

    def agent(self, path: str = "/console/inbox", *, size: str = "desktop", scheme: str = "light") -> Page:
        """A page of Anna's; she signs in once."""
        page = self.open(path, size=size, scheme=scheme, storage_state=self._state)
        if "/console/sign-in" in page.url:
            token = self.station.write(accounts.set_up_link)
            if token:
                page.goto(f"{self.url}/console/set-up?link={token}")
                page.get_by_label("Your name").fill("Anna Berg")
                page.get_by_label("E-mail address").fill("anna@example.com")
                for name in ("password", "again"):
                    page.locator(f"input[name={name}]").fill(PASSWORD)
            else:
                page.get_by_label("E-mail address").fill("anna@example.com")
                page.locator("input[name=password]").fill(PASSWORD)
            page.locator("main button[type=submit]").click()
            page.wait_for_url(re.compile("/console/(?!set-up|sign-in)"))
            self._state = page.context.storage_state()
            page.goto(self.url + path)
        return page


@pytest.fixture
def desk(browser: Browser, station: Station) -> Iterator[Desk]:
    with Desk(browser, station) as opened:
        yield opened


def answer(page: Page) -> Any:
    return page.get_by_label("Your answer to the customer")


def test_a_customer_asks_for_a_person_who_sees_it_live_takes_it_answers_and_returns_it(desk: Desk) -> None:
    agent = desk.agent()
    expect(agent.get_by_text("Nobody waits for an answer.")).to_be_visible()
    agent.evaluate("window.loadedOnce = true")
    customer = desk.customer()
    customer.get_by_role("button", name="Ask for a person").click()
    row = agent.locator("#rows .conversation")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("waits for a person")
    expect(agent).to_have_title(re.compile(r"^\(1\) Inbox"))
    assert agent.evaluate("window.loadedOnce"), "the list came without a load of the page"
    press(agent, "j")
    expect(row).to_be_focused()
    ask(customer, "It is about my scarf.")
    expect(row).to_contain_text("Somebody will write to you here.")
    expect(row).to_be_focused()
    press(agent, "Enter")

    agent.wait_for_url(re.compile("/console/inbox/[^/?]+"))
    thread = agent.locator("#thread")
    expect(thread).to_contain_text("It is about my scarf.")
    expect(agent.locator("#standing")).to_contain_text("Handed over:")
    press(agent, "a")
    expect(answer(agent)).to_be_focused()
    agent.keyboard.type("Good day, I ")
    ask(customer, "Are you still there?")
    expect(thread).to_contain_text("Are you still there?")
    expect(answer(agent)).to_have_value("Good day, I ")
    expect(answer(agent)).to_be_focused()
    heard = thread.evaluate(
        "log => { window.added = []; new MutationObserver(all => all.forEach(one => one.addedNodes.forEach("
        "node => window.added.push(node.textContent)))).observe(log, {childList: true}); }"
    )
    assert heard is None
    press(agent, "Escape")
    press(agent, "t")
    expect(agent.locator("#standing")).to_contain_text("You have it")
    expect(customer.locator("brandvoice-chat .strip")).to_contain_text("Anna Berg is here")
    expect(answer(agent)).to_have_value("Good day, I ")
    answer(agent).press_sequentially("am Anna. May I help?")
    agent.reload()
    expect(answer(agent)).to_have_value("Good day, I am Anna. May I help?")
    answer(agent).press("Control+Enter")
    human = customer.locator("brandvoice-chat .turns .message.human")
    expect(human).to_contain_text("Good day, I am Anna. May I help?")
    expect(human).to_contain_text("Anna Berg")
    expect(answer(agent)).to_have_value("")
    expect(thread.locator(".message.person")).to_have_count(1)
    answer(agent).fill("And this.")
    answer(agent).press("Control+Enter")
    expect(human).to_have_count(2)

    agent.get_by_role("button", name="Return to the assistant").click()
    expect(agent.locator("#standing")).to_contain_text("The assistant answers")
    expect(customer.locator("brandvoice-chat .strip")).to_contain_text("You are talking to the assistant again.")
    ask(customer, "How long do I have to return an unopened item?")
    bot = thread.locator(".message.bot", has_text="30 days")
    expect(bot).to_contain_text("support")
    expect(bot.get_by_role("link", name="Why this answer?")).to_have_attribute("href", re.compile("^/console/turns/."))
    customer.get_by_role("button", name="Not helpful", exact=True).last.click()
    expect(bot.get_by_label("The customer found it not helpful")).to_be_visible()
    agent.get_by_role("link", name="Thumbs down").click()
    expect(agent.locator("#rows .conversation")).to_have_count(1)


def test_a_message_is_sent_once_and_what_another_one_has_is_not_taken_by_writing(desk: Desk) -> None:
    customer = desk.customer()
    customer.get_by_role("button", name="Ask for a person").click()
    expect(customer.locator("brandvoice-chat .strip")).to_contain_text("Waiting for a person")
    agent = desk.agent()
    agent.locator("#rows .conversation").first.click()
    key = agent.locator("#answer [name=key]").input_value()
    answer(agent).fill("Once.")
    agent.route("**/say", lambda route: (route.fetch(), route.abort()))
    agent.get_by_role("button", name="Send").click()
    human = customer.locator("brandvoice-chat .turns .message.human")
    expect(human).to_have_count(1)
    expect(answer(agent)).to_have_value("Once.")
    agent.unroute("**/say")
    agent.get_by_role("button", name="Send").click()
    expect(answer(agent)).to_have_value("")
    assert agent.locator("#answer [name=key]").input_value() != key
    expect(agent.locator("#thread .message.person")).to_have_count(1)
    expect(human).to_have_count(1)

    conversation = agent.url.split("/")[-1].split("?")[0]
    change = {"owner": "Ben", "owner_id": None, "state": "person"}
    desk.station.write(
        lambda c: c.execute(conversations.update().where(conversations.c.id == conversation).values(**change))
    )
    expect(agent.locator("#standing")).to_contain_text("Ben has it")
    answer(agent).fill("Mine?")
    agent.get_by_role("button", name="Send").click()
    expect(agent.locator("#problem")).to_contain_text("Ben has this conversation")
    expect(answer(agent)).to_have_value("Mine?")
    agent.get_by_role("button", name="Take it from Ben").click()
    expect(agent.locator("#standing")).to_contain_text("You have it")
    expect(agent.locator("#problem")).to_be_empty()
    agent.get_by_role("button", name="Close", exact=True).click()
    expect(agent.locator("#standing")).to_contain_text("Closed")


def test_notes_canned_replies_and_how_words_sound(desk: Desk) -> None:
    agent = desk.agent("/console/inbox/canned?brand=velmora")
    agent.get_by_label("Title").fill("Greeting")
    agent.get_by_label("Text", exact=True).fill("Hello, I am {nam}.")
    agent.get_by_role("button", name="Save").click()
    expect(agent.get_by_role("alert").filter(has_text="stands for nothing here")).to_be_visible()
    agent.get_by_label("Text", exact=True).fill("Good day, I am {name} of {brand}.")
    expect(agent.locator("#lint meter")).to_be_visible()
    agent.get_by_role("button", name="Save").click()
    expect(agent.get_by_role("heading", name="Greeting")).to_be_visible()
    accessible(agent)
    picture(agent, "console-inbox-canned")

    customer = desk.customer()
    customer.get_by_role("button", name="Ask for a person").click()
    expect(customer.locator("brandvoice-chat .strip")).to_contain_text("Waiting for a person")
    agent.goto(f"{desk.url}/console/inbox")
    agent.locator("#rows .conversation").first.click()
    expect(agent.locator("#thread .message").first).to_be_visible()
    press(agent, "c")
    agent.get_by_role("button", name="Greeting").click()
    expect(answer(agent)).to_have_value("Good day, I am Anna Berg of Maison Velmora.")
    expect(agent.locator("#lint")).to_contain_text("like the brand")
    answer(agent).fill("lol nope!!! u cant send that back dude :D")
    expect(agent.locator("#lint")).to_contain_text("Does not sound like the brand")
    picture(agent, "console-inbox-lint")
    press(agent, "Escape")
    press(agent, "n")
    agent.keyboard.type("A friend of the house.")
    agent.get_by_role("button", name="Keep the note").click()
    expect(agent.locator("#thread .note")).to_contain_text("A friend of the house.")
    assert "friend of the house" not in customer.locator("brandvoice-chat .turns").inner_text()
    press(agent, "Escape")
    agent.locator("h1").first.click()
    press(agent, "?")
    expect(agent.get_by_role("dialog", name="Keyboard")).to_be_visible()
    accessible(agent)
    agent.get_by_label("Single keys do something").uncheck()
    agent.get_by_role("button", name="Close this help").click()
    press(agent, "t")
    agent.wait_for_timeout(500)
    expect(agent.locator("#standing")).to_contain_text("Waits for a person")


def test_questions_that_were_refused_are_answered_by_a_page_and_a_case(desk: Desk) -> None:
    questions = (
        "Do you offer calligraphy lessons?",
        "can I take a calligraphy lesson with you",
        "calligraphy class, is there one?",
    )
    for question in questions:
        customer = desk.customer()
        ask(customer, question)
        answered(customer)
    agent = desk.agent("/console/inbox?show=refused")
    expect(agent.locator("#rows .conversation")).to_have_count(3)
    agent.get_by_role("link", name="Unanswered questions").click()
    group = agent.locator(".group", has_text="asked 3 times")
    expect(group).to_be_visible()
    accessible(agent)
    group.get_by_text("Write the answer").click()
    group.get_by_label("Title of the page").fill("Do you offer calligraphy lessons?")
    group.get_by_label("Answer", exact=True).fill("We offer calligraphy lessons of 90 minutes every Thursday.")
    group.get_by_label("What a right answer must contain").fill("90 minutes")
    picture(agent, "console-inbox-unanswered")
    accessible(agent)
    group.get_by_role("button", name="Keep it as a page").click()
    expect(agent.get_by_text("The answer is a page of the knowledge now, and the assistant finds it.")).to_be_visible()
    expect(agent.locator(".group", has_text="calligraphy")).to_have_count(0)
    documents = [one.id for one in list_documents(desk.station.home.knowledge, "velmora")]
    assert "answer-do-you-offer-calligraphy-lessons.md" in documents
    (case,) = (desk.station.home.questions / "velmora.jsonl").read_text("utf-8").splitlines()
    assert json.loads(case)["answer_contains"] == ["90 minutes"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_pages_are_accessible_and_fit(desk: Desk, size: str, scheme: str) -> None:
    customer = desk.customer()
    ask(customer, "How long do I have to return an unopened item?")
    answered(customer)
    ask(customer, "I want to talk to a person")
    expect(customer.locator("brandvoice-chat .strip")).to_contain_text("Waiting")
    agent = desk.agent("/console/inbox?show=all", size=size, scheme=scheme)
    expect(agent.locator("#rows .conversation").first).to_be_visible()
    for name in ("list", "conversation"):
        if name == "conversation":
            agent.locator("#rows .conversation").first.click()
            expect(agent.locator("#thread .message").first).to_be_visible()
            expect(agent.locator("#rows")).to_be_visible(visible=size == "desktop")
        picture(agent, f"console-inbox-{name}-{size}-{scheme}")
        accessible(agent)
        assert agent.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, "nothing is cut off"


@pytest.mark.skipif(not PAYLOADS.is_file(), reason="the payloads are not here")
def test_words_that_are_scripts_stay_words(desk: Desk) -> None:
    payloads = [one["payload"] for one in json.loads(PAYLOADS.read_text("utf-8"))]
    assert len(payloads) == 223
    desk.station.write(lambda connection: _full_of(connection, payloads))
    agent = desk.agent("/console/account")
    pages = [f"/console/inbox/{name}" for name in ("xss-words", "xss-other")]
    pages += ["/console/inbox/canned?brand=velmora", "/console/inbox/unanswered?brand=velmora"]
    cursor: str | None = "/console/inbox?show=all"
    while cursor:
        agent.goto(desk.url + cursor)
        _is_quiet(desk, agent)
        older = agent.get_by_role("link", name="Older ones")
        cursor = older.get_attribute("href") if older.count() else None
    for path in pages:
        agent.goto(desk.url + path)
        _is_quiet(desk, agent)
    agent.goto(f"{desk.url}/console/inbox/xss-words")
    shown = agent.locator("#thread .message.customer .text").all_text_contents()
    # A parser makes one line break of two signs, and blanks of what no text holds; all else must stand as written.
    plain = [one.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "") for one in payloads]
    assert shown == plain
    for number in (0, 100, 200):
        agent.locator("#canned > summary").click()
        agent.locator("#canned [data-insert]").nth(number).click()
    _is_quiet(desk, agent)
    # Also what comes while the page stands.
    desk.station.write(lambda connection: _said(connection, "xss-words", 900, '<img src=x onerror="alert(1)">'))
    expect(agent.locator("#thread")).to_contain_text('<img src=x onerror="alert(1)">')
    _is_quiet(desk, agent)


def _is_quiet(desk: Desk, page: Page) -> None:
    page.wait_for_load_state("networkidle")
    for selector in ("#thread .message", "#rows .conversation", ".group summary"):
        if page.locator(selector).count():
            page.locator(selector).first.hover()
    assert desk.amiss == []
    assert page.locator("main script, main iframe, main object, main embed, main svg, main math, main img").count() == 0


def _full_of(connection: Connection, payloads: list[str]) -> None:
    """Payloads as messages, answers, sources, names, reasons, notes, canned replies, and as a list's last words."""
    from service.storage.database import now, storable

    clean = [storable(one) for one in payloads]
    values = {"brand": "velmora", "channel": "web", "account": "velmora", "created_at": now(), "state": "person"}
    for name in ("xss-words", "xss-other"):
        connection.execute(conversations.insert(), values | {"id": name, "external_key": name, "owner": clean[7][:100]})
    for number, payload in enumerate(clean, start=1):
        _said(connection, "xss-words", number, payload)
        cited = [{"number": 1, "document": payload, "title": payload, "passage": payload, "score": 0.9}]
        row = {"id": f"o{number}", "conversation_id": "xss-other", "number": number, "question": "", "state": "done"}
        row |= {"text": payload, "author": payload[:100] or None, "citations": cited, "created_at": now()}
        connection.execute(turns.insert(), row)
        move = {"conversation_id": "xss-other", "was": "bot", "by": payload[:100], "why": payload, "at": now()}
        for became in ("note", "person", "closed"):
            connection.execute(transitions.insert(), move | {"became": became})
        made = canned.write(connection, brand="velmora", title=f"{number}", text="x", by="x")
        change = {"title": f"{number} {payload}"[:100], "text": payload or "x", "changed_by": payload[:100]}
        connection.execute(
            canned.canned_replies.update().where(canned.canned_replies.c.id == made["id"]).values(**change)
        )
        own = f"xss-{number}"
        connection.execute(conversations.insert(), values | {"id": own, "external_key": own, "owner": payload[:100]})
        _said(connection, own, 1, payload)
    summary = {"why": "x", "asked": clean[:50], "exchanges": [
        {"turn": "t", "question": one, "answer": one, "outcome": one, "sources": [one]} for one in clean
    ]}  # fmt: skip
    handed = {"id": "xss-h", "brand": "velmora", "conversation_id": "xss-words", "reason": clean[3], "state": "open"}
    connection.execute(handoffs.insert(), handed | {"created_at": now(), "summary": summary})
    pending = {"channel": "web", "account": "velmora", "message_id": "xss", "conversation_id": "xss-other"}
    connection.execute(inbox.insert(), pending | {"text": clean[9], "reply_to": {}, "received_at": now()})


def _said(connection: Connection, conversation: str, number: int, text: str) -> None:
    from service.storage.database import now

    row = {"id": f"{conversation}-{number}", "conversation_id": conversation, "number": number, "question": text}
    row |= {"state": "done", "text": "x", "outcome": "refused", "citations": [], "created_at": now()}
    connection.execute(turns.insert(), row)
