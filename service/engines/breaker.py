"""A circuit breaker for each engine: once it failed often enough in a row, nobody waits for it until it has rested.

An engine may answer its health check and still say nothing to a prompt. Without this, each turn would wait for the
whole deadline to learn what the turn before it learnt.

closed -> (`FAILURES` in a row) -> open -> (`rest_s` later, or the engine came back) -> half-open -> closed, or open
again for twice as long. Half-open, one request goes through; the others are told at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Literal

from retrieval.prompt import Message
from service.errors import EngineResting, ModelUnavailable
from service.ports import Generator, Piece, Sampling

log = logging.getLogger(__name__)

BreakerState = Literal["closed", "half-open", "open"]

FAILURES = 5
"""In a row. One turn tries three times, so that a single prompt that the engine cannot take does not open it."""
REST_S = 5.0
MOST_REST_S = 60.0


class Breaker:
    """What is known of one engine's answers."""

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        rest_s: float = REST_S,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[BreakerState], None] = lambda _: None,
    ) -> None:
        """Make a closed one.

        Args:
            failures: In a row, until it opens.
            rest_s: Seconds until it is tried again for the first time; then twice as long each time.
            clock: Seconds that never go back.
            on_change: Hears of each move.
        """
        self._most = failures
        self._first_rest_s = rest_s
        self._clock = clock
        self._on_change = on_change
        self._failed = 0
        self._rest_s = rest_s
        self._opened_at: float | None = None
        self._probing = False
        self._moved = asyncio.Event()

    @property
    def state(self) -> BreakerState:
        """Where it stands now."""
        if self._opened_at is None:
            return "closed"
        return "open" if self._left_s() > 0 else "half-open"

    @property
    def passes(self) -> bool:
        """Whether a request may go through now."""
        return self._opened_at is None or (self._left_s() <= 0 and not self._probing)

    @property
    def retry_after_s(self) -> float:
        """Seconds until it is worth another try; 0 where it is now."""
        return 0.0 if self.passes else max(self._left_s(), 1.0)

    def enter(self) -> bool:
        """A request goes to the engine.

        Returns:
            Whether it is the one that goes through half-open, on whose end the others wait.

        Raises:
            EngineResting: It does not go.
        """
        if not self.passes:
            raise EngineResting("The engine failed several times in a row and is left alone.", self.retry_after_s)
        if self._opened_at is None:
            return False
        self._probing = True
        self._tell()
        return True

    def heard(self) -> None:
        """It began to answer. Failures are forgotten once an answer is whole: a trickle is no health."""
        if self._opened_at is not None:
            self._close()

    def succeed(self) -> None:
        """It answered to the end, or refused a request as it should."""
        self._failed = 0
        self.heard()

    def fail(self, *, probe: bool = False) -> None:
        """It failed, or said too little for too long."""
        self._failed += 1
        if self._opened_at is not None and not probe:
            # It was under way when the others failed: nothing new.
            return
        if self._opened_at is None and self._failed < self._most:
            return
        if probe:
            self._rest_s = min(self._rest_s * 2, MOST_REST_S)
        self._probing = False
        self._opened_at = self._clock()
        self._tell()

    def let_go(self, *, probe: bool) -> None:
        """A request ended without telling anything of the engine: its reader left."""
        if probe:
            self._probing = False
            self._moved.set()

    def try_now(self) -> None:
        """The engine was started anew or answers again: the next request may go through."""
        if self._opened_at is not None:
            self._opened_at = self._clock() - self._rest_s
            self._probing = False
            self._tell()

    async def passable(self) -> None:
        """Wait until a request may go through."""
        while not self.passes:
            self._moved.clear()
            left_s = self._left_s()
            try:
                async with asyncio.timeout(left_s if left_s > 0 else None):
                    await self._moved.wait()
            except TimeoutError:
                continue

    def _left_s(self) -> float:
        return 0.0 if self._opened_at is None else self._opened_at + self._rest_s - self._clock()

    def _close(self) -> None:
        self._opened_at = None
        self._probing = False
        self._failed = 0
        self._rest_s = self._first_rest_s
        self._tell()

    def _tell(self) -> None:
        log.warning("breaker", extra={"state": self.state, "failures": self._failed, "rest_s": self._rest_s})
        self._moved.set()
        self._on_change(self.state)


class GuardedGenerator:
    """A generator behind its breaker."""

    def __init__(self, generator: Generator, breaker: Breaker, *, slow_s: float) -> None:
        """Guard one engine.

        Args:
            generator: The engine's.
            breaker: Its breaker.
            slow_s: A reply that was given up this late counts as a failure: the turn's deadline passed.
        """
        self._generator = generator
        self._slow_s = slow_s
        self.breaker = breaker

    async def stream(
        self, messages: Sequence[Message], *, model: str, sampling: Sampling, gather_s: float = 0.0
    ) -> AsyncGenerator[Piece, None]:
        """Generate as `Generator.stream` says.

        Raises:
            EngineResting: The breaker is open; the engine was not asked.
        """
        probe = self.breaker.enter()
        since = time.monotonic()
        heard = False
        try:
            stream = self._generator.stream(messages, model=model, sampling=sampling, gather_s=gather_s)
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    if not heard:
                        heard = True
                        self.breaker.heard()
                    yield piece
        except ModelUnavailable:
            self.breaker.fail(probe=probe and not heard)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if time.monotonic() - since >= self._slow_s:
                self.breaker.fail(probe=probe and not heard)
            elif not heard:
                self.breaker.let_go(probe=probe)
            raise
        except BaseException:
            # It refused this one request, and so it answers.
            self.breaker.succeed()
            raise
        else:
            self.breaker.succeed()


def best(breakers: Iterable[Breaker]) -> BreakerState:
    """The best state among all engines: what visitors feel."""
    order: tuple[BreakerState, ...] = ("closed", "half-open", "open")
    return min((one.state for one in breakers), key=order.index, default="closed")


async def answering(ready: Callable[[], Awaitable[None]], breakers: Mapping[str, Breaker]) -> None:
    """Wait until an engine is there and lets a request through."""
    await ready()
    tasks = [asyncio.ensure_future(one.passable()) for one in breakers.values()]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
