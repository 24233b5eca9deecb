"""The real gateway's pipeline, lanes, database and WebSocket, with retrieval stubbed or real, in front of any engine.

python -m benchmarks.gateway_under_test --engine URL --port 9002 --check off --retrieval stub

With `--platforms URL` its channels are on, with made-up secrets, and send to stand-ins at that address. An experiment
that ends gateways and starts them anew takes a `Gateway`: it is forked from a process that has imported everything, so
that a life begins in a fraction of a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

import aiohttp

from benchmarks.chaos.points import Point, arm
from configs.home import Home
from configs.load import Config, load_config
from configs.service import Apps, Limits
from retrieval.encoder import Encoder
from retrieval.passages import Passage
from retrieval.testing import HashEncoder
from service import bootstrap
from service.bindings.simulator import simulated_apps
from service.delivery import schedule
from service.engines import voices
from service.starting.serve import run, serve
from service.telemetry import configure_logging
from service.testing import FixedRetriever
from service.turns import lanes

PASSAGES = (
    Passage("returns.md", "Returns", "Returns", "You can return an unopened item within 30 days of delivery.", 0.9),
    Passage("shipping.md", "Shipping", "Shipping", "Standard delivery takes 3 to 5 business days.", 0.4),
)
NO_LIMITS = Limits(visitor_per_minute=0, account_per_minute=0, total_per_minute=0)
WIDE: Mapping[str, Any] = {"max_turns": 256, "max_waiting": 1024}
"""Changes of `service` for a gateway that is to answer as many at once as come."""
ROOT = Path(__file__).resolve().parents[1]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["benchmarks.gateway_under_test"])
BEGIN_S = 60.0
"""How long a life may take to begin, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Life:
    """All that one life of a gateway is given."""

    home: Path
    port: int
    engine: str
    database: str
    platforms: str | None = None
    """Where the stand-ins of all platforms listen; without them its channels are off."""
    check: str = "off"
    """The brands' sentence check."""
    retrieval: Literal["stub", "real"] = "stub"
    encoder: Literal["hash", "real"] = "hash"
    lease_s: float = 10.0
    origins: tuple[str, ...] = ()
    """Sites that may open the widget."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes of `service` in configs/service.yaml."""
    point: Point | None = None
    """Where it dies."""
    faster: float = 1.0
    """By how much the waits for platforms and engine are shortened."""
    starts: int = lanes.STARTS
    """Of a turn, before it is given up."""
    max_file_bytes: int | None = None


@dataclass
class Gateway:
    """A gateway as a process of its own, which can be ended and begun anew."""

    life: Life
    session: aiohttp.ClientSession
    log: Path
    process: ForkServerProcess | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.life.port}"

    async def begin(self, point: Point | None = None, **changes: Any) -> bool:
        """Start a life; returns whether it got as far as answering."""
        life = replace(self.life, point=point, **changes)
        self.process = FORKS.Process(target=_forked, args=(life, self.log), daemon=True)
        self.process.start()
        deadline = time.monotonic() + BEGIN_S
        while self.process.is_alive() and time.monotonic() < deadline:
            if await self.status("/livez") == 200:
                return True
            await asyncio.sleep(0.02)
        if point is None:
            raise RuntimeError(f"The gateway did not begin: {self.log_text()[-3000:]}")
        return False

    def log_text(self) -> str:
        """What it wrote in all its lives."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    async def status(self, path: str) -> int:
        """Of a GET; 0 where nobody answers."""
        try:
            async with self.session.get(self.url + path, timeout=aiohttp.ClientTimeout(total=10)) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is there to get it."""
        if self.process is not None and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def end(self, *, kindly: bool = False) -> None:
        """End the life by kill -9, or by SIGTERM."""
        if self.process is not None and self.process.pid is not None:
            self.send(signal.SIGTERM if kindly else signal.SIGKILL)
            await asyncio.to_thread(self.process.join, 30)


