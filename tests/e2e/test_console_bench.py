"""The bench and the inspector in a real browser, on a gateway with a real search; the engine only plays one."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Connection, create_engine

from benchmarks.gateway_process import UNDER_TEST, gateway_process
from configs.home import Home
from retrieval.documents.loading import document_from_text
from retrieval.encoder import OnnxEncoder
from retrieval.knowledge.store import add_documents
from retrieval.testing import PAGES
from service.console.people import accounts, sessions
from service.console.person import EVERY, Role
from service.storage.bench_tables import bench_answers, bench_runs
from service.storage.database import Database, now
from service.storage.tables import conversations, turns
from tests.e2e.pages import BROWSER, PAYLOADS, QUESTION, SIZES, Pages, accessible, picture
from tests.e2e.talking_engine import GUIDED
from tests.unit.service.standing import visiting

T = TypeVar("T")
pytestmark = BROWSER


def beside(work: Coroutine[Any, Any, T]) -> T:
    """What asynchronous work returns; in a thread, because Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()


@dataclass
class House:
    """A gateway with an editor's session."""

    url: str
    home: Home
    token: str

    def write(self, work: Any) -> None:
        """Change the database beside the gateway."""
        engine = create_engine(f"sqlite:///{self.home.database}")
        with engine.begin() as connection:
            work(connection)
        engine.dispose()


@pytest.fixture(scope="module")
def house(furnished: Path) -> Iterator[House]:
    home = Home(furnished)
    encoder = OnnxEncoder.load(home.models / "all-minilm-l6-v2")
    pages = [document_from_text(name, text) for name, text in PAGES.items()]
    if PAYLOADS.exists():
        titles = enumerate(one["payload"] for one in json.loads(PAYLOADS.read_text("utf-8")))
        pages += [replace(document_from_text(f"p{n}.md", f"Lamp {n} is lit."), title=title) for n, title in titles]
    add_documents(home.knowledge, "velmora", pages, encoder)
    token = beside(_signed_in(home))
    words = ("--home", str(furnished), "--database", f"sqlite:///{home.database}", "--retrieval", "real")
    with gateway_process(
        furnished / "log",
        (*UNDER_TEST, *words, "--check", "before"),
        engine="tests.e2e.talking_engine:app",
        ready="/livez",  # The other brand has no pages here.
        PAYLOADS=str(PAYLOADS),
    ) as url:
        yield House(url, home, token)


async def _signed_in(home: Home) -> str:
    """An editor of all brands with a session; returns its token."""
    database = await Database.open(f"sqlite:///{home.database}")

    def make(connection: Connection) -> str:
        roles = {EVERY: Role.EDITOR}
        made, _ = accounts.invite(connection, by="test", email="anna@example.com", name="Anna", roles=roles)
        return sessions.begin(connection, made.id, client="a test")

    try:
        return await database.write(make)
    finally:
        await database.close()


class Desk(Pages):
    """Opens pages as somebody who is signed in."""

    def __init__(self, browser: Browser, house: House) -> None:
        super().__init__(browser, house.url)
        self.house = house

    def __call__(
        self, path: str = "/console/bench?brand=velmora", *, scheme: str = "light", size: str = "desktop"
    ) -> Page:
        return self.open(path, size=size, scheme=scheme, token=self.house.token)


@pytest.fixture
def desk(browser: Browser, house: House) -> Iterator[Desk]:
    with Desk(browser, house) as opened:
        yield opened


def ask(page: Page, question: str = QUESTION, *, blind: bool = False) -> None:
    page.get_by_label("Question", exact=True).fill(question)
    if blind:
        page.get_by_label("Blind").check()
    page.get_by_role("button", name="Ask", exact=True).click()


def columns(page: Page) -> Any:
    return page.locator(".answers article")


def answered(page: Page, count: int = 2) -> None:
    expect(columns(page)).to_have_count(count)
    expect(page.locator(".answers [aria-busy]")).to_have_count(0)


@pytest.fixture(scope="module")
def turn(house: House) -> str:
    """A turn that a visitor had on the widget's socket."""

    async def visit() -> str:
        async with visiting(house.url) as visitor:
            await visitor.say(QUESTION, "client00")
            return str((await visitor.until("reply"))["turn"])

    return beside(visit())


def test_two_answers_from_the_same_passages_whose_sentences_lead_to_them(desk: Desk) -> None:
    page = desk()
    ask(page)
    answered(page)
    first, second = columns(page).all()
    expect(first).to_contain_text("Base model with the voice guide")
    expect(first).to_contain_text(GUIDED.split("!")[0])
    expect(second).to_contain_text("Adapter off")
    expect(second.get_by_role("meter")).to_be_visible()
    lit = page.locator(".passages > li:target")
    expect(lit).to_have_count(0)
    second.get_by_role("link", name="An unopened item can be returned").click()
    expect(lit).to_have_count(1)
    expect(lit).to_contain_text("within 30 days of delivery")
    expect(lit).to_be_in_viewport()
    picture(page, "console-bench-passage")
    second.get_by_role("link", name="Hello there").click()
    expect(page.locator(".bases > li:target")).to_contain_text("From style only")
    second.get_by_role("link", name="It costs $9").press("Enter")
    expect(page.locator(".bases > li:target")).to_contain_text("In no passage")


