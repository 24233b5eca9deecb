"""The page of the docs that shows every picture: `docs/pictures.md`."""

from __future__ import annotations

from benchmarks.pictures.shots import SHOTS, SIZES, THEMES, Shot
from benchmarks.pictures.stage import ROOT

PAGE = ROOT / "docs" / "pictures.md"
PICTURES = PAGE.parent / "images" / "console"
HEAD = """# The console in pictures

<!-- Made by `make pictures`; change the code, not this page. -->

Every page on a desk and on a phone, light and dark, with two months of made-up conversations of the sample brands. A
click shows a picture in its full size.
"""


def page() -> str:
    """The page's text."""
    return "\n".join([HEAD, *map(_shown, SHOTS)])


def files(shot: Shot) -> tuple[str, ...]:
    """Names of a page's pictures, below `docs/images/console`."""
    return tuple(shot.file(size, theme) for size in SIZES for theme in THEMES)


def _shown(shot: Shot) -> str:
    light, dark, phone, phone_dark = (f"images/console/{name}" for name in files(shot))
    wide = f'<a href="{light}"><img src="{light}" alt="{shot.title}" width="560"></a>'
    narrow = f'<a href="{phone_dark}"><img src="{phone_dark}" alt="The same on a phone, dark" width="170"></a>'
    others = f"[dark]({dark}) · [on a phone, light]({phone})"
    return f"## {shot.title}\n\n{wide}\n{narrow}\n\n{others}\n"
