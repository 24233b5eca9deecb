"""The one writer of a SQLite file: what a platform waits for goes first, and what waits together is committed together.

A commit waits for the disk, whatever is in it. Two hundred webhooks a second that wait for a commit each, behind turns
that all end in the same moment, wait for seconds; those that wait together wait for one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

T = TypeVar("T")

MOST_TOGETHER = 32
"""Urgent transactions in one commit: the first of them waits for the last."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A transaction that waits."""

    work: Callable[[Connection], Any]
    durable: bool
    done: Future[Any] = field(default_factory=Future)


class Writer:
    """Runs transactions on a thread of its own, the urgent ones before the others, each kind in its order."""

    def __init__(self, engine: Engine) -> None:
        self._engines = {
            durable: engine.execution_options(begin="IMMEDIATE", synchronous="FULL" if durable else "NORMAL")
            for durable in (True, False)
        }
        self._urgent: deque[_Job] = deque()
        self._others: deque[_Job] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database-write")

    async def run(self, work: Callable[[Connection], T], *, durable: bool = True, urgent: bool = False) -> T:
        """Run a transaction; arguments and errors are those of `Database.write`."""
        job = _Job(work, durable)
        (self._urgent if urgent else self._others).append(job)
        # Not this one but whichever is next by then; one that was committed with others leaves nothing to do.
        self._thread.submit(self._next)
        found: T = await asyncio.wrap_future(job.done)
        return found

    def close(self) -> None:
        """Run what waits, then end (blocking)."""
        self._thread.shutdown()

    def _next(self) -> None:
        jobs = _first(self._urgent, MOST_TOGETHER) or _first(self._others, 1)
        if not jobs:
            return
        try:
            with self._engines[any(job.durable for job in jobs)].begin() as connection:
                ends = [_end(connection, job) for job in jobs]
        except BaseException as error:
            for job in jobs:
                job.done.set_exception(error)
        else:
            for tell in ends:
                tell()


def _first(waiting: deque[_Job], most: int) -> Sequence[_Job]:
    taken = [waiting.popleft() for _ in range(min(len(waiting), most))]
    # From here on nobody can cancel them; those whose callers went away before are not run.
    return [job for job in taken if job.done.set_running_or_notify_cancel()]


def _end(connection: Connection, job: _Job) -> Callable[[], None]:
    """Run one of several; returns how to tell of it, once all of them are on disk.

    One that fails leaves nothing behind, and does no harm to the others. Some errors, such as a full disk, make SQLite
    roll back everything at once: these are of all of them.
    """
    savepoint = connection.begin_nested()
    try:
        result = job.work(connection)
        savepoint.commit()
    except Exception as error:
        try:
            savepoint.rollback()
        except SQLAlchemyError:
            raise error from None
        failed = error
        return lambda: job.done.set_exception(failed)
    return lambda: job.done.set_result(result)
