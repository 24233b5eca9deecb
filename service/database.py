"""The connection to the database: SQLite by default, PostgreSQL by URL; migrated when it is opened."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Table, event, text
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
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service.errors import StorageError, StorageUnavailable

P = ParamSpec("P")
T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = threading.Lock()
BUSY_MS = 5000
OURS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""Faults of a statement, which the same statement meets again; everything else of a driver's is the server's."""


class Database:
    """A pool of connections; every use is one transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(begin="IMMEDIATE")
        self._lazy_writer = engine.execution_options(begin="IMMEDIATE", synchronous="NORMAL")
        # SQLite has one writer. Waiting here is fair and cheap; waiting in its busy handler is neither.
        self._writing = asyncio.Lock() if engine.dialect.name == "sqlite" else None

    @classmethod
    async def open(cls, url: str) -> Database:
        """Connect and bring the tables up to date.

        Args:
            url: SQLAlchemy URL with an async driver, such as `sqlite+aiosqlite:///brandvoice.db`.

        Raises:
            StorageUnavailable: It cannot be opened or migrated.
        """
        try:
            parsed = make_url(url)
            engine = _engine(parsed)
        except (SQLAlchemyError, OSError, ImportError) as error:
            raise StorageUnavailable(
                f"The database cannot be opened ({_reason(error)}). Check database.url, such as "
                "sqlite+aiosqlite:///brandvoice.db or, with `pip install brandvoice[postgres]`, "
                "postgresql+asyncpg://user@host/brandvoice."
            ) from error
        try:
            await asyncio.to_thread(_migrate, parsed)
        except (SQLAlchemyError, OSError) as error:
            await engine.dispose()
            raise StorageUnavailable(
                f"The database {parsed.render_as_string(hide_password=True)} cannot be opened ({_reason(error)}). "
                "Check database.url, the folder's permissions and the free space."
            ) from error
        except CommandError as error:
            await engine.dispose()
            raise StorageError(
                f"The database {parsed.render_as_string(hide_password=True)} was made by another version of brandvoice "
                f"({error}). Start the newer version, or name another database in database.url."
            ) from error
        return cls(engine)

    @asynccontextmanager
    async def begin(self, *, durable: bool = True) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes: committed at the end, rolled back on an error; see `whole`.

        Args:
            durable: Whether it must survive a power cut. What can be made again from what is on disk need not, and
                spares the visitor the wait for the disk; the order of commits holds either way (SQLite only).

        Raises:
            StorageUnavailable: Locked, full or gone; nothing was written.
            StorageError: The statement cannot be carried out.
        """
        writer = self._writer if durable else self._lazy_writer
        if self._writing is None:
            async with self._transaction(writer) as connection:
                yield connection
            return
        async with self._writing, self._transaction(writer) as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, in SQLite all of one moment; see `whole`."""
        async with self._transaction(self._engine) as connection:
            yield connection

    async def ping(self) -> None:
        """Ask it for the number one.

        Raises:
            StorageUnavailable: No answer.
        """
        await _ping(self)

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    def insert_new(self, table: Table, **values: Any) -> sqlite.Insert | postgresql.Insert:
        """INSERT that leaves an existing row with the same unique key alone; both dialects know it."""
        if self._engine.dialect.name == "sqlite":
            return sqlite.insert(table).values(**values).on_conflict_do_nothing()
        return postgresql.insert(table).values(**values).on_conflict_do_nothing()

    @staticmethod
    @asynccontextmanager
    async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        try:
            async with engine.begin() as connection:
                yield connection
        except (DatabaseError, InterfaceError, PoolTimeout, OSError) as error:
            if isinstance(error, OURS):
                raise _refused(error) from error
            raise StorageUnavailable(
                f"The database could not take this ({_reason(error)}). Nothing was stored; try again, "
                "and see whether the disk is full or another process holds the database."
            ) from error
        except SQLAlchemyError as error:
            raise _refused(error) from error


def whole(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let a function that makes a transaction come to its end, even if its caller is cancelled meanwhile.

    A statement that is cancelled half-way (a visitor closes the page) leaves its SQLite connection behind with an open
    transaction, and all others would wait for that lock. Every function that calls `begin` or `read` carries this.
    """

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.ensure_future(function(*args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            # Looked at, so that asyncio does not report it: nobody waits for it any more.
            if not task.cancelled():
                task.exception()
            raise

    return run


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


@whole
async def _ping(db: Database) -> None:
    async with db.read() as connection:
        await connection.execute(text("SELECT 1"))


def storable(text: str) -> str:
    """The text without what UTF-8 or PostgreSQL cannot hold: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def _engine(url: URL) -> AsyncEngine:
    sqlite_file = url.get_backend_name() == "sqlite"
    if sqlite_file:
        if not url.database or url.database == ":memory:":
            raise OSError("a database in memory has one connection and ends with it; name a file")
        path = Path(url.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Customers' words: for the owner's eyes only.
        path.touch(mode=0o600)
    # Parameters are customers' words: they must not stand in an error, and so in no log.
    engine = create_async_engine(
        url,
        # A file does not hang up; a server does.
        pool_pre_ping=not sqlite_file,
        hide_parameters=True,
        json_serializer=_to_json,
    )
    if sqlite_file:
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    # Python's driver would begin transactions late and never before DDL; `_begin_sqlite` begins each of them.
    connection.isolation_level = None
    cursor = connection.cursor()
    # FULL: what was acknowledged to a platform must survive a power cut.
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


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
    return json.dumps(value, default=lambda odd: odd.item() if hasattr(odd, "item") else str(odd))


def _refused(error: SQLAlchemyError | OSError) -> StorageError:
    return StorageError(f"The database refused a statement ({_reason(error)}). Nothing was stored; please report it.")


def _migrate(url: URL) -> None:
    """Bring the tables up to date, in a thread: alembic blocks, and keeps its context in a global."""

    async def run() -> None:
        engine = _engine(url)
        try:
            async with engine.execution_options(begin="IMMEDIATE").begin() as connection:
                await connection.run_sync(_upgrade)
        finally:
            await engine.dispose()

    with _MIGRATING:
        asyncio.run(run())


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _reason(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    return f"{type(original).__name__}: {original}"
