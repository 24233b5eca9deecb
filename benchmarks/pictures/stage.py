"""A gateway for pictures and browser tests: `brandvoice serve` itself, real search, an engine that plays one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from sqlalchemy import Connection, create_engine

from service.engines.process import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S = 120
T = TypeVar("T")


@dataclass
class Stage:
    """A running gateway."""

    url: str
    home: Path
    said: list[str] = field(default_factory=list)
    """Lines that it wrote to stderr."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Change the database beside the gateway."""
        engine = create_engine(f"sqlite:///{self.home / 'brandvoice.db'}")
        try:
            with engine.begin() as connection:
                return work(connection)
        finally:
            engine.dispose()

    @property
    def set_up(self) -> str | None:
        """The link that it showed for the first admin."""
        found = re.search(r"https?://\S+/console/set-up\?link=\S+", "".join(self.said))
        return found[0] if found else None


@contextmanager
def staged(home: Path, *, knowledge: bool = False) -> Iterator[Stage]:
    """Start one on an empty state folder, in which the models are linked; end it on the way out.

    Args:
        home: The folder.
        knowledge: Whether the sample brands' pages are read first: some ten seconds.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BRANDVOICE_")}
    engine, port = free_port(), free_port()
    environment = ours | {
        "PYTHONPATH": str(ROOT),
        "BRANDVOICE_HOME": str(home),
        "BRANDVOICE_ENGINE__URL": f"http://127.0.0.1:{engine}",
        "BRANDVOICE_SERVICE__PORT": str(port),
    }
    with ExitStack() as stack:
        if knowledge:
            for brand in ("velmora", "dicehollow"):
                add = [sys.executable, "-m", "service.cli", "kb", "add", "--brand", brand]
                subprocess.run(add, cwd=ROOT, env=environment, check=True, capture_output=True)
        play = [sys.executable, "-m", "uvicorn", "benchmarks.pictures.engine:app", "--log-level", "error"]
        _started(stack, [*play, "--port", str(engine)], environment)
        stage = Stage(f"http://127.0.0.1:{port}", home)
        gateway = _started(stack, [sys.executable, "-m", "service.cli", "serve"], environment, said=stage.said)
        until = time.monotonic() + START_S
        while not any("listening at" in line for line in stage.said):
            if gateway.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the gateway did not start:\n" + "".join(stage.said[-20:]))
            time.sleep(0.1)
        time.sleep(0.5)
        yield stage


def _started(
    stack: ExitStack, command: list[str], environment: dict[str, str], *, said: list[str] | None = None
) -> subprocess.Popen[str]:
    stderr = None if said is None else subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=stderr, text=True)
    hearing = threading.Thread(target=_hear, args=(process.stderr, said), daemon=True)
    hearing.start()

    def end() -> None:
        process.terminate()
        process.wait(30)
        hearing.join(5)

    stack.callback(end)
    return process


def _hear(pipe: IO[str] | None, said: list[str] | None) -> None:
    if pipe is not None and said is not None:
        with pipe:
            said.extend(iter(pipe.readline, ""))
