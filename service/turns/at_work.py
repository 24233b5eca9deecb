"""A turn at work: its place among those that run, and why it ends before its reply does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import IntEnum

from service.turns.hub import LiveTurn

MOST_TIMES_ANEW = 3
"""A turn begins anew this often at most; then it is answered, and what came since is the next turn."""


class Ending(IntEnum):
    """Why a turn at work was cancelled; the greater reason holds."""

    NONE = 0
    ANEW = 1
    STOPPED = 2
    HUSHED = 3


@dataclass(slots=True)
class AtWork:
    """A turn at work."""

    task: asyncio.Task[None]
    live: LiveTurn
    times: int
    """How often it has begun anew already."""
    ending: Ending = Ending.NONE

    def end(self, why: Ending) -> None:
        """A person has the conversation, or its reader wants no more. What is decided already is told by the store."""
        if not (self.live.settled or self.task.done()):
            self._cancel(why)

    def begin_anew(self) -> None:
        """More was said: start again with all of it, while nobody has read a word, and not for ever."""
        if self.live.unheard and self.times < MOST_TIMES_ANEW and not self.task.done():
            # Nothing was spent on a turn that waits for an engine.
            self.times += not self.live.delayed
            self._cancel(Ending.ANEW)

    def _cancel(self, why: Ending) -> None:
        self.ending = max(self.ending, why)
        self.task.cancel()


class Slot:
    """A turn's place among those that run; given back while it waits for an engine, so that others may run."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._taken = False

    async def __aenter__(self) -> Slot:
        await self.take()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.give_back()

    async def take(self) -> None:
        """Wait for one."""
        await self._slots.acquire()
        self._taken = True

    def give_back(self) -> None:
        """Let another run."""
        if self._taken:
            self._taken = False
            self._slots.release()
