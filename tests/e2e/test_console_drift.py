"""A voice that drifts, as the people of the brand see it: the alarm, its plot, quiet, and a training at a button.

The gateway, the voice and its scores are real; the answers are the sample brand's own, then somebody else's, and in
place of training stands a command that does nothing for a while.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import Connection

from service.console.person import Role
from service.retraining import state
from service.storage.database import now
from service.trainings import planning
from tests.e2e.console import Console, console
from tests.e2e.pages import BROWSER, accessible, picture
from tests.unit.service.console.test_overview import conversation, turn

pytestmark = BROWSER
BRAND = "velmora"
ROOT = Path(__file__).resolve().parents[2]
STRANGE = "lol yeah no worries dude!!! just chuck it in the post, we'll totally sort it :D"


@pytest.fixture
def house(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(planning, "train_command", lambda *_, **__: command)
    with console(browser, tmp_path / "home", monkeypatch) as one:
        yield one


def own_words() -> list[str]:
    """Replies of the brand."""
    lines = (ROOT / "samples/velmora/conversations.jsonl").read_text("utf-8").splitlines()
    return [one["content"] for line in lines for one in json.loads(line)["messages"] if one["role"] == "assistant"]


def drifted(house: Console) -> None:
    """Five weeks of answers, of which half of the last one are in another voice; and a look at them."""
    words, noon = own_words(), now().replace(hour=0, minute=5)

    def work(connection: Connection) -> None:
        for day in range(35):
            for number in range(5):
                text = STRANGE if day >= 28 and number % 2 else words[(day * 5 + number) % len(words)]
                turn(connection, conversation(connection), 1, noon - timedelta(days=34 - day), text=text)
        state.change(connection, BRAND, lambda one: one.with_(looked_at=None))

    house.run(house.gateway.db.write(work))
    house.run(house.gateway.keeper.look(BRAND))


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_an_alarm_is_seen_kept_quiet_and_answered_with_a_training(house: Console, size: str, scheme: str) -> None:
    page = house.person("Cleo", {BRAND: Role.EDITOR}, size=size, scheme=scheme)
    page.goto(f"{house.url}/console/overview")
    expect(page.get_by_text("this version has answered nothing yet")).to_be_visible()
    drifted(house)
    page.reload()
    banner = page.get_by_role("region", name="velmora sounds less like itself")
    expect(banner).to_contain_text("The voice score of the last 7 days is")
    drawn = page.get_by_role("img", name="Voice score, 0 to 1")
    expect(drawn.locator(".band")).to_have_count(1)
    expect(drawn.locator(".limit")).to_have_count(1)
    accessible(page, "alarm")
    picture(page, f"drift-{size}-{scheme}-alarm")
    page.get_by_role("heading", name="Retraining by itself").scroll_into_view_if_needed()
    picture(page, f"drift-{size}-{scheme}-plan")

    banner.get_by_role("button", name="Quiet for a week").click()
    expect(page.get_by_role("status")).to_contain_text("No alarm on drift for a week.")
    expect(banner).to_have_count(0)
    expect(page.get_by_text("quiet, asked for by Cleo")).to_be_visible()
    accessible(page, "quiet")
    page.get_by_role("button", name="Show alarms again").click()

    banner.get_by_role("button", name="Train now").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    house.run(house.gateway.keeper.look(BRAND))
    page.goto(f"{house.url}/console/overview")
    expect(banner).to_contain_text("A training is under way.")
    expect(banner.get_by_role("button", name="Train now")).to_have_count(0)
    banner.get_by_role("link", name="See the training").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped", exact=True)).to_be_visible()
    house.run(house.gateway.keeper.look(BRAND))
    page.goto(f"{house.url}/console/overview")
    expect(banner).to_contain_text("Somebody has stopped it.")
    expect(banner).to_contain_text("Nothing starts by itself before")
    accessible(page, "stopped")
    picture(page, f"drift-{size}-{scheme}-stopped")
