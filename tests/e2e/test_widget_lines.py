"""The widget over a bad line, on a gateway whose engine only plays one: a stop, coming back, and waiting in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from service.engines.process import free_port
from tests.e2e.conftest import CHROMIUM, QUIET
from tests.e2e.test_widget import ask, launcher

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; try: apt-get install chromium"),
]

SERVE = """
import sys
from pathlib import Path
import pytest
from tests.unit.service import standing
from configs.home import Home
from configs.service import Limits
from service.starting.serve import run, serve
standing.furnish(pytest.MonkeyPatch())
folder, engine, port = sys.argv[1:]
limits = Limits(visitor_per_minute=60)
run(serve(standing.configured(engine, int(port), service={"limits": limits}), Home(Path(folder))))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[str]:
    """The address of the sample shop; the engine behind it writes ten words a second."""
    engine, port = free_port(), free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FAKE_PACE_MS": "50", "FAKE_TOKENS": "40"}
    uvicorn = [sys.executable, "-m", "uvicorn", "benchmarks.fake_engine:app", "--log-level", "error"]
    gateway = [sys.executable, "-c", SERVE, str(tmp_path), f"http://127.0.0.1:{engine}", str(port)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment)
        for command in ([*uvicorn, "--no-access-log", "--port", str(engine)], gateway)
    ]
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/shop/velmora"
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)


@pytest.fixture
def page(shop: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(shop)
        yield page
        browser.close()


def ended(page: Page, count: int) -> None:
    expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_count(count, timeout=60_000)


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
    ended(page, 1)
    (stopped,) = [one for one in frames if one["type"] == "reply"]
    assert stopped["outcome"] == "stopped"

    ask(page, "How long do I have to return the second item?")
    ended(page, 2)
    page.evaluate("document.querySelector('brandvoice-chat').connection.socket.close()")
    expect(page.get_by_text("reconnecting")).to_be_visible()
    expect(page.get_by_text("reconnecting")).to_be_hidden(timeout=10_000)
    welcome = [one for one in frames if one["type"] == "welcome"][-1]
    assert (welcome["resumed"], welcome["turns"]) == (True, [])
    ended(page, 2)

    # More than anybody types: 30 may come at once, then one a second.
    page.evaluate("for (let n = 10; n < 45; n++) brandvoice('send', `line ${n}`)")
    expect(page.locator("brandvoice-chat .message.user").last).to_contain_text("line 44")
    expect(page.locator("brandvoice-chat .message.user.waiting")).to_have_count(0, timeout=60_000)
    assert "slow_down" in {one.get("code") for one in frames}
    said = "\n".join(page.locator("brandvoice-chat .message.user").all_inner_texts())
    places = [said.index(f"line {n}") for n in range(10, 45)]
    assert places == sorted(places)
