"""Databases and gateways of one's own."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from configs.home import Home
from configs.service import Secret
from retrieval.testing import HashEncoder
from service import bootstrap
from service.console.change_words import DETAILS
from service.storage import audit_rows
from service.storage.database import Database
from service.turns.lanes import Lanes
from tests.unit.service.doors import KEY, Door, door_config, open_door


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A database of one's own: a file, or what TEST_DATABASE_URL names, emptied first."""
    given = os.environ.get("TEST_DATABASE_URL")
    if not given:
        return f"sqlite:///{tmp_path}/brandvoice.db"
    engine = create_async_engine(given)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await engine.dispose()
    return given


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    """A database, open."""
    database = await Database.open(url)
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def details_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written into the log of changes, its page can say in words."""
    real = audit_rows.add

    def add(connection: Connection, *, detail: Mapping[str, Any] | None = None, **values: Any) -> None:
        assert set(detail or {}) <= {*DETAILS, "title", "person"}
        real(connection, detail=detail, **values)

    monkeypatch.setattr(audit_rows, "add", add)


@pytest.fixture
def sqlite_only(url: str) -> None:
    if not url.startswith("sqlite"):
        pytest.skip("about SQLite")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty state folder, for a gateway that loads no weights."""
    monkeypatch.setattr(bootstrap, "_encoder", lambda _folder: HashEncoder())
    # No engine comes here, so there is nothing to wait for at the end.
    monkeypatch.setattr(Lanes, "drain", functools.partialmethod(Lanes.drain, patience_s=0.1))
    return Home(tmp_path)


@pytest.fixture
def door(home: Home) -> Iterator[Door]:
    """A gateway that asks for no key."""
    with open_door(door_config(home), home) as opened:
        yield opened


@pytest.fixture
def locked(home: Home, tmp_path: Path) -> Iterator[Door]:
    """A gateway that asks for KEY."""
    (tmp_path / "keys").write_text(f"another-key-of-sixteen,{KEY}", encoding="utf-8")
    with open_door(door_config(home, api_keys=Secret(file=tmp_path / "keys")), home) as opened:
        yield opened
