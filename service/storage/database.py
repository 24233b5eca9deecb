"""The database: SQLite by default, PostgreSQL by URL; migrated when it is opened.

A transaction is a plain function of a connection. SQLite runs it in one go on a thread of its own: an asynchronous
driver would cross to that thread and back for each statement, ten times a turn. PostgreSQL runs the same function over
an asynchronous driver.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.errors import StorageError, StorageUnavailable
from service.storage.writer import Writer

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = threading.Lock()
"""Alembic keeps its context in a global."""
BUSY_MS = 5000
OURS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""Faults of a statement, which the same statement meets again; everything else of a driver's is the server's."""


class _Runner(Protocol):
    """Runs a function in a transaction of one kind of database."""

    async def migrate(self) -> None: ...

    async def run(self, work: Callable[[Connection], T], *, write: bool, durable: bool, urgent: bool) -> T: ...

    async def close(self) -> None: ...


class Database:
    """Runs transactions, each a function that gets a connection."""

    def __init__(self, runner: _Runner) -> None:
        self._runner = runner

    @classmethod
    async def open(cls, url: str) -> Database:
        """Connect and bring the tables up to date.

        Args:
            url: SQLAlchemy URL, such as `sqlite:///brandvoice.db` or `postgresql+asyncpg://user@host/brandvoice`.

        Raises:
            StorageUnavailable: It cannot be opened or migrated.
        """
        try:
            parsed = make_url(url)
            runner: _Runner = _File(parsed) if parsed.get_backend_name() == "sqlite" else _Server(parsed)
        except (SQLAlchemyError, OSError, ImportError) as error:
            raise StorageUnavailable(
                f"The database cannot be opened ({_reason(error)}). Check database.url, such as "
                "sqlite:///brandvoice.db or, with `pip install brandvoice[postgres]`, "
                "postgresql+asyncpg://user@host/brandvoice."
            ) from error
        try:
            await runner.migrate()
        except (SQLAlchemyError, OSError) as error:
            await runner.close()
            raise StorageUnavailable(
                f"The database {parsed.render_as_string(hide_password=True)} cannot be opened ({_reason(error)}). "
                "Check database.url, the folder's permissions and the free space."
            ) from error
        except CommandError as error:
            await runner.close()
            raise StorageError(
                f"The database {parsed.render_as_string(hide_password=True)} was made by another version of brandvoice "
                f"({error}). Start the newer version, or name another database in database.url."
            ) from error
        return cls(runner)

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True, urgent: bool = False) -> T:
        """Run a function in a transaction that writes: committed when it returns, rolled back when it raises.

        A transaction comes to its end even if its caller is cancelled meanwhile (a visitor closes the page).

        Args:
            work: Gets the connection; it must not block on anything else.
            durable: Whether it must survive a power cut. What can be made again from what is on disk need not, and
                spares the visitor the wait for the disk; the order of commits holds either way (SQLite only).
            urgent: Whether a platform waits for it and sends again what takes long: it goes before what is not, and is
                committed with what else is urgent (SQLite only). It must be short.

        Raises:
            StorageUnavailable: Locked, full or gone; nothing was written.
            StorageError: The statement cannot be carried out.
        """
        return await self._whole(work, write=True, durable=durable, urgent=urgent)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a function in a transaction that only reads, in SQLite all of one moment; raises as `write`."""
        return await self._whole(work, write=False, durable=False, urgent=False)

    async def ping(self) -> None:
        """Ask it for the number one.

        Raises:
            StorageUnavailable: No answer.
        """
        await self.read(lambda connection: connection.execute(_ONE).scalar_one())

    async def close(self) -> None:
        """Close all connections."""
        await self._runner.close()

    async def _whole(self, work: Callable[[Connection], T], *, write: bool, durable: bool, urgent: bool) -> T:
        task = asyncio.ensure_future(self._translated(work, write=write, durable=durable, urgent=urgent))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            # Looked at, so that asyncio does not report it: nobody waits for it any more.
            if not task.cancelled():
                task.exception()
            raise

    async def _translated(self, work: Callable[[Connection], T], *, write: bool, durable: bool, urgent: bool) -> T:
        try:
            return await self._runner.run(work, write=write, durable=durable, urgent=urgent)
        except (DatabaseError, InterfaceError, PoolTimeout, OSError) as error:
            if isinstance(error, OURS):
                raise _refused(error) from error
            raise StorageUnavailable(
                f"The database could not take this ({_reason(error)}). Nothing was stored; try again, "
                "and see whether the disk is full or another process holds the database."
            ) from error
        except SQLAlchemyError as error:
            raise _refused(error) from error


class _File:
    """SQLite: one thread writes, since it has one writer, and one reads beside it."""

    def __init__(self, url: URL) -> None:
        if not url.database or url.database == ":memory:":
            raise OSError("a database in memory has one connection and ends with it; name a file")
        path = Path(url.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Customers' words: for the owner's eyes only.
        path.touch(mode=0o600)
        self._engine = engine = sqlite_engine(url)
        self._writer = Writer(engine)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="database-read")

    async def migrate(self) -> None:
        def upgrade() -> None:
            with _MIGRATING:
                # Where nothing is to be done, a gateway that writes need not be waited for.
                if not _in_transaction(self._engine, _is_current):
                    _in_transaction(self._engine.execution_options(begin="IMMEDIATE"), _upgrade)

        await asyncio.to_thread(upgrade)

    async def run(self, work: Callable[[Connection], T], *, write: bool, durable: bool, urgent: bool) -> T:
        if write:
            return await self._writer.run(work, durable=durable, urgent=urgent)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, _in_transaction, self._engine, work)

    async def close(self) -> None:
        for end in (self._writer.close, self._reading.shutdown):
            await asyncio.to_thread(end)
        self._engine.dispose()


class _Server:
    """PostgreSQL, or whatever else has an asynchronous driver."""

    def __init__(self, url: URL) -> None:
        self._url = url
        # A file does not hang up; a server does.
        self._engine: AsyncEngine = create_async_engine(url, pool_pre_ping=True, **_OPTIONS)

    async def migrate(self) -> None:
        def upgrade() -> None:
            with _MIGRATING:
                asyncio.run(self._upgrade())

        # In a thread with a loop of its own: alembic blocks.
        await asyncio.to_thread(upgrade)

    async def _upgrade(self) -> None:
        engine = server_engine(self._url)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(_upgrade)
        finally:
            await engine.dispose()

    async def run(self, work: Callable[[Connection], T], *, write: bool, durable: bool, urgent: bool) -> T:  # noqa: ARG002
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()


def sqlite_engine(url: URL, *, alone: bool = False) -> Engine:
    """An engine whose transactions begin where they should.

    Args:
        url: Of a file.
        alone: Nobody else, in whatever process, may have the file open: the first statement fails where somebody has,
            and nobody gets in until the connection is closed.
    """
    engine = create_engine(url.set(drivername="sqlite"), **_OPTIONS)
    event.listen(engine, "connect", _prepare_sqlite_alone if alone else _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine.execution_options(begin="IMMEDIATE") if alone else engine


def server_engine(url: URL) -> AsyncEngine:
    """An engine of PostgreSQL, or of whatever else has an asynchronous driver."""
    return create_async_engine(url, **_OPTIONS)


def _in_transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def insert_new(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """INSERT that leaves an existing row with the same unique key alone; both dialects know it."""
    made = _INSERT_NEW.get((connection.dialect.name, table.name))
    if made is None:
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        made = _INSERT_NEW[connection.dialect.name, table.name] = insert(table).on_conflict_do_nothing()
    return made


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def storable(text: str) -> str:
    """The text without what UTF-8 or PostgreSQL cannot hold: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def _prepare_sqlite(connection: Any, _: object) -> None:
    # Python's driver would begin transactions late and never before DDL; `_begin_sqlite` begins each of them.
    connection.isolation_level = None
    cursor = connection.cursor()
    # FULL: what was acknowledged to a platform must survive a power cut.
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_sqlite_alone(connection: Any, record: object) -> None:
    # In WAL mode every open connection holds a shared lock on the file, which an exclusive one cannot pass.
    for pragma in ("busy_timeout=1000", "locking_mode=EXCLUSIVE"):
        connection.execute(f"PRAGMA {pragma}").close()
    _prepare_sqlite(connection, record)


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    wanted = options.get("synchronous", "FULL")
    if connection.info.get("synchronous", "FULL") != wanted:
        connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
        connection.info["synchronous"] = wanted
    # IMMEDIATE: a transaction that reads and then writes must not find that another process wrote in between.
    connection.exec_driver_sql(f"BEGIN {options.get('begin', 'DEFERRED')}")


