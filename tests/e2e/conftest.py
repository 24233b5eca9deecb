"""One gateway on real parts for all stories: vLLM on the CPU, the real small model, a freshly trained tiny adapter."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from service.engines.process import free_port
from tests.e2e.pages import CHROMIUM
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
BRANDS = ("velmora", "dicehollow")
SHIPPED = json.loads((ROOT / "samples/velmora/adapter/manifest.json").read_text())["version"]
"""The version of both brands that ships and speaks when nothing was promoted."""
START_S = 300
# Without these a browser without a network looks up its maker's hosts at every start.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)


@dataclass(frozen=True)
class Running:
    """A running gateway."""

    url: str
    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> Any:
        """GET JSON; an error status is fine where it carries JSON."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def post(self, path: str, body: object) -> Any:
        """POST JSON; as `get`."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def processes(self) -> list[int]:
        """The gateway and everything that it started, by process id."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if fields[0] != "Z":
                    children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def engine(self) -> int:
        """The process id of vLLM."""
        return next(pid for pid in self.processes() if b"vllm.entrypoints" in Path(f"/proc/{pid}/cmdline").read_bytes())

    def set_up_link(self) -> str:
        """The address that makes whoever opens it the first admin; `brandvoice demo` prints it once all is ready."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            found = re.search(r"http://\S+/console/set-up\S+", (self.home / "gateway.log").read_text("utf-8"))
            if found:
                return found[0]
            time.sleep(0.1)
        raise AssertionError("no link to set the console up; see gateway.log")

    def interrupt(self) -> None:
        """Ctrl-C: everything ends, nothing is left."""
        before = self.processes()
        assert len(before) > 2, "gateway, engine, the engine's workers"
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE_S) in (0, 130, -signal.SIGINT), "Ctrl-C must end it cleanly"
        # Killed processes of some gigabytes take the kernel a moment.
        deadline = time.monotonic() + PATIENCE_S
        while left := [pid for pid in before if Path(f"/proc/{pid}/exe").exists()]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)

    def cli(self, *words: str, timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
        """Run a `brandvoice` command against this gateway's state."""
        return run_cli(*words, environment=self.environment, timeout_s=timeout_s)

    def ask(self, question: str, brand: str) -> Any:
        """`brandvoice ask --json`."""
        done = self.cli("ask", question, "--brand", brand, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Wait until everything serves."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the gateway ended; see gateway.log"
            try:
                if self.get("/readyz")["status"] == "ok":
                    return
            except OSError:
                pass
            time.sleep(0.5)
        raise AssertionError(f"not ready after {timeout_s} s: {self.get('/readyz')}")


def run_cli(*words: str, environment: dict[str, str], timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
    """Run a `brandvoice` command."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_models(tmp_path_factory.mktemp("home"))


def with_models(folder: Path) -> Path:
    """A state folder of its own; the models, which are large and never change, are the project's."""
    models = Path(os.environ.get("BRANDVOICE_HOME", ROOT / "var")).resolve() / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(models)
    return folder


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder of its own, with an encoder in it."""
    folder = with_models(tmp_path_factory.mktemp("furnished"))
    if not (folder / "models" / "all-minilm-l6-v2").is_dir():
        pytest.skip("the encoder is not prepared here; `make models` does it")
    return folder


def variables(home: Path, **more: str) -> dict[str, str]:
    """Variables for every process of one gateway."""
    port = free_port()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("BRANDVOICE_")}
    ours = {
        "BRANDVOICE_HOME": str(home),
        "BRANDVOICE_SERVICE__PORT": str(port),
        "BRANDVOICE_SERVICE__SIMULATOR": "true",
        "BRANDVOICE_URL": f"http://127.0.0.1:{port}",
        "HF_HUB_OFFLINE": "1",
    }
    return clean | ours | more


def start_demo(home: Path, environment: dict[str, str]) -> Running:
    """`brandvoice demo`, as a newcomer starts it; its output goes to gateway.log in the state folder."""
    with (home / "gateway.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "demo"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = Running(environment["BRANDVOICE_URL"], home, environment, process)
    try:
        running.wait_ready()
    except AssertionError:
        process.kill()
        sys.stderr.write((home / "gateway.log").read_text("utf-8", "replace")[-4000:])
        raise
    return running


@pytest.fixture(scope="session")
def environment(home: Path) -> dict[str, str]:
    return variables(home)


@pytest.fixture(scope="session")
def gateway(home: Path, environment: dict[str, str]) -> Iterator[Running]:
    running = start_demo(home, environment)
    yield running
    running.interrupt()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield launched
        launched.close()
