"""The console as its people have it, in a real browser: from the first link to a role that is refused, both themes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from benchmarks.pictures import data
from benchmarks.pictures.stage import Stage, staged
from tests.e2e.conftest import with_models
from tests.e2e.pages import BROWSER, PASSWORD, SIZES, Pages, accessible

pytestmark = BROWSER
PAGES = (
    "/console/sign-in", "/console/overview", "/console/people", "/console/changes", "/console/account",
    "/console/nowhere-at-all",
)  # fmt: skip
SMALL = """() => [...document.querySelectorAll("a:not(.skip), button, input:not([type=hidden]), select, summary")]
  .map((one) => [one, one.getBoundingClientRect(), getComputedStyle(one).display])
  .filter(([, box, shown]) => box.width && shown !== "inline" && (box.width < 24 || box.height < 24))
  .map(([one]) => one.outerHTML)"""
"""Targets below 24 pixels; links in a line of text may be as high as the line (WCAG 2.2, 2.5.8)."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(with_models(tmp_path_factory.mktemp("console"))) as one:
        yield one


@pytest.fixture
def desk(browser: Browser, stage: Stage) -> Iterator[Pages]:
    with Pages(browser, stage.url) as opened:
        yield opened


def test_from_the_first_link_to_a_role_that_is_refused(desk: Pages, stage: Stage) -> None:
    assert stage.set_up
    boss = desk.open(stage.set_up)
    expect(boss.get_by_role("heading", level=1)).to_have_text("Set the console up")
    boss.get_by_label("Your name").fill("Anna")
    boss.get_by_label("E-mail address").fill("anna@example.com")
    boss.get_by_label("Password", exact=True).fill(PASSWORD)
    boss.get_by_label("Password again").fill("something else altogether")
    boss.get_by_role("button", name="Save and sign in").click()
    expect(boss.get_by_role("alert").filter(has_text="differ")).to_be_visible()
    expect(boss.get_by_label("Your name")).to_have_value("Anna")
    boss.get_by_label("Password", exact=True).fill(PASSWORD)
    boss.get_by_label("Password again").fill(PASSWORD)
    boss.keyboard.press("Enter")
    expect(boss.get_by_role("navigation", name="Pages").get_by_role("link", name="People")).to_be_visible()

    boss.get_by_role("link", name="People").click()
    boss.get_by_label("Name").fill("Budi")
    boss.get_by_label("E-mail address").fill("budi@example.com")
    boss.get_by_label("Brand").select_option("velmora")
    boss.get_by_role("button", name="Invite", exact=True).click()
    link = boss.get_by_label("Link").input_value()
    assert link.startswith(f"{stage.url}/console/set-up?link=")

    # The first link, used once, is over.
    expect(desk.open(stage.set_up).get_by_role("heading", level=1)).to_have_text("Not found")
    agent = desk.open(link)
    agent.get_by_label("Password", exact=True).fill(PASSWORD)
    agent.get_by_label("Password again").fill(PASSWORD)
    agent.get_by_role("button", name="Save and sign in").click()
    expect(agent.get_by_role("link", name="Budi")).to_be_visible()
    expect(agent.get_by_role("link", name="People")).to_have_count(0)
    agent.goto(f"{stage.url}/console/people")
    expect(agent.get_by_role("heading", level=1)).to_have_text("You may not do this")

    # In Indonesian, by keyboard alone.
    agent.goto(f"{stage.url}/console/account")
    agent.get_by_label("Language").focus()
    agent.keyboard.type("Indonesia")
    agent.keyboard.press("Tab")
    agent.keyboard.press("Enter")
    expect(agent.get_by_role("status")).to_contain_text("Akun Anda sudah diubah")

    # Whoever is kept out is out at once, also in a page that is open.
    boss.get_by_role("link", name="Budi").click()
    boss.get_by_role("button", name="Keep out").click()
    expect(boss.get_by_role("status")).to_contain_text("Budi cannot sign in any more")
    agent.reload()
    expect(agent).to_have_url(re.compile(r"/console/sign-in\?next=/console/account$"))
    boss.get_by_role("link", name="Changes").click()
    expect(boss.get_by_role("cell", name="kept somebody out")).to_be_visible()
    boss.get_by_role("button", name="Sign out").click()
    expect(boss).to_have_url(f"{stage.url}/console/sign-in")
    boss.go_back()
    expect(boss.get_by_role("heading", level=1)).to_have_text("Sign in")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, str]]:
    with staged(with_models(tmp_path_factory.mktemp("filled"))) as one:
        yield one, one.write(data.fill)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_nothing_stands_in_the_way_of_anybody(
    browser: Browser, filled: tuple[Stage, str], scheme: str, size: str
) -> None:
    stage, token = filled
    with Pages(browser, stage.url) as pages:
        # At the door nobody is signed in.
        for path, seated in [(path, "" if path == "/console/sign-in" else token) for path in PAGES]:
            page = pages.open(path, size=size, scheme=scheme, token=seated)
            if path == "/console/people":
                page.goto(page.get_by_role("link", name="Budi").evaluate("link => link.href"))
            for details in page.locator("main details").all():
                details.locator("summary").click()
            accessible(page, path)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is too wide"
            small = page.evaluate(SMALL)
            assert small == [], path


def test_the_menu_of_a_phone_opens_by_keyboard(browser: Browser, filled: tuple[Stage, str]) -> None:
    stage, token = filled
    with Pages(browser, stage.url) as pages:
        page = pages.open("/console/overview", size="phone", token=token)
        people = page.get_by_role("link", name="People")
        expect(people).to_be_hidden()
        page.locator(".menu summary").focus()
        page.keyboard.press("Enter")
        expect(people).to_be_visible()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('nav') !== null")
