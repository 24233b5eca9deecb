from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.exc
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, CursorResult, create_engine, text

from service.conversation import inbox
from service.conversation import store as conversations
from service.errors import ServiceError, StorageError, StorageUnavailable
from service.storage.database import MIGRATIONS, Database
from service.storage.tables import inbox as inbox_table
from service.storage.tables import metadata
from tests.patience import PATIENCE_S
from tests.unit.service.storage.support import BRAND, message, reply, rows

ROOT = MIGRATIONS.parents[2]


async def test_migrations_make_exactly_the_tables_of_the_code(db: Database) -> None:
    def differences(connection: Any) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))

    assert await db.read(differences) == []


async def test_opening_again_changes_nothing(db: Database, url: str) -> None:
    await inbox.accept(db, BRAND, message("m1"))
    again = await Database.open(url)
    assert [row.message_id for row in await rows(again, inbox_table)] == ["m1"]
    await again.close()


async def test_a_database_of_the_first_version_keeps_what_it_holds(url: str, sqlite_only: None) -> None:
    engine = create_engine(url)
    times = "'2026-11-01 10:00:00', '2026-11-01 10:00:00'"
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for row in (
            "conversations VALUES ('c', 'harbor', 'slack', 'T1', 'k', NULL, '2026-11-01 10:00:00')",
            f"turns VALUES ('t', 'c', 1, 'Q', 'done', 'A', NULL, '[]', NULL, NULL, NULL, NULL, NULL, NULL, {times})",
            "inbox VALUES (1, 'slack', 'T1', 'm1', 'c', 'Q', '{}', '2026-11-01 10:00:00', 't')",
            "inbox VALUES (2, 'slack', 'T1', 'm2', 'c', 'And?', '{}', '2026-11-01 10:00:00', NULL)",
            "outbox VALUES ('o', 't', 'slack', 'main', 'T1', '{}', 'A', '[]', 'sent', 1, '2026-11-01', '[]', NULL)",
        ):
            connection.exec_driver_sql(f"INSERT INTO {row}")
    engine.dispose()
    db = await Database.open(url)
    assert [(row.message_id, row.withdrawn) for row in await rows(db, inbox_table)] == [("m1", False), ("m2", False)]
    turn = await inbox.next_turn(db, "c")
    assert turn is not None
    assert turn.question == "And?"
    await db.close()


async def test_gateways_that_start_at_once_migrate_once(url: str) -> None:
    opened = await asyncio.gather(*(Database.open(url) for _ in range(4)))
    for database in opened:
        await database.ping()
        await database.close()


def _pragma(connection: Connection, words: str) -> CursorResult[Any]:
    return connection.exec_driver_sql(f"PRAGMA {words}")


def _raising(error: Exception) -> Callable[[Connection], None]:
    def work(_: Connection) -> None:
        raise error

    return work


@pytest.mark.usefixtures("sqlite_only")
async def test_sqlite_is_durable_and_strict(db: Database, tmp_path: Path) -> None:
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    found = await db.write(lambda connection: {name: _pragma(connection, name).scalar_one() for name in pragmas})
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    assert (tmp_path / "brandvoice.db").stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("sqlite_only")
async def test_a_full_disk_is_told_and_nothing_is_half_stored(db: Database) -> None:
    await db.write(lambda connection: _pragma(connection, "max_page_count = 1"))
    with pytest.raises(StorageUnavailable, match="full"):
        await inbox.accept(db, BRAND, message("big", "x" * 1_000_000))
    await db.write(lambda connection: _pragma(connection, "max_page_count = 1000000"))
    assert await rows(db, inbox_table) == []
    assert not (await inbox.accept(db, BRAND, message("big", "x" * 1_000_000))).duplicate


