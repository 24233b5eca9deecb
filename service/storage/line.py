"""How gateways speak with each other: PostgreSQL's LISTEN and NOTIFY.

Each gateway listens on a channel of its own and on one for all. A message of any size arrives whole; those of one
gateway arrive in their order, each once. What is told inside a transaction (`tell`) arrives if that is committed.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import URL, Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

Message = Mapping[str, Any]
Hear = Callable[[str, Message], None]
"""Gets the sender, empty where a transaction told it, and the message."""

EVERYONE = "all"
CHUNK = 7000
"""Characters of a message in one notification. Source: PostgreSQL 15, NOTIFY: a payload is below 8000 bytes."""
BATCH = 64
ANSWER_S = 5.0
"""A statement that takes longer means that the line is dead."""
_TELL = text("SELECT pg_notify(:channel, :payload)")


def tell(connection: Connection, gateway: str, message: Message) -> None:
    """Tell a gateway something short, if this transaction is committed. Nothing in SQLite, which has one gateway."""
    if connection.dialect.name == "postgresql":
        payload = f"- 0 . {json.dumps(message)}"
        connection.execute(_TELL, {"channel": _channel(gateway), "payload": payload})


class Line:
    """A gateway's own connection, for what it hears, what it says, and its beat."""

    def __init__(self, url: URL, hear: Hear) -> None:
        self._engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
        self._hear = hear
        self._connection: AsyncConnection | None = None
        self._driver: Any = None
        # A driver's connection carries out one statement at a time.
        self._free = asyncio.Lock()
        self._me = ""
        self._number = 0
        self._waiting: deque[tuple[str, str]] = deque()
        self._news = asyncio.Event()
        self._heard: dict[str, int] = {}
        self._parts: dict[str, list[str]] = {}

    async def open(self, me: str) -> None:
        """Connect and listen; what was posted and not sent is sent then."""
        await self.close()
        if me != self._me:
            self._me = me
            self._waiting.clear()
        # What was cut amid a message never gets its end.
        self._parts.clear()
        async with asyncio.timeout(ANSWER_S):
            self._connection = await self._engine.connect()
            raw = await self._connection.get_raw_connection()
        self._driver = raw.driver_connection
        async with asyncio.timeout(ANSWER_S):
            for name in (me, EVERYONE):
                await self._driver.add_listener(_channel(name), self._arrived)

    async def close(self) -> None:
        """Hang up."""
        connection, driver = self._connection, self._driver
        self._connection = self._driver = None
        if driver is not None:
            # At once, and without asking a server that may be gone.
            driver.terminate()
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def run(self, statement: str, *values: object) -> Sequence[Any]:
        """Carry out one statement at once; returns its rows.

        Raises:
            OSError, TimeoutError, asyncpg's errors: The line is dead; open it again.
        """
        async with self._free, asyncio.timeout(ANSWER_S):
            rows: Sequence[Any] = await self._driver.fetch(statement, *values)
            return rows

    def post(self, to: str, message: Message) -> None:
        """Send a message to one gateway or to `EVERYONE`; it goes out soon, in order with all others of ours."""
        whole = json.dumps(message, separators=(",", ":"))
        chunks = [whole[at : at + CHUNK] for at in range(0, len(whole), CHUNK)]
        for at, chunk in enumerate(chunks, start=1):
            self._number += 1
            end = "." if at == len(chunks) else "+"
            self._waiting.append((_channel(to), f"{self._me} {self._number} {end} {chunk}"))
        self._news.set()

    async def pump(self) -> None:
        """Send what is posted, until the line is dead; raises as `run`."""
        while True:
            await self.flush()
            self._news.clear()
            if not self._waiting:
                await self._news.wait()

    async def flush(self) -> None:
        """Send what is posted by now; raises as `run`."""
        while self._waiting:
            batch = [self._waiting[at] for at in range(min(BATCH, len(self._waiting)))]
            async with self._free, asyncio.timeout(ANSWER_S):
                # Numbers make payloads differ: the server folds equal ones of a transaction into one.
                await self._driver.executemany("SELECT pg_notify($1, $2)", batch)
            # Sent again where the answer was lost; who heard it already knows its number.
            for _ in batch:
                self._waiting.popleft()

    def _arrived(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        sender, number, end, chunk = str(payload).split(" ", 3)
        if sender == self._me:
            return
        if sender == "-":
            self._hear("", json.loads(chunk))
            return
        # Numbers grow over all channels of a sender, so they grow on each.
        key = f"{sender} {channel}"
        if int(number) <= self._heard.get(key, 0):
            return
        self._heard[key] = int(number)
        parts = self._parts.setdefault(key, [])
        parts.append(chunk)
        if end == ".":
            del self._parts[key]
            self._hear(sender, json.loads("".join(parts)))

    def forget(self, gateway: str) -> None:
        """A gateway is gone for good."""
        for kept in (self._heard, self._parts):
            for key in [key for key in kept if key.startswith(f"{gateway} ")]:
                del kept[key]


def _channel(gateway: str) -> str:
    return f"brandvoice_{gateway}"
