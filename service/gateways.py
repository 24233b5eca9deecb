"""Who serves from this database: one gateway on SQLite, any number of them on PostgreSQL.

Each of several adds one to its `beat` every second, and watches those of the others by a clock of its own: clocks of
two machines are never compared. One whose beat stands still for `database.lease_s` is taken for dead: its row goes, and
with it every right that it had. What it had begun is taken up by those who live. If it lives after all, it finds its
row gone, gives up what it does, and goes on under another id. See docs/adr/0013.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import delete
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from configs.errors import ConfigError
from service.delivery import outbox
from service.errors import ServiceError, StorageUnavailable
from service.storage import leases
from service.storage.database import Database, now
from service.storage.leases import Membership, Unshared
from service.storage.line import EVERYONE, Line, Message
from service.storage.tables import gateways
from service.telemetry import Metrics
from service.turns.hub import Hub
from service.turns.shared_hub import SharedHub

log = logging.getLogger(__name__)

BEAT_S = 1.0
"""Between two beats; a fifth of a short lease."""
SURE = 0.7
"""Share of the lease after which a gateway whose beats fail no longer counts on not being taken for dead."""
AWAY = 0.5
"""Share of the lease after which a watcher who has not looked knows nothing of the others any more."""


_ENTER = "INSERT INTO gateways (id, started_at, beat) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING"
_BEAT = "UPDATE gateways SET beat = beat + 1 WHERE id = $1 RETURNING beat"


class Runs(Protocol):
    """What a gateway does for its conversations; see `service.turns.lanes`."""

    def submit(self, conversation: str, *, wait_s: float = 0.0, news: bool = True) -> None:
        """Something was said in a conversation that is ours."""
        ...

    def take_up(self, conversations: Iterable[str]) -> None:
        """Nobody answers these, or may not have heard of what was said."""
        ...

    def hush(self, conversation: str) -> None:
        """A person has it: say no more."""
        ...

    def stop(self, conversation: str, turn: str) -> None:
        """Its reader wants no more of this turn."""
        ...

    def abandon(self) -> None:
        """Everything was taken over."""
        ...


class Place(Membership, Protocol):
    """A gateway's place among those who serve from the database."""

    @property
    def hub(self) -> Hub:
        """Where its sockets hear of turns."""
        ...

    @property
    def first(self) -> bool:
        """Whether it does what one of them does for all: telling a webhook. For moments there may be two or none."""
        ...

    def hush(self, conversation: str) -> None:
        """A person has this conversation: what a bot is saying in it ends, wherever its turn runs."""
        ...

    def stop(self, conversation: str, turn: str) -> None:
        """Its reader wants no more of this turn, wherever it runs."""
        ...

    def serve(self, runs: Runs, deliver: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Take the place, and keep it until the block ends; raises ServiceError where that fails."""
        ...


def place(db: Database, url: str, *, lease_s: float, metrics: Metrics) -> Place:
    """A place at this kind of database.

    Args:
        db: The open database.
        url: Its address.
        lease_s: How long a gateway may be silent; the same for all.
        metrics: Counts gateways.

    Raises:
        StorageUnavailable: Its driver has no way for gateways to hear each other.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Alone(db, Path(parsed.database or ""), metrics)
    if parsed.get_driver_name() != "asyncpg":
        raise StorageUnavailable(
            f"Gateways hear each other over asyncpg, not over {parsed.drivername}. "
            "Name the database as postgresql+asyncpg://... in database.url."
        )
    return Among(db, url, lease_s=lease_s, metrics=metrics)


class Alone(Unshared):
    """The one gateway of a file; a second one is refused, so nothing is noted of who has what."""

    def __init__(self, db: Database, file: Path, metrics: Metrics) -> None:
        super().__init__()
        self._db = db
        self._file = file
        self._metrics = metrics
        self._runs: Runs | None = None
        self.hub = Hub()
        self.first = True

    def hush(self, conversation: str) -> None:
        """It can only run here."""
        if self._runs is not None:
            self._runs.hush(conversation)

    def stop(self, conversation: str, turn: str) -> None:
        """It can only run here."""
        if self._runs is not None:
            self._runs.stop(conversation, turn)

    @asynccontextmanager
    async def serve(self, runs: Runs, deliver: Callable[[], None]) -> AsyncIterator[None]:  # noqa: ARG002
        """Hold the file; whoever held it before has ended.

        Raises:
            ConfigError: Another gateway holds it.
        """
        self._runs = runs
        with _held(self._file):
            # Whoever stands here came from a server, with its data.
            await self._db.write(lambda connection: connection.execute(delete(gateways)))
            self._metrics.gateways.set(1)
            await outbox.recover(self._db)
            yield


class Among:
    """One of several gateways at a server."""

    def __init__(self, db: Database, url: str, *, lease_s: float, metrics: Metrics) -> None:
        self._db = db
        self._line = Line(make_url(url), self._hear)
        self._lease_s = lease_s
        self._beat_s = min(BEAT_S, lease_s / 5)
        self._metrics = metrics
        self._id = _new_id()
        self._entered = False
        self._sure_until = 0.0
        self.first = False
        self._runs: Runs
        self._deliver: Callable[[], None]
        self._sweep_now = asyncio.Event()
        self.hub: Hub = SharedHub(lambda: self._id, self._line.post, lambda one: leases.holder(db, one))

    @property
    def id(self) -> str:
        """Its row."""
        return self._id

    def sure(self) -> bool:
        """Whether its beat was seen late enough."""
        return time.monotonic() < self._sure_until

    def hush(self, conversation: str) -> None:
        """Here, and told to all; one that does not hear it is refused when it stores what the bot said."""
        self._runs.hush(conversation)
        self._line.post(EVERYONE, {"kind": "hush", "conversation": conversation})

    def stop(self, conversation: str, turn: str) -> None:
        """Here, and told to all: whoever runs it ends it with what was shown."""
        self._runs.stop(conversation, turn)
        self._line.post(EVERYONE, {"kind": "stop", "conversation": conversation, "turn": turn})

    @asynccontextmanager
    async def serve(self, runs: Runs, deliver: Callable[[], None]) -> AsyncIterator[None]:
        """Be one of them.

        Raises:
            StorageUnavailable: The server does not let us listen.
        """
        self._runs, self._deliver = runs, deliver
        try:
            await self._enter()
        except _dead_lines() as error:
            await self._line.close()
            raise StorageUnavailable(
                f"The database cannot be listened to ({type(error).__name__}: {error})."
            ) from error
        await outbox.recover(self._db)
        keeper = asyncio.create_task(self._keep(), name="gateways")
        sweeper = asyncio.create_task(self._sweep(), name="sweeper")
        try:
            yield
        finally:
            for task in (keeper, sweeper):
                task.cancel()
            await asyncio.gather(keeper, sweeper, return_exceptions=True)
            with contextlib.suppress(*_dead_lines()):
                await self._leave()
            await self._line.close()

    async def _enter(self) -> None:
        """Listen first: whoever sees our row may speak to us. A row that was taken away is never made again."""
        await self._line.open(self._id)
        since = time.monotonic()
        if not self._entered:
            await self._line.run(_ENTER, self._id, now())
            self._entered = True
        elif not await self._line.run(_BEAT, self._id):
            raise _Buried
        self._sure_until = since + SURE * self._lease_s

    async def _leave(self) -> None:
        """In order: what is left unanswered is taken up at once."""
        await self._line.run("DELETE FROM gateways WHERE id = $1", self._id)
        self._line.post(EVERYONE, {"kind": "left"})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._line.flush()

    async def _keep(self) -> None:
        """Beat, watch, speak; for ever, whatever happens to the line."""
        while True:
            beating = asyncio.create_task(self._beat())
            pumping = asyncio.create_task(self._line.pump())
            try:
                await asyncio.wait((beating, pumping), return_when=asyncio.FIRST_COMPLETED)
                for task in (beating, pumping):
                    if task.done():
                        task.result()
            except _Buried:
                self._begin_anew()
            except _dead_lines() as error:
                log.warning("gateway_line_lost", extra={"reason": f"{type(error).__name__}: {error}"})
            except Exception:
                # The outermost loop: whoever stops beating is taken for dead.
                log.exception("gateway_line_lost")
            finally:
                for task in (beating, pumping):
                    task.cancel()
                await asyncio.gather(beating, pumping, return_exceptions=True)
            await self._come_back()

    def _begin_anew(self) -> None:
        self._sure_until = 0.0
        log.warning("gateway_buried", extra={"gateway": self._id})
        self._id, self._entered, self.first = _new_id(), False, False
        self._runs.abandon()

    async def _come_back(self) -> None:
        not_yet: tuple[type[Exception], ...] = (*_dead_lines(), ServiceError)
        while True:
            try:
                await self._enter()
                missed = await leases.held_by(self._db, self._id)
            except _Buried:
                self._begin_anew()
            except not_yet as error:
                log.warning("gateway_line_lost", extra={"reason": f"{type(error).__name__}: {error}"})
                await asyncio.sleep(BEAT_S)
            else:
                break
        # Nobody knows what was said to us meanwhile: ours are looked through, and sockets come back for a snapshot.
        if isinstance(self.hub, SharedHub):
            self.hub.reset()
        self._runs.take_up(missed)
        self._sweep_now.set()

    async def _beat(self) -> None:
        watch = Watch(self._lease_s)
        while True:
            since = time.monotonic()
            if not await self._line.run(_BEAT, self._id):
                raise _Buried
            self._sure_until = since + SURE * self._lease_s
            rows = await self._line.run("SELECT id, beat FROM gateways")
            beats = {row["id"]: row["beat"] for row in rows if row["id"] != self._id}
            self._metrics.gateways.set(len(beats) + 1)
            self.first = self._id < min(beats, default="z")
            for gateway in watch.silent(beats):
                # Only if it is still silent: its next beat and this wait for each other.
                if await self._line.run(
                    "DELETE FROM gateways WHERE id = $1 AND beat = $2 RETURNING id", gateway, beats[gateway]
                ):
                    log.warning("gateway_found_dead", extra={"gateway": gateway})
                    self._metrics.buried.inc()
                    self._line.forget(gateway)
                    self._sweep_now.set()
            await asyncio.sleep(self._beat_s)

    async def _sweep(self) -> None:
        """Take up what dead gateways left, conversations and replies."""
        while True:
            try:
                left = await leases.orphans(self._db)
                # In another order than other sweepers: the first to come has a conversation.
                random.shuffle(left)
                self._runs.take_up(left)
                if await outbox.recover(self._db):
                    self._deliver()
            except ServiceError as error:
                log.warning("sweep_failed", extra={"reason": str(error)})
            except Exception:
                log.exception("sweep_failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._sweep_now.wait()
            self._sweep_now.clear()

    def _hear(self, sender: str, message: Message) -> None:
        match message["kind"]:
            case "news":
                self._runs.submit(message["conversation"], wait_s=message["wait_s"], news=message["news"])
            case "hush":
                self._runs.hush(message["conversation"])
            case "stop":
                self._runs.stop(message["conversation"], message["turn"])
            case "left":
                self._sweep_now.set()
            case _ if isinstance(self.hub, SharedHub):
                self.hub.hear(sender, message)


class Watch:
    """Which beats stand still, by the watcher's own clock."""

    def __init__(self, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease_s = lease_s
        self._clock = clock
        self._since: dict[str, tuple[int, float]] = {}
        self._looked = clock()

    def silent(self, beats: Mapping[str, int]) -> list[str]:
        """Those whose beat stood still for the whole lease, while we looked again and again.

        Args:
            beats: Of the others, as read just now.
        """
        at = self._clock()
        if at - self._looked > AWAY * self._lease_s:
            # We slept, or the database did, and then nobody could beat.
            self._since.clear()
        self._looked = at
        known = {gateway: self._since.get(gateway, (-1, at)) for gateway in beats}
        self._since = {
            gateway: known[gateway] if known[gateway][0] == beat else (beat, at) for gateway, beat in beats.items()
        }
        return [gateway for gateway, (_, since) in self._since.items() if at - since >= self._lease_s]


class _Buried(Exception):
    """Our row is gone."""


def _dead_lines() -> tuple[type[Exception], ...]:
    """Errors of a line that must be opened again; the driver is there only where a server is used."""
    import asyncpg

    return (OSError, TimeoutError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError)


@contextlib.contextmanager
def _held(file: Path) -> Iterator[None]:
    """Hold a database file against other gateways; the system lets go of it when the process ends, however that is."""
    path = file.with_name(file.name + "-gateway")
    with path.open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise ConfigError(
                f"Another gateway (process {lock.read().strip() or 'unknown'}) serves from {file}, and a file takes "
                "one. Stop that gateway, or name a PostgreSQL database in database.url, which takes several."
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _new_id() -> str:
    return secrets.token_hex(8)