@pytest.mark.usefixtures("sqlite_only")
async def test_a_locked_database_is_told_and_taken_up_again(db: Database, tmp_path: Path) -> None:
    await db.write(lambda connection: _pragma(connection, "busy_timeout = 20"))
    other = sqlite3.connect(tmp_path / "brandvoice.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match="locked") as caught:
        await inbox.accept(db, BRAND, message("m1"))
    assert caught.value.retryable
    other.execute("ROLLBACK")
    other.close()
    assert not (await inbox.accept(db, BRAND, message("m1"))).duplicate


@pytest.mark.usefixtures("sqlite_only")
async def test_a_database_that_a_gateway_writes_is_opened_and_read(db: Database, tmp_path: Path) -> None:
    await inbox.accept(db, BRAND, message("m1"))
    with contextlib.closing(sqlite3.connect(tmp_path / "brandvoice.db", isolation_level=None)) as writes:
        writes.execute("BEGIN IMMEDIATE")
        beside = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
        assert len(await rows(beside, inbox_table)) == 1
        await beside.close()


@pytest.mark.usefixtures("sqlite_only")
async def test_a_platforms_message_goes_before_turns_that_begin(db: Database) -> None:
    began: list[str] = []
    first = (await inbox.accept(db, BRAND, message("m1"))).conversation_id
    turns = [
        asyncio.create_task(_noted(began, "turn", inbox.next_turn(db, first, past=3))),
        asyncio.create_task(_noted(began, "turn", inbox.next_turn(db, first, past=3))),
        asyncio.create_task(_noted(began, "message", inbox.accept(db, BRAND, message("m2", key="another")))),
    ]
    await db.write(lambda _: time.sleep(0.05))
    await asyncio.gather(*turns)
    assert began == ["message", "turn", "turn"]


async def _noted(into: list[str], what: str, work: Awaitable[object]) -> None:
    await work
    into.append(what)


@pytest.mark.usefixtures("sqlite_only")
async def test_a_reader_sees_one_moment(db: Database) -> None:
    loop = asyncio.get_running_loop()
    query = text("SELECT count(*) FROM inbox")

    def twice(connection: Connection) -> tuple[int, int]:
        before = connection.execute(query).scalar_one()
        asyncio.run_coroutine_threadsafe(inbox.accept(db, BRAND, message("m1")), loop).result(PATIENCE_S)
        return before, connection.execute(query).scalar_one()

    assert await db.read(twice) == (0, 0)
    assert await db.read(lambda connection: connection.execute(query).scalar_one()) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_cancelled_callers_leave_the_database_working(db: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    tasks = [asyncio.create_task(inbox.accept(db, BRAND, message(f"m{n}", key=f"k{n}"))) for n in range(60)]
    for task in tasks:
        await asyncio.sleep(chance.uniform(0, 0.002))
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    acknowledged = {f"m{n}" for n, result in enumerate(results) if isinstance(result, inbox.Accepted)}
    stored = {row.message_id for row in await rows(db, inbox_table)}
    assert acknowledged <= stored
    assert len(acknowledged) < 60
    async with asyncio.timeout(PATIENCE_S):
        assert not (await inbox.accept(db, BRAND, message("after"))).duplicate


@pytest.mark.usefixtures("sqlite_only")
async def test_what_was_acknowledged_survives_kill_nine(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brandvoice.db"
    program = f"""
import asyncio
from service.conversation import inbox
from service.storage.database import Database
from tests.unit.service.storage.support import BRAND, message
async def main():
    db = await Database.open({url!r})
    for n in range(100_000):
        await inbox.accept(db, BRAND, message(f"m{{n}}", key=f"k{{n % 5}}"))
        print(n, flush=True)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    last = -1
    async with asyncio.timeout(PATIENCE_S):
        while last < 40:
            last = int(await process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = (await process.stdout.read()).split()
        await process.wait()
    last = int(rest[-1]) if rest else last
    db = await Database.open(url)
    ids = [row.message_id for row in await rows(db, inbox_table)]
    assert ids[: last + 1] == [f"m{n}" for n in range(last + 1)]
    assert len(await inbox.unfinished(db)) == 5
    await db.close()


def _foreign() -> list[type[Exception]]:
    found, new = set(), {sqlalchemy.exc.SQLAlchemyError}
    while new:
        found |= new
        new = {child for kind in new for child in kind.__subclasses__()} - found
    return sorted((kind for kind in found if kind.__module__ == "sqlalchemy.exc"), key=lambda kind: kind.__name__)


def _example(kind: type[Exception]) -> Exception:
    if issubclass(kind, sqlalchemy.exc.DBAPIError):
        return kind("INSERT", {}, sqlite3.Error("foreign"))
    if issubclass(kind, sqlalchemy.exc.StatementError):
        return kind("foreign", "INSERT", {}, None)
    error = kind.__new__(kind)
    error.args = ("foreign",)
    return error


@pytest.mark.parametrize("kind", _foreign())
async def test_every_error_of_the_library_becomes_ours(db: Database, kind: type[Exception]) -> None:
    with pytest.raises(StorageError) as caught:
        await db.write(_raising(_example(kind)))
    temporary = {"OperationalError", "InterfaceError", "InternalError", "DatabaseError", "TimeoutError"}
    assert caught.value.retryable == (kind.__name__ in temporary)


async def test_a_lost_server_is_a_storage_error(db: Database) -> None:
    with pytest.raises(StorageUnavailable):
        await db.write(_raising(ConnectionRefusedError(111, "refused")))


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("nonsense", id="no url"),
        pytest.param("postgresql+psycopg2://localhost/x", id="sync driver"),
        pytest.param("sqlite://", id="in memory"),
        pytest.param("sqlite:////proc/none/x.db", id="no such folder"),
        pytest.param("nosuchdb+driver://localhost/x", id="no such dialect"),
    ],
)
async def test_a_url_that_cannot_work_names_the_setting(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match=r"database\.url"):
        await Database.open(url)


@pytest.mark.usefixtures("sqlite_only")
async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, " * 1000)
    with pytest.raises(StorageUnavailable, match="not a database"):
        await Database.open(f"sqlite:///{tmp_path}/x.db")


async def test_a_database_of_a_newer_version_is_told(db: Database, url: str) -> None:
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await db.write(lambda connection: connection.execute(newer))
    with pytest.raises(StorageError, match="another version"):
        await Database.open(url)


async def test_a_folder_with_a_percent_sign_can_be_used(tmp_path: Path) -> None:
    db = await Database.open(f"sqlite:///{tmp_path}/100%/x.db")
    await db.ping()
    await db.close()


async def test_odd_numbers_in_evidence_do_not_lose_a_reply(db: Database) -> None:
    class ArrayNumber:
        def item(self) -> float:
            return 0.5

    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn is not None
    odd = reply(evidence={"score": ArrayNumber(), "file": Path("a")})
    await conversations.finish(db, turn.id, odd, outbox=None, handoff=None)
    assert (await conversations.evidence(db, turn.id))["evidence"] == {"score": 0.5, "file": "a"}


def test_storage_errors_stand_under_the_service_root() -> None:
    assert issubclass(StorageUnavailable, StorageError)
    assert issubclass(StorageError, ServiceError)
