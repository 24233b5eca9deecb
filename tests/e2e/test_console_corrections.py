"""Correct: an answer is corrected, reviewed by keys alone, and becomes a training row; a fact, new words of its page.

The gateway is real, knowledge and search too; in place of vLLM stands an engine that says what the test tells it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from service.console.person import Role
from tests.e2e.console import Console, console
from tests.e2e.pages import BROWSER, accessible, picture, press
from tests.patience import until
from training.conversations import read_conversations, read_questions

pytestmark = BROWSER
BRAND = "velmora"
QUESTION = "How long may I keep an unopened bag before I return it?"
SAID = "You have 30 days."
BETTER = "An unopened item can be returned within 30 days of delivery. It is our pleasure."


@pytest.fixture
def house(
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Console]:
    with console(browser, tmp_path_factory.mktemp("home"), monkeypatch) as one:
        yield one


def propose(house: Console, page: Page, turn: str, better: str = BETTER) -> None:
    """Correct the voice of an answer."""
    page.goto(f"{house.url}/console/corrections/new/{turn}?kind=voice")
    page.get_by_label("The reply as it should have been").fill(better)
    page.get_by_label("returns.md").check()
    page.get_by_role("button", name="Propose").click()
    expect(page.get_by_text("Thank you. It is kept")).to_be_visible()


def test_an_answer_is_corrected_reviewed_by_keys_and_becomes_a_training_row(house: Console) -> None:
    turns = [house.ask(f"{QUESTION} ({number})", SAID) for number in (1, 2, 3)]
    agent = house.person("Ben", {BRAND: Role.AGENT})
    agent.goto(f"{house.url}/console/corrections")
    expect(agent.get_by_role("row").filter(has_text=QUESTION)).to_have_count(3)
    picture(agent, "corrections-list")
    for turn in turns:
        propose(house, agent, turn)
    editor = house.person("Cleo", {BRAND: Role.EDITOR})
    editor.goto(f"{house.url}/console/corrections")
    editor.get_by_role("link", name="Review (3 wait)").focus()
    editor.keyboard.press("Enter")
    expect(editor.get_by_text("1 of 3")).to_be_visible()
    picture(editor, "corrections-review")
    # From here on by keys alone: next, accept, edit and accept, reject.
    press(editor, "?")
    expect(editor.get_by_text("go to the next one")).to_be_visible()
    press(editor, "?")
    press(editor, "n")
    expect(editor.get_by_text("2 of 3")).to_be_visible()
    press(editor, "a")
    expect(editor.get_by_text("Accepted.")).to_be_visible()
    expect(editor.get_by_text("of 2")).to_be_visible()
    press(editor, "e")
    words = editor.get_by_label("The reply as it should have been")
    expect(words).to_be_focused()
    # Letters are letters here.
    press(editor, "End")
    press(editor, "Control+End")
    editor.keyboard.type(" And a rare ear.")
    press(editor, "Control+Enter")
    expect(editor.get_by_text("The words are changed.")).to_be_visible()
    press(editor, "a")
    expect(editor.get_by_text("1 of 1")).to_be_visible()
    press(editor, "r")
    expect(editor.get_by_text("Nothing waits for you")).to_be_visible()
    said = editor.request.get(f"{house.url}/v1/corrections/brands/{BRAND}/export").text()
    kept = sorted(json.loads(line)["messages"][-1]["content"] for line in said.splitlines())
    assert kept == [BETTER, f"{BETTER} And a rare ear."]
    files = house.gateway.home.corrections(BRAND)
    assert len(read_conversations(files.conversations)) == 2
    counts = editor.request.get(f"{house.url}/v1/corrections/brands/{BRAND}/agreement").json()["counts"]
    assert counts == {"accepted": {"voice": 2}, "rejected": {"voice": 1}}


def test_single_keys_can_be_switched_off(house: Console) -> None:
    propose(house, house.person("Ben", {BRAND: Role.AGENT}), house.ask(QUESTION, SAID))
    editor = house.person("Cleo", {BRAND: Role.EDITOR})
    editor.goto(f"{house.url}/console/corrections/review/{BRAND}")
    press(editor, "?")
    editor.get_by_label("Single keys work on this page").uncheck()
    editor.reload()
    press(editor, "a")
    editor.wait_for_timeout(500)
    expect(editor.get_by_role("button", name="Accept")).to_be_visible()
    # The button itself still works by keys.
    editor.get_by_role("button", name="Accept").focus()
    editor.keyboard.press("Enter")
    expect(editor.get_by_text("Nothing waits for you")).to_be_visible()


def test_a_wrong_fact_becomes_new_words_of_its_page_that_search_finds(house: Console) -> None:
    turn = house.ask(QUESTION, SAID)
    editor = house.person("Cleo", {BRAND: Role.EDITOR})
    editor.goto(f"{house.url}/console/corrections/new/{turn}")
    editor.get_by_role("link", name="A fact is wrong").click()
    editor.get_by_label("The page that says it wrong").select_option("returns.md")
    editor.get_by_role("button", name="Take this page").click()
    text = editor.get_by_label("What returns.md shall say")
    text.fill(text.input_value().replace("within 30 days", "within fortyfive days"))
    editor.get_by_role("button", name="Show what changes").click()
    expect(editor.locator("ins")).to_contain_text("fortyfive")
    expect(editor.locator("del")).to_contain_text("30 days")
    picture(editor, "corrections-fact")
    editor.get_by_label("A right answer holds").fill("fortyfive days")
    editor.get_by_role("button", name="Propose").click()
    knowledge = house.gateway.knowledge[BRAND]
    before = knowledge.version
    editor.get_by_role("link", name="Review").click()
    expect(editor.locator("ins")).to_contain_text("fortyfive")
    press(editor, "a")
    expect(editor.get_by_text("Accepted.")).to_be_visible()
    until(lambda: knowledge.version != before)
    found = knowledge.search("unopened item returned fortyfive days", top_k=1).passages[0]
    assert "within fortyfive days" in found.text
    (question,) = read_questions(house.gateway.home.corrections(BRAND).questions)
    assert (question.document, question.answer_contains) == ("returns.md", ("fortyfive days",))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page_of_corrections(house: Console, scheme: str) -> None:
    first, second = house.ask(QUESTION, SAID), house.ask("Do you deliver to Canada?", SAID)
    editor = house.person("Cleo", {BRAND: Role.EDITOR}, scheme=scheme)
    propose(house, editor, first)
    accessible(editor, "one")
    for path in (
        "corrections",
        f"corrections/new/{second}?kind=voice",
        f"corrections/new/{second}?kind=fact",
        f"corrections/new/{second}?kind=handover",
        f"corrections/review/{BRAND}",
        f"corrections/review/{BRAND}?edit=1",
    ):
        editor.goto(f"{house.url}/console/{path}")
        accessible(editor, path)
        picture(editor, f"corrections-{scheme}-{path.partition('/')[2][:3]}-{path[-6:]}")
    editor.goto(f"{house.url}/console/corrections/new/{second}?kind=fact")
    editor.get_by_label("shall say").fill("# Contact\n\nWrite to us.")
    editor.get_by_role("button", name="Show what changes").click()
    expect(editor.locator("ins, del").first).to_be_visible()
    accessible(editor, "difference")
