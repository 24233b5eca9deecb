"""A file takes one gateway, and says so; commands may use it all the same."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from configs.errors import ConfigError
from service.conversation.inbox import accept, unfinished
from service.errors import StorageUnavailable
from service.gateways import Place, place
from service.storage.database import Database
from service.telemetry import Metrics
from tests.unit.service.storage.support import BRAND, message


class Idle:
    """Does nothing for its conversations."""

    def submit(self, conversation: str, *, wait_s: float = 0.0, news: bool = True) -> None: ...

    def take_up(self, conversations: object) -> None: ...

    def abandon(self) -> None: ...


def at(db: Database, url: str) -> Place:
    return place(db, url, lease_s=2.0, metrics=Metrics())


async def test_a_second_gateway_on_a_file_is_refused_and_the_next_one_is_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brandvoice.db"
    db = await Database.open(url)
    first, second = at(db, url), at(db, url)
    async with first.serve(Idle(), lambda: None):
        with pytest.raises(ConfigError, match=r"Another gateway \(process \d+\) serves from .*brandvoice\.db"):
            async with second.serve(Idle(), lambda: None):
                pass
        await accept(db, BRAND, message("m1"), me=first.id)
        beside = await Database.open(url)
        assert len(await unfinished(beside)) == 1, "a command may look"
        await beside.close()
    async with second.serve(Idle(), lambda: None):
        assert len(await unfinished(db)) == 1, "what the first one left is the second one's"
    await db.close()


async def test_the_file_is_free_again_after_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brandvoice.db"
    program = f"""
import asyncio
from service.storage.database import Database
from tests.unit.service.test_places import Idle, at
async def main():
    db = await Database.open({url!r})
    async with at(db, {url!r}).serve(Idle(), lambda: None):
        print("serves", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=Path(__file__).parents[3], stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"serves\n"
    db = await Database.open(url)
    mine = at(db, url)
    with pytest.raises(ConfigError, match=f"process {process.pid}"):
        async with mine.serve(Idle(), lambda: None):
            pass
    process.kill()
    await process.communicate()
    async with mine.serve(Idle(), lambda: None):
        pass
    await db.close()


async def test_another_driver_than_the_one_that_listens_is_told(tmp_path: Path) -> None:
    db = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
    with pytest.raises(StorageUnavailable, match="asyncpg"):
        at(db, "postgresql+psycopg://me@localhost/x")
    await db.close()
