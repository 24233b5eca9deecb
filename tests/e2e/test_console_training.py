"""Train: start, watch the curve grow, reload, stop, go on, and see what came of it; the command is a stand-in.

The gateway and the job's process are real; in place of training stands a script that writes a loss every 0.1 s.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from service.console.person import Role
from service.trainings import planning
from tests.e2e.console import Console, console
from tests.e2e.pages import BROWSER, accessible, picture
from tests.unit.service.trainings.test_jobs import STAND_IN

pytestmark = BROWSER
BRAND = "velmora"
STEPS = 60


@pytest.fixture
def house(
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Console]:
    script, run = tmp_path / "stand_in.py", tmp_path / "home" / "runs" / f"{BRAND}-20261126-110000"
    script.write_text(STAND_IN)
    command = [sys.executable, str(script), str(run), str(STEPS), "0.1", ""]

    def train_command(*_: object, program: str = sys.executable, **__: object) -> list[str]:
        return command if program == sys.executable else ["python", "-m", "training.train", "--brand", BRAND]

    monkeypatch.setattr(planning, "train_command", train_command)
    with console(browser, tmp_path / "home", monkeypatch) as one:
        # A word to the tests alone, which no process of a deployment knows.
        one.gateway.trainings._environment.pop("BRANDVOICE_PICTURES", None)
        yield one


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_training_is_started_watched_stopped_and_gone_on_with(house: Console, scheme: str) -> None:
    page = house.person("Cleo", {BRAND: Role.ADMIN}, scheme=scheme)
    page.goto(f"{house.url}/console/training?brand={BRAND}")
    accessible(page, "list")
    picture(page, f"training-{scheme}-list")
    page.get_by_role("button", name="Look at the data").click()
    expect(page.get_by_text("python -m training.train")).to_be_visible()
    expect(page.get_by_text("The data doctor gives")).to_be_visible()
    accessible(page, "plan")
    picture(page, f"training-{scheme}-plan")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile(r"step \d+ of 60"))).to_be_visible()
    expect(page.locator("svg.chart")).to_be_visible()
    accessible(page, "running")
    picture(page, f"training-{scheme}-running")
    page.reload()
    expect(page.get_by_text("minutes left")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped", exact=True)).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    # The page notices the end by itself.
    expect(page.get_by_text("done", exact=True)).to_be_visible()
    page.get_by_text("Numbers", exact=True).click()
    expect(page.get_by_role("row")).to_have_count(STEPS + 1)
    accessible(page, "done")
    picture(page, f"training-{scheme}-done")


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_held_out_questions_are_written_and_taken_from_what_customers_asked(
    house: Console, size: str, scheme: str
) -> None:
    house.ask("Is there parking near the shop?", "We cannot say.")
    page = house.person("Cleo", {BRAND: Role.EDITOR}, size=size, scheme=scheme)
    page.goto(f"{house.url}/console/training?brand={BRAND}")
    page.get_by_role("link", name="Held-out questions").click()
    expect(page.get_by_role("heading", name=re.compile(r"^\d+; the gate wants 150"))).to_be_visible()
    accessible(page, "questions")
    picture(page, f"questions-{scheme}-{size}", whole=True)
    page.get_by_label("Questions, one a line").fill("do you open on sundays\nwhat does the box cost")
    page.get_by_label("Who has the answer").first.select_option("No page: the assistant shall say so")
    page.get_by_role("button", name="Hold them out").click()
    expect(page.get_by_text("Held out from now on: 2.")).to_be_visible()
    page.get_by_text("Hold it out Is there parking near the shop?").click()
    card = page.get_by_role("article", name="Is there parking near the shop?")
    card.get_by_label("Who has the answer").select_option("A person shall take over")
    card.get_by_role("button", name="Hold it out").click()
    expect(page.get_by_text("Held out from now on: 1.")).to_be_visible()
    expect(card).not_to_be_attached()
    page.get_by_text("All held-out questions").first.click()
    page.get_by_role("button", name="Take out do you open on sundays").click()
    expect(page.get_by_text("It is taken out.")).to_be_visible()
    page.get_by_text("All held-out questions").first.click()
    expect(page.get_by_role("row", name="Is there parking near the shop?")).to_contain_text("a person")
    expect(page.get_by_role("row", name="do you open on sundays")).not_to_be_attached()
