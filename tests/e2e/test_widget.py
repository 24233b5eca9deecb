"""The page as visitors have it: both brands, phone and desktop, both themes, by mouse, keyboard and screen reader."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import BRANDS, Running
from tests.e2e.pages import (
    BROWSER,
    QUESTION,
    SIZES,
    Pages,
    accessible,
    answered,
    ask,
    bot,
    field,
    launcher,
    panel,
    picture,
)

pytestmark = BROWSER


@pytest.fixture
def pages(browser: Browser, gateway: Running) -> Iterator[Pages]:
    with Pages(browser, gateway.url) as opened:
        yield opened


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("brand", BRANDS)
def test_a_visitor_asks_opens_the_source_votes_and_finds_it_all_again(pages: Pages, brand: str, size: str) -> None:
    page = pages.shop(brand, size=size)
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


def test_a_vote_cast_on_a_dying_line_arrives_with_the_next_page(pages: Pages) -> None:
    page = pages.shop("velmora")
    launcher(page).click()
    ask(page)
    answered(page)
    context = pages.contexts[-1]
    context.set_offline(True)
    helpful = page.get_by_role("button", name="Helpful", exact=True)
    helpful.click()
    expect(helpful).to_have_attribute("aria-pressed", "true")
    context.set_offline(False)
    for _ in range(2):  # the first page brings the vote; the second one has it from the server alone
        page.reload()
        answered(page)
        expect(helpful).to_have_attribute("aria-pressed", "true")
        # A function: an expression would be evaluated at each look, which the page's policy forbids.
        page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.includes(':vote:'))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("brand", BRANDS)
def test_axe_finds_nothing_in_shop_chat_and_source(pages: Pages, brand: str, scheme: str) -> None:
    page = pages.shop(brand, scheme=scheme)
    launcher(page).click()
    ask(page)
    answered(page)
    accessible(page)
    bot(page).get_by_role("button", name=re.compile("^Source 1")).first.click()
    accessible(page)
    picture(page, f"widget-{brand}-{scheme}-source")


def test_the_keyboard_alone_is_enough(pages: Pages) -> None:
    page = pages.shop("dicehollow")
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


def test_a_screen_reader_hears_each_sentence_once_and_no_marks(pages: Pages) -> None:
    page = pages.shop("velmora")
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


def test_what_is_written_without_a_connection_goes_out_once_when_it_is_back(pages: Pages) -> None:
    page = pages.shop("dicehollow")
    launcher(page).click()
    ask(page)
    answered(page)
    pages.contexts[-1].set_offline(True)
    expect(page.get_by_text("Connection lost")).to_be_visible()
    picture(page, "widget-dicehollow-lost")
    ask(page, "Which payment methods do you take?")
    expect(page.get_by_text("Not sent yet")).to_be_visible()
    pages.contexts[-1].set_offline(False)
    answered(page, 2)
    expect(page.get_by_text("Connection lost")).to_be_hidden()
    expect(page.locator("brandvoice-chat .turns .message.user")).to_have_count(2)
    page.reload()
    answered(page, 2)
    expect(page.locator("brandvoice-chat .turns .message.user")).to_have_count(2)


def test_a_redraw_between_press_and_release_does_not_swallow_the_click(pages: Pages) -> None:
    # The pointer over the launcher opens the connection, and the greeting that follows redraws what is pressed.
    page = pages.shop("dicehollow")
    launcher(page).hover()
    page.mouse.down()
    page.evaluate("document.querySelector('brandvoice-chat').render()")
    page.mouse.up()
    expect(field(page)).to_be_focused()


def test_a_question_that_no_page_answers_is_refused_without_a_source(pages: Pages) -> None:
    page = pages.shop("velmora")
    launcher(page).click()
    ask(page, "How do I bake sourdough bread?")
    answered(page)
    expect(page.locator("brandvoice-chat .chip")).to_have_count(0)
    expect(page.locator("brandvoice-chat .sources")).to_have_count(0)


def test_what_a_visitor_writes_is_shown_as_text_and_never_runs(pages: Pages) -> None:
    page = pages.shop("velmora")
    launcher(page).click()
    ask(page, "<img src=x onerror=\"document.title='owned'\"> hello [1](javascript:alert(1))")
    answered(page)
    assert page.title() != "owned"
    expect(page.locator("brandvoice-chat .turns img, brandvoice-chat .turns a")).to_have_count(0)