def test_a_blind_vote_reveals_the_names_and_moves_the_win_rate(desk: Desk) -> None:
    page = desk()
    before = page.locator("table tbody td.number").all_inner_texts()
    ask(page, blind=True)
    answered(page)
    seen = page.locator(".answers").inner_html()
    for secret in ("Base model", "Adapter off", "no-guide", "Voice guide", " ms"):
        assert secret not in seen, secret
    expect(page.get_by_role("heading", name="Answer A")).to_be_visible()
    guided = next(one for one in columns(page).all() if "Do allow us" in one.inner_text())
    letter = guided.locator(".letter").inner_text()
    picture(page, "console-bench-blind")
    accessible(page)
    ballot = page.get_by_role("region", name="Your vote")
    ballot.get_by_label(letter, exact=True).check()
    ballot.get_by_label("sounds like us").check()
    ballot.get_by_role("button", name="Vote").click()
    expect(page.get_by_role("status").filter(has_text="Your vote counts")).to_be_visible()
    chosen = page.locator(f"#answer-{letter}")
    expect(chosen).to_contain_text("Base model with the voice guide")
    expect(page.locator("#results").locator("..")).to_contain_text("Blind votes: 1.")
    row = page.locator("table tbody tr").filter(has_text="Adapter off")
    expect(row).to_contain_text("100%")
    expect(row).to_contain_text("–")
    assert page.locator("table tbody td.number").all_inner_texts() != before
    picture(page, "console-bench-voted")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_on_bench_and_inspector(desk: Desk, turn: str, scheme: str, size: str) -> None:
    page = desk(scheme=scheme, size=size)
    accessible(page)
    ask(page)
    answered(page)
    for details in page.locator("details").all():
        details.evaluate("one => one.open = true")
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    picture(page, f"console-bench-{size}-{scheme}")
    page.goto(f"{desk.url}/console/inspector?brand=velmora")
    accessible(page)
    page.goto(f"{desk.url}/console/turns/{turn}?expected=contact.md")
    for details in page.locator("details").all():
        details.evaluate("one => one.open = true")
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    picture(page, f"console-inspector-{size}-{scheme}")


def test_the_inspector_tells_why_and_hands_the_turn_to_the_bench(desk: Desk, turn: str) -> None:
    page = desk("/console/inspector?brand=velmora")
    page.get_by_role("link", name=QUESTION).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(QUESTION)
    expect(page.get_by_role("img", name="When each step ran")).to_be_visible()
    expect(page.locator(".parts")).to_contain_text(re.compile(r"passages.*\d+ tokens", re.S))
    page.locator(".said .sentence.passage").first.click()
    expect(page.locator(".passages > li:target")).to_contain_text("30 days")
    page.get_by_label("Page that you expected").select_option("returns.md")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("Not lost.")).to_be_visible()
    page.get_by_label("Page that you expected").select_option("shipping.md")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("Lost at:").or_(page.get_by_text("Not lost."))).to_be_visible()
    page.get_by_role("link", name="Replay it on the bench").click()
    expect(page.get_by_text("A past turn is replayed")).to_be_visible()
    page.get_by_role("button", name="Ask", exact=True).click()
    answered(page)
    expect(page.get_by_role("link", name="The turn that is replayed")).to_have_attribute(
        "href", f"/console/turns/{turn}"
    )


def test_in_indonesian_nothing_stays_english(desk: Desk, turn: str) -> None:
    from service.storage.people_tables import people

    desk.house.write(lambda connection: connection.execute(people.update().values(language="id")))
    try:
        page = desk()
        expect(page.get_by_role("heading", level=1)).to_have_text("Uji suara")
        expect(page.get_by_role("button", name="Tanyakan", exact=True)).to_be_visible()
        page.goto(f"{desk.url}/console/turns/{turn}?expected=contact.md")
        expect(page.get_by_text("Mengapa sebuah halaman tidak ditemukan?")).to_be_visible()
        expect(page.locator("#why").locator("..")).to_contain_text("basis pengetahuan memuatnya")
    finally:
        desk.house.write(lambda connection: connection.execute(people.update().values(language="en")))


needs_payloads = pytest.mark.skipif(not PAYLOADS.exists(), reason=f"{PAYLOADS} is not here")


