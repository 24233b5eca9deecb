from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError

from service.storage.database import sqlite_engine
from service.storage.writer import MOST_TOGETHER, Writer
from tests.patience import PATIENCE_S


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    engine = sqlite_engine(make_url(f"sqlite:///{tmp_path}/x.db"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE said (what TEXT PRIMARY KEY)")
    yield engine
    engine.dispose()


@pytest.fixture
async def writer(engine: Engine) -> AsyncIterator[Writer]:
    writer = Writer(engine)
    yield writer
    writer.close()


class _Held:
    """The writer at work on something, so that what comes meanwhile waits."""

    def __init__(self, writer: Writer) -> None:
        self._begun, self._goes_on = threading.Event(), threading.Event()
        self._task = asyncio.create_task(writer.run(self._work))

    def _work(self, _: Connection) -> None:
        self._begun.set()
        self._goes_on.wait(PATIENCE_S)

    async def __aenter__(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, PATIENCE_S)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)  # those that were made meanwhile have come to wait
        self._goes_on.set()
        await self._task


def say(what: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(text("INSERT INTO said VALUES (:what)"), {"what": what})
        return what

    return work


def said(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return list(connection.execute(text("SELECT what FROM said ORDER BY rowid")).scalars())


def _commits(engine: Engine) -> list[None]:
    found: list[None] = []
    event.listen(engine, "commit", lambda _: found.append(None))
    return found


async def test_what_is_urgent_goes_before_what_waits_and_each_kind_in_its_order(engine: Engine, writer: Writer) -> None:
    async with _Held(writer):
        waiting = [
            asyncio.create_task(writer.run(say(f"{kind}{number}"), urgent=kind == "urgent"))
            for number in range(3)
            for kind in ("other", "urgent")
        ]
    await asyncio.gather(*waiting)
    assert said(engine) == ["urgent0", "urgent1", "urgent2", "other0", "other1", "other2"]


async def test_urgent_ones_that_wait_together_wait_for_one_commit(engine: Engine, writer: Writer) -> None:
    commits = _commits(engine)
    count = MOST_TOGETHER + 3
    async with _Held(writer):
        waiting = [asyncio.create_task(writer.run(say(str(number)), urgent=True)) for number in range(count)]
    assert await asyncio.gather(*waiting) == [str(number) for number in range(count)]
    assert len(commits) == 3  # of what held the writer, of as many as may go together, of the rest


async def test_others_are_committed_one_by_one(engine: Engine, writer: Writer) -> None:
    commits = _commits(engine)
    async with _Held(writer):
        waiting = [asyncio.create_task(writer.run(say(str(number)))) for number in range(3)]
    await asyncio.gather(*waiting)
    assert len(commits) == 4


async def test_one_that_fails_takes_back_only_its_own(engine: Engine, writer: Writer) -> None:
    def twice(connection: Connection) -> None:
        say("half")(connection)
        say("a")(connection)

    async with _Held(writer):
        waiting = [asyncio.create_task(writer.run(work, urgent=True)) for work in (say("a"), twice, say("b"))]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[1], IntegrityError)
    assert (results[0], results[2]) == ("a", "b")
    assert said(engine) == ["a", "b"]


async def test_nobody_is_told_of_what_was_not_committed(engine: Engine, writer: Writer) -> None:
    async with _Held(writer):
        waiting = [asyncio.create_task(writer.run(say(str(number)), urgent=True)) for number in range(3)]
        gone = OperationalError("COMMIT", {}, Exception("disk I/O error"))

        def fail(connection: Connection) -> None:
            if connection.exec_driver_sql("SELECT count(*) FROM said").scalar_one():
                raise gone

        event.listen(engine, "commit", fail)
    assert await asyncio.gather(*waiting, return_exceptions=True) == [gone] * 3
    event.remove(engine, "commit", fail)
    assert said(engine) == []
    assert await writer.run(say("after")) == "after"


async def test_a_disk_that_is_full_takes_nothing_that_is_not_told(engine: Engine, writer: Writer) -> None:
    def pages(most: int) -> Callable[[Connection], Any]:
        return lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {most}").close()

    await writer.run(pages(8))
    async with _Held(writer):
        texts = ("a", "x" * 100_000, "b")
        waiting = [asyncio.create_task(writer.run(say(one), urgent=True)) for one in texts]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[1], OperationalError)
    assert "full" in str(results[1])
    assert said(engine) == [one for one in results if isinstance(one, str)]


async def test_a_transaction_that_sqlite_rolled_back_as_a_whole_fails_for_all_of_it(
    engine: Engine, writer: Writer
) -> None:
    full = OperationalError("INSERT", {}, Exception("database or disk is full"))

    def roll_back(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")  # as SQLite does by itself where it can do nothing better
        raise full

    async with _Held(writer):
        waiting = [asyncio.create_task(writer.run(work, urgent=True)) for work in (say("a"), roll_back, say("b"))]
    assert await asyncio.gather(*waiting, return_exceptions=True) == [full] * 3
    assert said(engine) == []
    assert await writer.run(say("after")) == "after"


async def test_who_went_away_while_waiting_is_not_written(engine: Engine, writer: Writer) -> None:
    async with _Held(writer):
        gone, stays = (asyncio.create_task(writer.run(say(one), urgent=True)) for one in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
    assert await stays == "stays"
    assert said(engine) == ["stays"]


async def test_closing_runs_what_waits(engine: Engine) -> None:
    writer = Writer(engine)
    waiting = [asyncio.create_task(writer.run(say(str(number)))) for number in range(5)]
    await asyncio.sleep(0)
    await asyncio.to_thread(writer.close)
    assert await asyncio.gather(*waiting) == ["0", "1", "2", "3", "4"]
