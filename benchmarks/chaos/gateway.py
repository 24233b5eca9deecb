"""A gateway as a process: the real one, with search stubbed, an encoder that needs no file, and apps of the stand-in.

It is forked from a process that has imported everything, so that a life begins in a fraction of a second.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from benchmarks.chaos.points import Point, arm
from benchmarks.gateway_under_test import NO_LIMITS, PASSAGES
from configs.home import Home
from configs.load import Config, load_config
from retrieval.testing import HashEncoder
from service import bootstrap
from service.bindings.simulator import simulated_apps
from service.delivery import schedule
from service.starting.serve import run, serve
from service.testing import FixedRetriever
from service.turns import lanes

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["benchmarks.chaos.gateway"])
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Life:
    """All that one life of a gateway is given."""

    home: Path
    port: int
    engine: str
    platforms: str
    """Where the stand-ins of all platforms listen."""
    database: str
    log: Path
    point: Point | None = None
    check: str = "off"
    faster: float = 1.0
    """By how much the waits for platforms and engine are shortened."""
    starts: int = lanes.STARTS
    """Of a turn, before it is given up."""
    max_file_bytes: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes of `service` in configs/service.yaml."""


def configured(life: Life) -> Config:
    """The project's own configuration, turned to this life's engine, platforms and database."""
    config = load_config(ROOT / "configs", {})
    given = config.service
    changes = {
        "port": life.port,
        "simulator": True,
        "limits": NO_LIMITS,
        **life.settings,
    }
    service = given.model_copy(
        update={
            "engine": given.engine.model_copy(update={"url": life.engine}),
            "service": given.service.model_copy(update=changes),
            "database": given.database.model_copy(update={"url": life.database}),
        }
    )
    brands = {name: brand.model_copy(update={"check": life.check}) for name, brand in config.brands.items()}
    return Config(simulated_apps(service, Home(life.home), life.platforms), brands, config.origins, config.folder)


def start(life: Life) -> ForkServerProcess:
    """Begin a life; it answers at /livez once it has begun."""
    process = FORKS.Process(target=_live, args=(life,), daemon=True)
    process.start()
    return process


def _live(life: Life) -> None:
    """The child: everything of the real gateway but its models."""
    log = life.log.open("a", buffering=1)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s %(reason)s", defaults={"reason": ""}))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    os.chdir(ROOT)
    bootstrap._knowledge = _stubbed  # type: ignore[assignment]
    bootstrap._encoder = lambda _folder: HashEncoder()  # type: ignore[assignment,return-value]
    bootstrap.serving_adapters = lambda *_, **__: ({}, [])  # type: ignore[attr-defined]
    schedule.SCHEDULE_S = tuple(wait / life.faster for wait in schedule.SCHEDULE_S)  # type: ignore[assignment]
    lanes.STARTS = life.starts
    if life.max_file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (life.max_file_bytes, resource.RLIM_INFINITY))
    if life.point is not None:
        arm(life.point)
    run(serve(configured(life), Home(life.home)))


class _Stubbed(FixedRetriever):
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


def _stubbed(config: Config, _home: Home, _encoder: object) -> dict[str, _Stubbed]:
    return {name: _Stubbed(PASSAGES) for name in config.brands}