@needs_payloads
def test_what_an_engine_writes_stays_text(desk: Desk) -> None:
    payloads = [one["payload"] for one in json.loads(PAYLOADS.read_text("utf-8"))]
    short = [at for at, text in enumerate(payloads) if "onerror" in text and len(text) < 200][:3]
    assert len(short) == 3
    for number in short:
        page = desk()
        ask(page, f"How long do I have to return an unopened item in line #{number}?")
        answered(page)
        expect(columns(page).first.locator("img, svg, script, a:not(.sentence), style")).to_have_count(0)


@needs_payloads
def test_223_payloads_as_answers_reasons_titles_and_questions_run_nothing(desk: Desk, house: House) -> None:
    payloads = [one["payload"] for one in json.loads(PAYLOADS.read_text("utf-8"))]
    desk.house.write(lambda connection: _plant(connection, payloads))
    page = desk("/console/bench/runs/planted")
    answered(page, 4)
    expect(page.locator(".answers .sentence")).to_have_count(len(payloads))
    expect(page.locator(".passages > li")).to_have_count(len(payloads))
    for details in page.locator("details").all():
        details.evaluate("one => one.open = true")
    page.wait_for_timeout(500)
    assert page.locator(".answers img, .answers script, .answers iframe, .passages img, .passages svg").count() == 0
    page.goto(f"{house.url}/console/turns/planted?expected=p0.md")
    for details in page.locator("details").all():
        details.evaluate("one => one.open = true")
    expect(page.locator(".said .sentence, .held .sentence")).to_have_count(len(payloads))
    expect(page.locator("#expected option")).to_have_count(1 + len(payloads) + _pages_elsewhere(page))
    page.wait_for_timeout(500)
    page.goto(f"{house.url}/console/inspector?brand=velmora")
    page.goto(f"{house.url}/console/bench?brand=velmora&question=" + urllib.parse.quote(payloads[0]))


def _pages_elsewhere(page: Page) -> int:
    """Options that are no payload's page."""
    return sum(not re.match(r"p\d+\.md", one) for one in page.locator("#expected option").all_inner_texts()) - 1


def _plant(connection: Connection, payloads: list[str]) -> None:
    """A run and a turn in which every text is a payload."""
    passages = [
        {"document": one, "title": one, "heading": "", "text": one, "scores": {}, "start": at, "sha256": "0" * 64}
        for at, one in enumerate(payloads)
    ]
    said = [
        {"text": one, "basis": "passage", "source": at + 1, "score": 0.9, "reason": one, "missing": [one]}
        for at, one in enumerate(payloads)
    ]
    run = {
        "id": "planted", "brand": "velmora", "turn_id": None, "question": payloads[1], "blind": False, "served": False,
        "decision": {}, "knowledge_version": payloads[2], "passages": passages, "passages_sha256": "0" * 64,
        "asked_by": "x", "asked_at": now(),
    }  # fmt: skip
    connection.execute(bench_runs.insert(), run)
    prompt = [{"role": "user", "content": one} for one in payloads]
    for place in range(4):
        told = {
            "version": payloads[place], "outcome": "answered", "sentences": said[place::4], "ms": 1.0,
            "voice": {"score": 0.5, "reasons": payloads}, "prompt": prompt,
            "prompt_tokens": 1, "completion_tokens": 1, "timings_ms": {},
        }  # fmt: skip
        row = {"run_id": "planted", "place": place, "contender": "base", "state": "done", "text": "x", "told": told}
        connection.execute(bench_answers.insert(), row)
    conversation = {
        "id": "planted", "brand": "velmora", "channel": "web", "account": "velmora", "external_key": "planted",
        "created_at": now(),
    }  # fmt: skip
    connection.execute(conversations.insert(), conversation)
    checks = [
        {"text": one, "kind": "claim", "supported": True, "source": at + 1, "score": 0.9, "shown": True, "reason": one}
        for at, one in enumerate(payloads)
    ]
    evidence = {
        "question": payloads[3], "route": {"kind": payloads[4], "reason": payloads[5]},
        "decision": {"kind": payloads[6], "reason": payloads[7]}, "generations": [{"text": "x", "sentences": checks}],
        "search": {"query": payloads[8], "knowledge_version": payloads[9], "answerability": 0.5,
                   "min_answerability": 0.5, "passages": passages},
        "prompt": [{"role": "system", "content": one} for one in payloads],
    }  # fmt: skip
    row = {
        "id": "planted", "conversation_id": "planted", "number": 1, "question": payloads[3], "state": "done",
        "text": " ".join(payloads), "outcome": "answered", "citations": [], "adapter_version": payloads[0][:60],
        "prompt_tokens": 1, "completion_tokens": 1, "timings": {payloads[10]: 3.0}, "evidence": evidence,
        "created_at": now(),
    }  # fmt: skip
    connection.execute(turns.insert(), row)
