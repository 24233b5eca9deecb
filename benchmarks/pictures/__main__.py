"""Take the pictures: `make pictures`, or `python -m benchmarks.pictures [page ...]`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from benchmarks.pictures import acts, data, gallery, trainings
from benchmarks.pictures.shots import SHOTS, SIZES, THEMES, Shot
from benchmarks.pictures.stage import ROOT, Stage, staged
from service.console.people.sessions import COOKIE

LONGEST = 2200
"""Pixels of a picture's height."""
# Without these a browser without a network looks up its maker's hosts at every start.
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking")


def main() -> None:
    """Start a gateway, fill it, and go through the pages."""
    parser = argparse.ArgumentParser(description="Pictures of the console's pages, both themes, desktop and phone.")
    known = ", ".join(shot.name for shot in SHOTS)
    parser.add_argument("names", nargs="*", help=f"only these, and what begins so: {known}")
    parser.add_argument("--out", type=Path, default=gallery.PICTURES)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "models").symlink_to((ROOT / "var" / "models").resolve())
        with staged(home, knowledge=True) as stage, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(QUIET))
            token, trained = "", False
            # The first ones before anybody is there: they show the set-up link.
            for shot in sorted(SHOTS, key=lambda one: (one.signed_in, one.trained)):
                if shot.signed_in and not token:
                    token = stage.write(data.fill)
                    acts.play(browser, stage, token)
                if shot.trained and not trained:
                    stage.write(lambda connection: trainings.plant(connection, home))
                    trained = True
                if not given.names or any(f"{shot.name}-".startswith(f"{name}-") for name in given.names):
                    take(browser, stage, shot, token, given.out)
            browser.close()
    gallery.PAGE.write_text(gallery.page(), "utf-8")


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
            target = out / shot.file(size, theme)
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
