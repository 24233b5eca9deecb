"""All rows of one database into another, SQLite or PostgreSQL: whole and compared, or not at all.

Values travel as the databases hold them (JSON as its text), so that there and back gives the same rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    URL,
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    cast,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import StorageError, StorageUnavailable
from service.storage.database import Database, server_engine, sqlite_engine
from service.storage.tables import metadata

T = TypeVar("T")

BATCH = 500
"""Rows in memory at a time; one with its evidence has some 10 KB."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Held:
    """What a table holds."""

    rows: int
    digest: str
    """The same for the same rows, in whatever order they come."""


@dataclass(frozen=True, slots=True)
class Side:
    """One database during a copy: a connection in a transaction that ends with the block that opened it."""

    connection: Connection
    server: AsyncConnection | None
    """Whose loop the connection waits on."""


def database_url(given: str) -> URL:
    """A URL as people write it, with the driver that this project has.

    Raises:
        StorageError: Neither SQLite nor PostgreSQL.
    """
    try:
        url = make_url(given)
    except SQLAlchemyError as error:
        raise StorageError(f"{given!r} is no database URL. Write postgresql://user@host/name.") from error
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+asyncpg")
    if url.get_backend_name() in ("sqlite", "postgresql"):
        return url
    raise StorageError(
        f"{url.get_backend_name()} is not supported. Name a sqlite:///FILE or a postgresql://user@host/name."
    )


def shown(url: URL) -> str:
    """A URL without its password."""
    return url.render_as_string(hide_password=True)


async def copy_database(
    source: URL,
    target: URL,
    *,
    replace: bool = False,
    progress: Progress = lambda *_: None,
    before_end: Callable[[], None] = lambda: None,
) -> dict[str, Held]:
    """Copy everything, compare each table, and commit; an error leaves the target as it was.

    Nobody else may have either of them open: what a gateway stored after its table was copied would be lost.

    Args:
        source: Brought up to date first, like the target.
        target: Holds nothing, unless `replace`.
        replace: Whether what the target holds is deleted.
        progress: Told (rows done, rows in all).
        before_end: Called once all is right, before it is kept; an error of it leaves the target as it was.

    Returns:
        What each table holds now.

    Raises:
        StorageError: One is in use, the target holds something, or cannot hold what the source does.
        StorageUnavailable: One cannot be opened, is full or gone.
    """
    for url in (source, target):
        await (await Database.open(url.render_as_string(hide_password=False))).close()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(opened(source))
        other = await stack.enter_async_context(opened(target))
        held = await together(lambda: _copy(one.connection, other.connection, replace, progress), one, other)
        before_end()
        return held


@asynccontextmanager
async def opened(url: URL, *, alone: bool = True) -> AsyncIterator[Side]:
    """A transaction that sees one moment of a database; committed at the end of the block, unless it raises.

    Args:
        url: Whose tables are up to date.
        alone: Refuse a database that somebody else has open, and let nobody write meanwhile.

    Raises:
        StorageError: Somebody else has it open.
        StorageUnavailable: It cannot be opened.
    """
    try:
        if url.get_backend_name() == "sqlite":
            engine = sqlite_engine(url, alone=alone)
            try:
                with engine.begin() as connection:
                    yield Side(connection, None)
            finally:
                engine.dispose()
            return
        server = server_engine(url).execution_options(isolation_level="REPEATABLE READ")
        try:
            async with server.begin() as asynchronous:
                if alone:
                    await asynchronous.run_sync(_alone)
                yield Side(asynchronous.sync_connection, asynchronous)  # type: ignore[arg-type]
        finally:
            await server.dispose()
    except (DBAPIError, OSError) as error:
        raise _explained(url, error) from error


async def together(work: Callable[[], T], *sides: Side) -> T:
    """Run a plain function that uses the connections of these sides."""
    for side in sides:
        if side.server is not None:
            return await side.server.run_sync(lambda _: work())
    return work()


def look(connection: Connection) -> dict[str, Held]:
    """What each table holds."""
    return {table.name: _held(connection, table) for table in _raw(connection.dialect)}


