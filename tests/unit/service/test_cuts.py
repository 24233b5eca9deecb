"""A line that breaks at random bytes, and a server that is started anew: nothing is missing, nothing doubled.

The short form of `benchmarks.chaos_sockets`, which also kills the gateway.
"""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from benchmarks.chaos_sockets import Line, Visitor, compare, storm
from configs.service import Limits
from service.engines.process import free_port
from tests.unit.service.fake_engines import FakeEngine, running
from tests.unit.service.standing import SITE_KEY, furnish, standing

CUTS = 30
NO_LIMITS = Limits(visitor_per_minute=0, account_per_minute=0, total_per_minute=0)


@pytest.mark.parametrize("check", ["off", "before"])
async def test_cuts_and_a_restart_leave_the_transcript_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    furnish(monkeypatch)
    engine, port = FakeEngine(pace_s=0.005, words=12), free_port()
    if check == "before":
        engine.says = "An unopened item can be returned within 30 days of delivery."
    line = Line(port, random.Random(7))  # noqa: S311 - chaos, not a secret
    visitor = Visitor(lambda: f"http://127.0.0.1:{line.port}", SITE_KEY)
    async with running(engine), AsyncExitStack() as outer:
        server = AsyncExitStack()
        outer.push_async_callback(server.aclose)

        async def start() -> None:
            made = standing(tmp_path, engine.url, port=port, check=check, service={"limits": NO_LIMITS})
            await server.enter_async_context(made)

        async def restart() -> None:
            await server.aclose()
            await start()

        await start()
        async with line.open():
            said = await storm(
                line, visitor, cuts=CUTS, gap_s=0.01, at_cut=lambda number: restart() if number == CUTS // 2 else None
            )
            missing, doubled, differs = await compare(visitor, said)
    assert (missing, doubled, differs) == (0, 0, 0)
    assert said > 1
    assert visitor.resumed > 0, "not every one of them took the whole"
