"""The widget over a bad line, on a gateway whose engine only plays one: a stop, coming back, and waiting in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.gateway_process import UNDER_TEST, gateway_process
from tests.e2e.pages import BROWSER, Pages, accepted, answered, ask, launcher

pytestmark = BROWSER


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The sample shop; the engine behind it writes twenty words a second."""
    words = (*UNDER_TEST, "--home", str(tmp_path), "--encoder", "hash", "--per-minute", "60")
    with gateway_process(tmp_path / "log", words, FAKE_PACE_MS="50", FAKE_TOKENS="40") as url:
        with Pages(browser, url) as pages:
            yield pages.shop("velmora")


def test_a_visitor_stops_comes_back_and_waits_in_order(page: Page) -> None:
    frames: list[dict[str, object]] = []
    page.on("websocket", lambda line: line.on("framereceived", lambda data: frames.append(json.loads(data))))
    launcher(page).click()

    ask(page, "How long do I have to return the first item?")
    stop = page.get_by_role("button", name="Stop", exact=True)
    expect(page.locator("brandvoice-chat .turns .message.bot")).to_contain_text("You can return")
    button = stop.element_handle()
    page.wait_for_timeout(300)  # some words more
    assert button is not None
    assert button.evaluate("button => button.isConnected"), "a slow press must find the button that it pressed"
    stop.click()
    expect(page.get_by_text("Stopped", exact=True)).to_be_visible()
    answered(page, 1)
    (stopped,) = [one for one in frames if one["type"] == "reply"]
    assert stopped["outcome"] == "stopped"

    ask(page, "How long do I have to return the second item?")
    answered(page, 2)
    page.evaluate("document.querySelector('brandvoice-chat').connection.socket.close()")
    expect(page.get_by_text("reconnecting")).to_be_visible()
    expect(page.get_by_text("reconnecting")).to_be_hidden()
    welcome = [one for one in frames if one["type"] == "welcome"][-1]
    assert (welcome["resumed"], welcome["turns"]) == (True, [])
    answered(page, 2)

    # More than anybody types: 30 may come at once, then one a second.
    page.evaluate("for (let n = 10; n < 45; n++) brandvoice('send', `line ${n}`)")
    expect(page.locator("brandvoice-chat .message.user").last).to_contain_text("line 44")
    accepted(page)
    assert "slow_down" in {one.get("code") for one in frames}
    said = "\n".join(page.locator("brandvoice-chat .message.user").all_inner_texts())
    places = [said.index(f"line {n}") for n in range(10, 45)]
    assert places == sorted(places)
