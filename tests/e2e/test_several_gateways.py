"""Two gateway processes on a real PostgreSQL. The long form, with more of everything: benchmarks/chaos_gateways.py."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chaos.rig import until
from benchmarks.chaos_gateways import LEASE_S, elsewhere, fifty_copies, killed, seen
from benchmarks.fleet import fleet
from benchmarks.postgres import binaries, server

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(binaries() is None, reason="PostgreSQL's server programs (initdb) are not on this machine"),
]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with server() as url:
        yield url


async def test_an_event_is_answered_once_and_a_page_follows_its_turn_wherever_it_runs(
    database: str, tmp_path: Path
) -> None:
    async with fleet(database, tmp_path, lease_s=LEASE_S, check="off", tokens=80, pace_ms=15) as run:
        for row in [*await fifty_copies(run, copies=30, events=3), *await elsewhere(run, pages=2)]:
            assert row.met, f"{row.what}: {row.result}"


async def test_a_gateway_that_is_killed_or_sleeps_loses_nothing_and_doubles_nothing(
    database: str, tmp_path: Path
) -> None:
    async with fleet(database, tmp_path, lease_s=LEASE_S, pace_ms=20, delay_ms=100) as run:
        found = await killed(run, random.Random(4), 1, ("discord", "line"))  # noqa: S311
        assert found == (6, 0, 0, 0), "events, lost, doubled, unknown"

        sleeper, awake = run.gateways
        event = run.event("slack", "sleeper")
        assert await run.deliver(event, sleeper) == 200
        # It waited for more, and makes the answer now.
        await asyncio.sleep(0.7)
        sleeper.send(signal.SIGSTOP)
        more = run.event("slack", "more", sender="person-sleeper", said="Unopened, as I said?")
        assert await run.deliver(more, awake) == 200
        assert await run.settled(30), "the other one answered both"
        sleeper.send(signal.SIGCONT)
        assert await until(lambda: "gateway_buried" in sleeper.log_text(), 15)
        await asyncio.sleep(1)
        lost, doubled, unknown = await seen(run, [event])
        assert (doubled, unknown) == (0, 0)
        assert not lost
        turns = await run.rows(
            "SELECT question, t.state FROM turns t JOIN conversations c ON c.id = t.conversation_id "
            "WHERE channel = 'slack'"
        )
        assert [(row[0].count("\n"), row[1]) for row in turns] == [(1, "done")], "one turn took both messages"
        # It goes on under another id, and serves.
        assert await run.deliver(run.event("slack", "afterwards"), sleeper) == 200
        assert await run.settled(30)
