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
    expect(page.get_by_text("The data doctor gives")).to_be_visible(timeout=120_000)
    accessible(page, "plan")
    picture(page, f"training-{scheme}-plan")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile(r"step \d+ of 60"))).to_be_visible(timeout=20_000)
    expect(page.locator("svg.chart")).to_be_visible()
    accessible(page, "running")
    picture(page, f"training-{scheme}-running")
    page.reload()
    expect(page.get_by_text("minutes left")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped", exact=True)).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    # The page notices the end by itself.
    expect(page.get_by_text("done", exact=True)).to_be_visible(timeout=30_000)
    page.get_by_text("Numbers", exact=True).click()
    expect(page.get_by_role("row")).to_have_count(STEPS + 1)
    accessible(page, "done")
    picture(page, f"training-{scheme}-done")