def _to_json(value: object) -> str:
    """JSON of anything: evidence holds numbers of array libraries, and must never keep a reply from being stored."""
    try:
        return orjson.dumps(value, default=_odd, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()
    except orjson.JSONEncodeError:  # half a surrogate pair, a number beyond 64 bits
        return json.dumps(value, default=_odd)


def _odd(value: Any) -> object:
    return value.item() if hasattr(value, "item") else str(value)


_ONE = text("SELECT 1")
_INSERT_NEW: dict[tuple[str, str], Any] = {}
"""Statements are made once: making one takes longer than carrying it out."""
# Parameters are customers' words: they must not stand in an error, and so in no log.
_OPTIONS: Mapping[str, Any] = {"hide_parameters": True, "json_serializer": _to_json, "json_deserializer": json.loads}


def _refused(error: SQLAlchemyError | OSError) -> StorageError:
    return StorageError(f"The database refused a statement ({_reason(error)}). Nothing was stored; please report it.")


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _is_current(connection: Connection) -> bool:
    made = MigrationContext.configure(connection).get_current_heads()
    return set(made) == set(ScriptDirectory.from_config(_migrations()).get_heads())


def _upgrade(connection: Connection) -> None:
    config = _migrations()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _reason(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    return f"{type(original).__name__}: {original}"
