from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from service.storage.database import Database


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
    database = await Database.open(url)
    yield database
    await database.close()


@pytest.fixture
def sqlite_only(url: str) -> None:
    if not url.startswith("sqlite"):
        pytest.skip("about SQLite")
