"""The docs show every picture of the console, and no picture lies there that nothing takes any more."""

from __future__ import annotations

from benchmarks.pictures import gallery
from benchmarks.pictures.shots import SHOTS


def test_every_picture_is_there_and_is_taken() -> None:
    taken = {name for shot in SHOTS for name in gallery.files(shot)}
    assert {path.name for path in gallery.PICTURES.iterdir()} == taken


def test_the_gallery_shows_them_all() -> None:
    page = gallery.PAGE.read_text("utf-8")
    assert page == gallery.page(), "run `make pictures`"
    assert all(f"images/console/{name}" in page for shot in SHOTS for name in gallery.files(shot))
