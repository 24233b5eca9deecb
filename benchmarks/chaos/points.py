"""Where a gateway dies: at the n-th passing of a place that every message goes through, by kill -9 from within.

A signal from outside lands anywhere, mostly where the process waits. The moments that lose or double a message are
shorter than that, so the process ends itself there; nothing of ours runs after it, as with any kill -9.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection

from channels.base import Request
from retrieval.prompt import Message
from service import bootstrap
from service.delivery import outbox, sending
from service.engines.generation import VllmGenerator
from service.ports import Piece, Sampling
from service.storage.database import Database

T = TypeVar("T")

Kind = Literal["before a commit", "after a commit", "in generation", "before a send", "after a send", "anywhere"]
WRITES = ("accept", "next_turn", "finish", "claim", "set")
"""The transactions of a message's way: stored, made a turn, answered; its reply claimed, and its parts recorded."""
PLACES: tuple[tuple[Kind, str], ...] = (
    *(("before a commit", where) for where in WRITES),
    *(("after a commit", where) for where in WRITES),
    ("in generation", ""),
    ("before a send", ""),
    ("after a send", ""),
    ("anywhere", ""),
)
"""`anywhere` is a signal from outside, at any moment."""
MOST_PASSINGS = 8
"""A life that serves one message a platform passes each place about as often."""
DEADLY = "deadly"
"""The place of a generation whose question has this word, at which the others do not pass."""
TEXT_CHARS = 150
"""A call with more in it carries a reply, and no sign of typing."""


@dataclass(frozen=True, slots=True)
class Point:
    """Die at the n-th passing, from 1."""

    kind: Kind
    where: str
    """Which transaction; empty where a kind has but one place."""
    nth: int
    told_to: Path
    """Gets a line that says where it was."""


def arm(point: Point) -> None:
    """Lay the trap in this process."""
    left = point.nth

    def passing(kind: Kind, where: str) -> None:
        nonlocal left
        if (kind, where) != (point.kind, point.where):
            return
        left -= 1
        if left == 0:
            with point.told_to.open("a", encoding="utf-8") as log:
                log.write(f"{kind} {where}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    _arm_commits(passing)
    _arm_generation(passing)
    _arm_sends(passing)


def _arm_commits(passing: Callable[[Kind, str], None]) -> None:
    write = Database.write

    async def watched(self: Database, work: Callable[[Connection], T], **how: bool) -> T:
        # Of `_Courier._set.<locals>.change` it is `set`: what the transaction is made in.
        where = getattr(work, "__qualname__", "?").partition(".<locals>")[0].rpartition(".")[2].lstrip("_")

        def inside(connection: Connection) -> T:
            result = work(connection)
            passing("before a commit", where)
            return result

        result = await write(self, inside, **how)
        passing("after a commit", where)
        return result

    Database.write = watched  # type: ignore[method-assign]


def _arm_generation(passing: Callable[[Kind, str], None]) -> None:
    stream = VllmGenerator.stream

    async def watched(
        self: VllmGenerator, messages: Sequence[Message], *, model: str, sampling: Sampling, gather_s: float = 0.0
    ) -> AsyncGenerator[Piece, None]:
        async for piece in stream(self, messages, model=model, sampling=sampling, gather_s=gather_s):
            yield piece
            passing("in generation", DEADLY if DEADLY in messages[-1].content else "")

    VllmGenerator.stream = watched  # type: ignore[method-assign]


def _arm_sends(passing: Callable[[Kind, str], None]) -> None:
    sender = sending.sender

    def watched(session: Any) -> outbox.Send:
        send = sender(session)

        async def watching(request: Request) -> tuple[int, Mapping[str, str], bytes]:
            where = "" if len(str(request.fields)) > TEXT_CHARS else "of a signal"
            passing("before a send", where)
            answer = await send(request)
            passing("after a send", where)
            return answer

        return watching

    vars(bootstrap)["sender"] = watched