def configured(life: Life) -> Config:
    """The project's own configuration, turned to this life's engine, platforms and database."""
    config = load_config(ROOT / "configs", {})
    given, simulated = config.service, life.platforms is not None
    changes = {"port": life.port, "simulator": simulated, "limits": NO_LIMITS, **life.settings}
    settings = given.model_copy(
        update={
            "engine": given.engine.model_copy(update={"url": life.engine}),
            "service": given.service.model_copy(update=changes),
            "generation": given.generation.model_copy(update={"max_tokens": 64}),
            "database": given.database.model_copy(update={"url": life.database, "lease_s": life.lease_s}),
            "apps": given.apps if simulated else Apps(),
        }
    )
    brands = {
        name: brand.model_copy(
            update={
                "check": life.check,
                "channels": brand.channels if simulated else (),
                "widget": brand.widget.model_copy(update={"origins": life.origins}),
            }
        )
        for name, brand in config.brands.items()
    }
    settings = simulated_apps(settings, Home(life.home), life.platforms or "")
    return Config(settings, brands, config.origins, config.folder)


def _live(life: Life) -> None:
    """Be a gateway until killed: the real one, but for its models."""
    if life.retrieval == "stub":
        bootstrap._knowledge = _stubbed  # type: ignore[assignment]
    if life.encoder == "hash":
        bootstrap._encoder = lambda _folder: HashEncoder()  # type: ignore[assignment, return-value]
    # The engine under test serves one model only: of the state folder's adapters it has none.
    bootstrap.serving_adapters = lambda *_, **__: ({}, [])  # type: ignore[attr-defined]
    voices.active_version = lambda *_: None  # type: ignore[attr-defined]
    schedule.SCHEDULE_S = tuple(wait / life.faster for wait in schedule.SCHEDULE_S)  # type: ignore[assignment]
    lanes.STARTS = life.starts
    if life.max_file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (life.max_file_bytes, resource.RLIM_INFINITY))
    if life.point is not None:
        arm(life.point)
    run(serve(configured(life), Home(life.home)))


def _forked(life: Life, path: Path) -> None:
    """The child: what it writes goes to its log."""
    log = path.open("a", buffering=1)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s %(reason)s", defaults={"reason": ""}))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    os.chdir(ROOT)
    _live(life)


class _StubbedKnowledge(FixedRetriever):
    """A fixed search that also answers what the gateway asks of a knowledge base."""

    version = "stub"

    def documents(self) -> tuple[str, ...]:
        """One is enough to be ready."""
        return ("returns.md",)

    def state_of(self, _document: str, _text: str) -> str:
        """What was quoted stands there still."""
        return "current"

    def refresh(self) -> bool:
        """Nothing ever changes."""
        return False


def _stubbed(config: Config, _home: Home, _encoder: Encoder) -> dict[str, _StubbedKnowledge]:
    return {name: _StubbedKnowledge(PASSAGES) for name in config.brands}


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--home", type=Path, default="var")
    parser.add_argument("--database", help="SQLAlchemy URL; a fresh file where absent")
    parser.add_argument("--check", choices=("before", "off"), default="off")
    parser.add_argument("--retrieval", choices=("stub", "real"), default="stub")
    parser.add_argument("--encoder", choices=("real", "hash"), default="real")
    parser.add_argument("--lease-s", type=float, default=10.0)
    parser.add_argument("--platforms")
    parser.add_argument("--origin", action="append", default=[], help="a site that may open the widget; again for more")
    parser.add_argument("--per-minute", type=int, default=0, help="messages of a visitor; 0: as many as come")
    given = vars(parser.parse_args())
    if given["platforms"]:
        configure_logging()
    given["database"] = given["database"] or f"sqlite:///{tempfile.mkdtemp(prefix='brandvoice-bench-')}/bench.db"
    settings = {**WIDE, "limits": NO_LIMITS.model_copy(update={"visitor_per_minute": given.pop("per_minute")})}
    _live(Life(origins=tuple(given.pop("origin")), settings=settings, **given))


if __name__ == "__main__":
    main()
