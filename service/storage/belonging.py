"""What belongs to a conversation or a turn, told by the foreign keys: deleting one takes all of it along.

A table that a later migration adds is covered by its foreign keys, without a word here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, func, or_, select

from service.storage.tables import metadata

IN_ONE_STATEMENT = 500
"""Keys; SQLite takes 32,766 parameters, and each may stand in several conditions."""


def belonging(root: Table, keys: Collection[Any]) -> dict[Table, ColumnElement[bool]]:
    """Which rows of which tables belong to rows of `root`, themselves included; parents stand before children.

    Args:
        root: With a primary key of one column.
        keys: At most `IN_ONE_STATEMENT`.
    """
    found: dict[Table, ColumnElement[bool]] = {root: _key(root).in_(keys)}
    tables = metadata.sorted_tables
    for table in tables[tables.index(root) + 1 :]:
        ways = []
        for column, target in _references(table):
            if target.table is root:
                ways.append(column.in_(keys))
            elif target.table in found:
                ways.append(column.in_(select(target).where(found[target.table])))
        if ways:
            found[table] = or_(*ways)
    return found


def delete_with_all(connection: Connection, root: Table, keys: Collection[Any]) -> dict[str, int]:
    """Delete rows and everything that belongs to them, children first.

    Returns:
        Rows deleted, by table; tables without any are left out.
    """
    counts: dict[str, int] = {}
    for part in _parts(keys):
        for table, condition in reversed(belonging(root, part).items()):
            _add(counts, table, connection.execute(delete(table).where(condition)).rowcount)
    return counts


def count_with_all(connection: Connection, root: Table, keys: Collection[Any]) -> dict[str, int]:
    """How many rows `delete_with_all` would delete, by table."""
    counts: dict[str, int] = {}
    for part in _parts(keys):
        for table, condition in belonging(root, part).items():
            query = select(func.count()).select_from(table).where(condition)
            _add(counts, table, connection.execute(query).scalar_one())
    return counts


def add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    """Add counts to counts."""
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count


def _add(counts: dict[str, int], table: Table, count: int) -> None:
    if count:
        add(counts, {table.name: count})


def _parts(keys: Collection[Any]) -> Iterator[list[Any]]:
    every = list(keys)
    for begin in range(0, len(every), IN_ONE_STATEMENT):
        yield every[begin : begin + IN_ONE_STATEMENT]


def _references(table: Table) -> Iterator[tuple[Column[Any], Column[Any]]]:
    for key in sorted(table.foreign_keys, key=lambda one: one.parent.name):
        yield key.parent, key.column


def _key(table: Table) -> Column[Any]:
    (column,) = table.primary_key.columns
    return column
