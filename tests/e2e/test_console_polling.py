"""What a page asks by itself says so, what a person does not: the first does not keep a session alive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from service.console.access import BY_ITSELF
from service.console.person import Role
from tests.e2e.console import Console, console
from tests.e2e.pages import BROWSER

pytestmark = BROWSER


@pytest.fixture
def house(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    with console(browser, tmp_path / "home", monkeypatch) as one:
        yield one


def test_the_inbox_asks_by_itself_and_a_click_is_a_persons(house: Console) -> None:
    house.ask("How long may I return it?", "An unopened item can be returned within 30 days of delivery.")
    page = house.person("Budi", {"velmora": Role.AGENT})
    page.goto(f"{house.url}/console/inbox?show=all")
    with page.expect_request(lambda one: "/inbox/rows" in one.url) as polled:
        pass
    assert polled.value.headers.get(BY_ITSELF) == "yes"
    page.locator("[id^=c-] a").first.click()
    with page.expect_request(lambda one: one.url.endswith("/take")) as taken:
        page.get_by_role("button", name="Take over").click()
    assert BY_ITSELF not in taken.value.headers
    with page.expect_request(lambda one: one.url.endswith("/thread")) as polled:
        pass
    assert polled.value.headers.get(BY_ITSELF) == "yes"
