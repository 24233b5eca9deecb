"""Take the pictures: `make pictures`, or `python -m benchmarks.pictures [page ...]`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.pictures import acts, data
from benchmarks.pictures.stage import ROOT, Stage, staged
from service.console.people.sessions import COOKIE

FOLDER = ROOT / "docs" / "images" / "console"
ASKED = "How+long+may+I+keep+an+unopened+bag%3F"
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}
LONGEST = 2200
"""Pixels of a picture's height."""
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Without these a browser without a network looks up its maker's hosts at every start.
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking")
Step = Callable[[Page], None]


@dataclass(frozen=True, slots=True)
class Shot:
    """One page."""

    name: str
    path: str
    then: Step | None = None
    """What is done before the picture is taken."""
    signed_in: bool = True


def ask_the_bench(page: Page) -> None:
    """Two voices on one question."""
    page.get_by_label("Question", exact=True).fill(acts.QUESTION)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".answers article")).to_have_count(2)
    expect(page.locator(".answers [aria-busy]")).to_have_count(0)


def wrong_fact(page: Page) -> None:
    """The page of an answer's correction, with what changes."""
    follow('main a[href*="/corrections/new/"]')(page)
    page.get_by_role("link", name="A fact is wrong").click()
    page.get_by_label("The page that says it wrong").select_option("returns.md")
    page.get_by_role("button", name="Take this page").click()
    text = page.get_by_label("What returns.md shall say")
    text.fill(text.input_value().replace("30 days", "45 days"))
    page.get_by_role("button", name="Show what changes").click()
    expect(page.locator("ins").first).to_be_visible()


def follow(selector: str) -> Step:
    """Open what the first such link leads to."""

    def step(page: Page) -> None:
        page.goto(str(page.locator(selector).first.evaluate("link => link.href")))

    return step


def made_brand(page: Page) -> None:
    """A brand made of a template, by the first who comes."""
    list_ = page.url
    there = page.goto(f"{list_}/fernhill")
    if there is not None and there.status == 404:
        page.goto(f"{list_}/new?kind=shop")
        page.get_by_label("Company", exact=True).fill("Fernhill")
        page.get_by_label("What you sell").fill("garden tools and seeds")
        page.get_by_role("button", name="Make the brand").click()
    page.get_by_text("It answers from").wait_for()
    page.locator("#stage .message.bot").first.wait_for()


SHOTS = (
    Shot("set-up", "/console/set-up", signed_in=False),
    Shot("sign-in", "/console/sign-in", signed_in=False),
    Shot("inbox", "/console/inbox?brand=velmora"),
    Shot("unanswered", "/console/inbox/unanswered?brand=velmora"),
    Shot("conversation", f"/console/inbox?brand={acts.BRAND}&show=all", follow("#rows a.conversation")),
    Shot("bench", f"/console/bench?brand={acts.BRAND}", ask_the_bench),
    Shot("inspector", f"/console/inspector?brand={acts.BRAND}", follow('main a[href^="/console/turns/"]')),
    Shot("corrections", f"/console/corrections?brand={acts.BRAND}"),
    Shot("correct", f"/console/corrections?brand={acts.BRAND}", wrong_fact),
    Shot("review", f"/console/corrections/review/{acts.BRAND}"),
    Shot("training", f"/console/training?brand={acts.BRAND}"),
    Shot("plan", f"/console/training/brands/{acts.BRAND}/plan?recipe=quick_cpu&corrections=true&gate=true"),
    Shot("questions", f"/console/training/brands/{acts.BRAND}/questions"),
    Shot("knowledge", "/console/knowledge?brand=velmora"),
    Shot("knowledge-document", "/console/knowledge/velmora/document?document=returns.md"),
    Shot("knowledge-search", f"/console/knowledge/velmora/search?question={ASKED}"),
    Shot("knowledge-versions", "/console/knowledge/velmora/versions"),
    Shot("overview", "/console/overview"),
    Shot("brands", "/console/brands"),
    Shot("new-brand", "/console/brands/new?kind=bank"),
    Shot("brand", "/console/brands", made_brand),
    Shot("people", "/console/people"),
    Shot("person", "/console/people", follow("tbody th a")),
    Shot("changes", "/console/changes"),
    Shot("account", "/console/account"),
)


def main() -> None:
    """Start a gateway, fill it, and go through the pages."""
    parser = argparse.ArgumentParser(description="Pictures of the console's pages, both themes, desktop and phone.")
    known = ", ".join(shot.name for shot in SHOTS)
    parser.add_argument("names", nargs="*", help=f"only these, and what begins so: {known}")
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "models").symlink_to((ROOT / "var" / "models").resolve())
        with staged(home, knowledge=True) as stage, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(QUIET))
            token = ""
            # The first ones before anybody is there: they show the set-up link.
            for shot in sorted(SHOTS, key=lambda one: one.signed_in):
                if shot.signed_in and not token:
                    token = stage.write(data.fill)
                    acts.play(browser, stage, token)
                if not given.names or any(f"{shot.name}-".startswith(f"{name}-") for name in given.names):
                    take(browser, stage, shot, token, given.out)
            browser.close()


def take(browser: Browser, stage: Stage, shot: Shot, token: str, out: Path) -> None:
    """A page in each size and theme."""
    for size, (width, height) in SIZES.items():
        for theme in THEMES:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce",
                locale="en-GB", timezone_id="UTC",
            )  # fmt: skip
            if shot.signed_in:
                context.add_cookies([{"name": COOKIE, "value": token, "url": stage.url}])
            page = context.new_page()
            path = shot.path
            if shot.name == "set-up":
                path = (stage.set_up or "").removeprefix(stage.url)
            page.goto(stage.url + path)
            if shot.then is not None:
                shot.then(page)
            page.wait_for_load_state("networkidle")
            # The bar at the top stays where one scrolled to.
            page.evaluate("scrollTo(0, 0)")
            target = out / f"{shot.name}-{size}-{theme}.png"
            page.screenshot(path=target, full_page=True)
            _lighten(target)
            print(target.relative_to(out), f"{target.stat().st_size / 1024:.0f} kB")
            context.close()


def _lighten(path: Path) -> None:
    """Cut what is too long, and keep as many colours as a page has: a third of the size."""
    with Image.open(path) as picture:
        wide, high = picture.size
        picture.crop((0, 0, wide, min(high, LONGEST))).convert("RGB").quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    main()
