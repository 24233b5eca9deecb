"""Gateways at a real PostgreSQL, in one process: who is missed, who comes back, and what they say to each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from benchmarks.chaos.rig import until
from benchmarks.postgres import binaries, emptied, server
from service.conversation import inbox
from service.gateways import Among
from service.storage.database import Database
from service.storage.line import EVERYONE, Line
from service.storage.tables import gateways
from service.telemetry import Metrics
from tests.patience import PATIENCE_S
from tests.unit.service.storage.support import BRAND, message, rows

LEASE_S = 2.0
pytestmark = pytest.mark.skipif(
    binaries() is None, reason="PostgreSQL's server programs (initdb) are not on this machine"
)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with server() as url:
        yield url


class Noted:
    """Notes what it is told to do."""

    def __init__(self) -> None:
        self.submitted: list[tuple[str, float, bool]] = []
        self.taken_up: list[str] = []
        self.abandoned = 0

    def submit(self, conversation: str, *, wait_s: float = 0.0, news: bool = True) -> None:
        self.submitted.append((conversation, wait_s, news))

    def take_up(self, conversations: Iterable[str]) -> None:
        self.taken_up += conversations

    def abandon(self) -> None:
        self.abandoned += 1


async def true_soon(true: Any, patience_s: float = PATIENCE_S) -> bool:
    return await until(true, patience_s)


async def test_who_stands_still_is_missed_and_goes_on_under_another_id(database: str) -> None:
    await emptied(database)
    async with AsyncExitStack() as stack:
        db = await Database.open(database)
        stack.push_async_callback(db.close)
        sleeper, awake = (Among(db, database, lease_s=LEASE_S, metrics=Metrics()) for _ in range(2))
        asleep, busy = Noted(), Noted()
        await stack.enter_async_context(awake.serve(busy, lambda: None))
        await stack.enter_async_context(sleeper.serve(asleep, lambda: None))
        accepted = await inbox.accept(db, BRAND, message("m1"), me=sleeper.id)
        told = await inbox.accept(db, BRAND, message("m2"), me=awake.id, wait_s=1.2)
        assert not told.here
        assert await true_soon(lambda: (accepted.conversation_id, 1.2, True) in asleep.submitted)
        assert busy.taken_up == []

        run, wakes = sleeper._line.run, asyncio.Event()

        async def asleep_until(statement: str, *values: object) -> Any:
            await wakes.wait()
            return await run(statement, *values)

        sleeper._line.run = asleep_until  # type: ignore[method-assign]
        before = sleeper.id
        assert await true_soon(lambda: accepted.conversation_id in busy.taken_up)
        assert [row.id for row in await rows(db, gateways)] == [awake.id]
        assert not sleeper.sure()
        wakes.set()
        assert await true_soon(lambda: asleep.abandoned == 1 and sleeper.id != before)
        assert await true_soon(sleeper.sure)
        assert {row.id for row in await rows(db, gateways)} == {awake.id, sleeper.id}
    assert asleep.abandoned == 1
    assert busy.abandoned == 0


async def test_a_line_that_breaks_is_opened_again_and_what_was_missed_is_looked_for(database: str) -> None:
    await emptied(database)
    async with AsyncExitStack() as stack:
        db = await Database.open(database)
        stack.push_async_callback(db.close)
        mine, noted = Among(db, database, lease_s=LEASE_S, metrics=Metrics()), Noted()
        await stack.enter_async_context(mine.serve(noted, lambda: None))
        accepted = await inbox.accept(db, BRAND, message("m1"), me=mine.id)
        before = mine.id
        with mine.hub.subscribe("anything") as subscription:
            mine._line._driver.terminate()
            assert await true_soon(lambda: accepted.conversation_id in noted.taken_up)
            assert await asyncio.wait_for(subscription.next(), 5) == [None], "sockets come back for a snapshot"
        assert (mine.id, noted.abandoned) == (before, 0)
    db = await Database.open(database)
    assert await rows(db, gateways) == [], "who leaves is not missed"
    await db.close()


async def test_messages_of_any_size_arrive_once_and_in_order(database: str) -> None:
    heard: list[tuple[str, int, int]] = []
    url = make_url(database)
    speaker, listener = (
        Line(url, lambda *_: None),
        Line(url, lambda who, what: heard.append((who, what["n"], len(what["text"])))),
    )
    await speaker.open("a")
    await listener.open("b")
    pump = asyncio.create_task(speaker.pump())
    sizes = [1, 6_990, 7_000, 7_010, 50_000, 3]
    for number, size in enumerate(sizes):
        speaker.post("b" if number % 2 else EVERYONE, {"n": number, "text": "é" * size})
    assert await true_soon(lambda: len(heard) == len(sizes))
    assert heard == [("a", number, size) for number, size in enumerate(sizes)]
    pump.cancel()
    await asyncio.gather(pump, return_exceptions=True)
    await speaker.close()
    await listener.close()
