"""The pages: one script for the widget, nothing from other hosts."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from service.browser import File
from service.routes.pages import WEB, WIDGET_PARTS, _widget

MOST_KB = 25
"""Compressed size that a shop's page is asked to carry; what others ship is 110 kB and more."""


def test_every_file_of_the_widget_is_in_the_script() -> None:
    files = {path.name for path in (WEB / "widget").iterdir()}
    assert files == {f"{name}.js" for name in WIDGET_PARTS} | {"frame.js", "looks.css"}


def test_the_widget_stays_small() -> None:
    assert len(gzip.compress(_widget().encode())) < MOST_KB * 1024


def test_the_widget_is_a_script_that_a_browser_can_read(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here to read it with")
    script = tmp_path / "widget.js"
    script.write_text(_widget(), encoding="utf-8")
    done = subprocess.run([node, "--check", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip, br", True), ("br;q=1.0, gzip;q=0.8", True), ("*", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_a_page_goes_out_compressed_where_the_browser_takes_that(accepted: str, packed: bool) -> None:
    app = Starlette(routes=[Route("/", File.of(b"words " * 100, "text/plain").answer)])
    with TestClient(app) as client:
        answer = client.get("/", headers={"Accept-Encoding": accepted})
        assert answer.text == "words " * 100
        assert (answer.headers.get("content-encoding") == "gzip") == packed
        assert answer.headers["vary"] == "Accept-Encoding"
        again = client.get("/", headers={"Accept-Encoding": accepted, "If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
