"""A database of one's own costs a test little."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.storage import database


@pytest.fixture(scope="session", autouse=True)
def migrated_once() -> Iterator[None]:
    """The first new SQLite file is migrated; each later one begins as a copy of it.

    Migrating takes most of the time of whatever opens many databases. The copy is looked at by the same code, which
    finds nothing left to do.
    """
    migrate = database._File.migrate
    blank: list[bytes] = []

    def begin(path: Path) -> bool:
        """Whether it is new, and nothing is there yet to be copied."""
        new = not path.stat().st_size
        if new and blank:
            path.write_bytes(blank[0])
        return new and not blank

    async def copied_or_migrated(self: Any) -> None:
        path = Path(self._engine.url.database)
        first = begin(path)
        await migrate(self)
        if first:
            with contextlib.closing(sqlite3.connect(path)) as connection:
                blank.append(connection.serialize())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database._File, "migrate", copied_or_migrated)
        yield
