from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from service.storage.database import Database


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """A database of one's own: a file, or what TEST_DATABASE_URL names, emptied first."""
    url = os.environ.get("TEST_DATABASE_URL")
    if url:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))
        await engine.dispose()
    database = await Database.open(url or f"sqlite:///{tmp_path}/brandvoice.db")
    yield database
    await database.close()