def copy_rows(source: Connection, target: Connection, progress: Progress = lambda *_: None) -> dict[str, Held]:
    """Copy all rows between two transactions, parents before children; returns what was read of each table."""
    from_tables, to_tables = _raw(source.dialect), _raw(target.dialect)
    total = sum(source.execute(select(func.count()).select_from(table)).scalar_one() for table in from_tables)
    done, found = 0, {}
    for read, written in zip(from_tables, to_tables, strict=True):
        digest = _Digest()
        for rows in source.execute(select(read), execution_options={"yield_per": BATCH}).partitions():
            target.execute(written.insert(), [row._asdict() for row in rows])
            digest.add(rows)
            done += len(rows)
            progress(done, total)
        found[read.name] = digest.held()
    if target.dialect.name == "postgresql":
        _set_sequences(target)
    return found


def _copy(source: Connection, target: Connection, replace: bool, progress: Progress) -> dict[str, Held]:
    full = [table.name for table in metadata.sorted_tables if target.execute(select(table).limit(1)).first()]
    if full and not replace:
        raise StorageError(f"The target holds rows already, in {', '.join(full)}. Name an empty database.")
    for table in reversed(metadata.sorted_tables):
        target.execute(delete(table))
    sent = copy_rows(source, target, progress)
    arrived = look(target)
    if wrong := [name for name, held in sent.items() if arrived[name] != held]:
        raise StorageError(
            f"What arrived in {', '.join(wrong)} is not what was sent, so nothing was kept. Please report it."
        )
    return arrived


def _alone(connection: Connection) -> None:
    others = connection.execute(_OTHERS).scalar_one()
    if others:
        raise StorageError(
            f"{others} other connections to {shown(connection.engine.url)} are open, such as a running gateway's. "
            "End them first."
        )
    names = ", ".join(connection.dialect.identifier_preparer.format_table(table) for table in metadata.sorted_tables)
    # Reading goes on; who would write has to wait, or fails.
    connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE NOWAIT"))


def _set_sequences(connection: Connection) -> None:
    """The next id that the server gives comes after all that were copied."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            newest = select(func.max(column)).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, func.coalesce(newest, 1), newest.is_not(None))))


def _explained(url: URL, error: Exception) -> StorageError:
    reason = str(getattr(error, "orig", None) or error)
    if isinstance(error, OperationalError) and "locked" in reason:
        return StorageError(
            f"{shown(url)} is open in another process, such as a running gateway. End that process first."
        )
    if isinstance(error, OperationalError | OSError):
        return StorageUnavailable(f"{shown(url)} could not be used ({reason}). See whether it is there, and not full.")
    return StorageError(f"{shown(url)} refused a row, so nothing was kept ({reason}). Correct it there, and try again.")


# --- tables with JSON as its text ------------------------------------------------------------------------------------


class _Plain(TypeDecorator[str]):
    """Text of a JSON column in SQLite, which is all that it has."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, _dialect: Dialect) -> str | None:
        """A number alone comes back as one."""
        return value if value is None or isinstance(value, str) else json.dumps(value)


class _Cast(_Plain):
    """Text of a json column in PostgreSQL, which keeps it as it was written."""

    cache_ok = True

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        """On the way in."""
        return cast(bindvalue, JSON)

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """On the way out."""
        return cast(column, Text)


def _raw(dialect: Dialect) -> list[Table]:
    kind = _Cast if dialect.name == "postgresql" else _Plain
    if dialect.name not in _RAW:
        ours = MetaData()
        for table in metadata.sorted_tables:
            for column in table.to_metadata(ours).columns:
                if isinstance(column.type, JSON):
                    column.type = kind()
        _RAW[dialect.name] = [ours.tables[table.name] for table in metadata.sorted_tables]
    return _RAW[dialect.name]


_RAW: dict[str, list[Table]] = {}
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"
)


class _Digest:
    """Sum of the rows' own digests, which knows no order: two databases sort text differently."""

    def __init__(self) -> None:
        self._rows = 0
        self._sum = 0

    def add(self, rows: Any) -> None:
        for row in rows:
            written = json.dumps(_canonical(row._mapping), separators=(",", ":"), sort_keys=True)
            self._sum += int.from_bytes(hashlib.sha256(written.encode()).digest(), "big")
            self._rows += 1

    def held(self) -> Held:
        return Held(self._rows, f"{self._sum % 2**256:064x}")


def _canonical(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): value.isoformat()
        if isinstance(value, datetime)
        else value.hex()
        if isinstance(value, bytes)
        else value
        for name, value in row.items()
    }


def _held(connection: Connection, table: Table) -> Held:
    digest = _Digest()
    for rows in connection.execute(select(table), execution_options={"yield_per": BATCH}).partitions():
        digest.add(rows)
    return digest.held()
