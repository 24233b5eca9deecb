"""A gateway in front of an engine that plays one, each as a process of its own: for browser tests and benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.engines.process import free_port

ROOT = Path(__file__).resolve().parents[1]
UNDER_TEST = ("-m", "benchmarks.gateway_under_test")
START_S = 120.0


@contextmanager
def gateway_process(
    log: Path,
    gateway: Sequence[str],
    *,
    engine: str = "benchmarks.fake_engine:app",
    ready: str = "/readyz",
    **variables: str,
) -> Iterator[str]:
    """Start both, wait until the gateway is ready, and end both on the way out; yields the gateway's address.

    Args:
        log: The file to which both write.
        gateway: What follows `python` to start it; `--engine URL --port N` is put behind.
        engine: The engine's application.
        ready: The path that answers once the gateway is ready.
        variables: Of both processes; they have none of brandvoice's besides.

    Raises:
        RuntimeError: One of them ended, or the gateway was not ready in time; with the end of the log.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BRANDVOICE_")}
    environment = ours | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"} | variables
    ports = free_port(), free_port()
    commands = (
        ["-m", "uvicorn", engine, "--log-level", "warning", "--no-access-log", "--port", str(ports[0])],
        [*gateway, "--engine", f"http://127.0.0.1:{ports[0]}", "--port", str(ports[1])],
    )
    url = f"http://127.0.0.1:{ports[1]}"
    with log.open("wb") as out, ExitStack() as stack:
        processes = []
        for words in commands:
            process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, stdout=out, stderr=out)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            processes.append(process)
        _wait_until_ready(url + ready, processes, log)
        yield url


def _wait_until_ready(url: str, processes: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - an address of this machine
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the gateway was not ready:\n{log.read_text('utf-8', 'replace')[-3000:]}")
