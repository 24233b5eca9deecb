"""The console's stories on real parts: vLLM writes, the real encoder searches, people work in Chromium.

What trains is slow: the last one here, and the whole loop in `test_console_loop.py`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import Running
from tests.e2e.pages import BROWSER, PASSWORD
from tests.patience import PATIENCE_S

pytestmark = BROWSER
BRAND = "velmora"
TRAINING_MS = 30 * 60_000
NAME = "console-piano-tuning.md"
OLD, NEW = "$410", "$520"
QUESTION = "How much does the tuning of a grand piano cost?"


@pytest.fixture(scope="module")
def context(browser: Browser, gateway: Running) -> Iterator[BrowserContext]:
    """An admin, let in by the link that `brandvoice people invite` shows."""
    email = f"nia-{uuid.uuid4().hex[:8]}@example.com"
    invited = gateway.cli("people", "invite", email, "--name", "Nia", "--role", "admin", "--json")
    assert invited.returncode == 0, invited.stderr
    opened = browser.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    opened.set_default_timeout(PATIENCE_S * 1000)
    page = opened.new_page()
    page.goto(json.loads(invited.stdout)["link"])
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Save and sign in").click()
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert errors == []


@pytest.fixture
def piano(gateway: Running, tmp_path: Path) -> Iterator[str]:
    """A page of the knowledge with a price that is no longer true."""
    page = tmp_path / NAME
    page.write_text(f"# Piano tuning\n\nThe house tunes grand pianos for {OLD} on Thursdays.\n", encoding="utf-8")
    added = gateway.cli("kb", "add", str(page), "--brand", BRAND)
    assert added.returncode == 0, added.stderr
    yield NAME
    gateway.cli("kb", "remove", NAME, "--brand", BRAND)


def ask_in_the_shop(browser: Browser, gateway: Running, question: str, reply: str) -> None:
    """A visitor asks in the widget of the sample shop, and is told this."""
    visitor = browser.new_context()
    visitor.set_default_timeout(PATIENCE_S * 1000)
    shop = visitor.new_page()
    shop.goto(f"{gateway.url}/shop/{BRAND}")
    shop.get_by_role("button", name=re.compile("Chat")).click()
    box = shop.get_by_label("Your message")
    box.fill(question)
    box.press("Enter")
    expect(shop.locator("brandvoice-chat .turns .message.bot").last).to_contain_text(reply)
    visitor.close()


def test_a_wrong_fact_is_seen_in_the_inbox_explained_corrected_and_right_for_the_next_visitor(
    browser: Browser, gateway: Running, page: Page, piano: str
) -> None:
    page.goto(f"{gateway.url}/console/inbox?brand={BRAND}&show=all")
    ask_in_the_shop(browser, gateway, QUESTION, OLD)
    page.locator("#rows .conversation").filter(has_text="grand piano").first.click()
    page.locator("#thread").get_by_role("link", name="Why this answer?").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(QUESTION)
    page.locator(".said .sentence.passage").first.click()
    expect(page.locator(".passages > li:target")).to_contain_text(OLD)

    turn = page.url.split("/")[-1].split("#")[0]
    page.goto(f"{gateway.url}/console/corrections/new/{turn}")
    page.get_by_role("link", name="A fact is wrong").click()
    page.get_by_label("The page that says it wrong").select_option(piano)
    page.get_by_role("button", name="Take this page").click()
    text = page.get_by_label(f"What {piano} shall say")
    text.fill(text.input_value().replace(OLD, NEW))
    page.get_by_role("button", name="Show what changes").click()
    page.get_by_label("A right answer holds").fill(NEW)
    page.get_by_role("button", name="Propose").click()
    page.get_by_role("link", name="Review").click()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("Accepted.")).to_be_visible()
    ask_in_the_shop(browser, gateway, "What is the price of tuning a grand piano?", NEW)


def test_the_bench_tells_what_voice_and_knowledge_do(gateway: Running, page: Page) -> None:
    page.goto(f"{gateway.url}/console/bench?brand={BRAND}")
    page.get_by_label("Question", exact=True).fill("How long do I have to return an unopened item?")
    for name in ("Base model with the voice guide", "Adapter off", "Knowledge off"):
        page.get_by_role("checkbox", name=name).check()
    for box in page.get_by_role("checkbox", name="Version").all():
        box.check()
    page.get_by_label("Blind").check()
    page.get_by_role("button", name="Ask", exact=True).click()
    answers = page.locator(".answers article")
    expect(answers).to_have_count(4)
    expect(page.locator(".answers [aria-busy]")).to_have_count(0)
    ballot = page.get_by_role("region", name="Your vote")
    ballot.get_by_label("They are equal").check()
    ballot.get_by_role("button", name="Vote").click()
    # Blind, they stand in any order, and without its knowledge it is a version too.
    speaks = answers.filter(has_text="Version v", has_not_text="knowledge off")
    expect(speaks).to_have_count(1)
    expect(speaks).to_contain_text("30 days")
    expect(speaks.get_by_role("meter")).to_be_visible()
    without = answers.filter(has_text="knowledge off")
    expect(without).to_have_count(1)
    expect(without.locator(".sentence.passage")).to_have_count(0)


def test_a_training_shows_what_it_learns_from_and_its_command_before_it_starts(gateway: Running, page: Page) -> None:
    page.goto(f"{gateway.url}/console/training?brand={BRAND}")
    page.get_by_label("Also learn from accepted corrections").check()
    page.get_by_role("button", name="Look at the data").click()
    expect(page.locator("main")).to_contain_text(f"training.train --brand {BRAND}")
    expect(page.get_by_role("button", name="Start")).to_be_enabled()


def test_the_overview_counts_what_was_said(gateway: Running, page: Page) -> None:
    page.goto(f"{gateway.url}/console/overview?brand={BRAND}")
    expect(page.get_by_role("img").first).to_be_visible()
    expect(page.locator("main")).to_contain_text(re.compile(r"Conversations\s*[1-9]"))


@pytest.mark.slow
def test_a_training_that_is_stopped_goes_on_from_its_last_checkpoint(gateway: Running, page: Page) -> None:
    steps = 40
    changes = quote(f"sft.max_steps={steps}\nsft.checkpoint_every=10")
    page.goto(f"{gateway.url}/console/training/brands/{BRAND}/plan?recipe=tiny_test&changes={changes}")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile(rf"step (1[1-9]|[23]\d) of {steps}"))).to_be_visible(timeout=TRAINING_MS)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped", exact=True)).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("done", exact=True)).to_be_visible(timeout=TRAINING_MS)
    page.get_by_text("Numbers", exact=True).click()
    expect(page.get_by_role("row")).to_have_count(steps + 1)
    run = max((gateway.home / "runs").glob(f"{BRAND}-*/losses.jsonl"), key=lambda path: path.stat().st_mtime)
    rows = [one for line in run.read_text().splitlines() if "loss" in (one := json.loads(line))]
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    # Each process counts its own seconds: where they fall, the second one took over.
    again = [after["step"] for before, after in pairwise(rows) if after["seconds"] < before["seconds"]]
    assert len(again) == 1
    assert again[0] % 10 == 1
    assert again[0] > 10
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("deleted", exact=True)).to_be_visible()
