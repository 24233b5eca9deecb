"""Several engines behind one gateway: each adapter is loaded and proven on each, and requests are spread.

Seen from the pipeline the pool is one generator, seen from the voices one holder of adapters. An engine gets requests
for an adapter only while it answers and has proven that adapter, so one that was started anew comes back by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from retrieval.prompt import Message
from service.engines.adapters import model_name
from service.engines.breaker import Breaker
from service.engines.process import EngineState, RemoteEngine
from service.engines.voices import EngineAdapters
from service.errors import (
    AdapterUnknown,
    EngineAway,
    EngineFailed,
    EngineLost,
    EngineResting,
    ModelUnavailable,
    ServiceError,
)
from service.ports import Generator, Piece, Sampling

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Member:
    """One engine of the pool."""

    engine: RemoteEngine
    adapters: EngineAdapters
    generator: Generator
    breaker: Breaker = field(default_factory=Breaker)
    """The one that guards the generator."""
    in_flight: int = 0
    served: int = 0
    """Requests that it got so far, which decides between two that are equally busy."""


class EnginePool:
    """Engines that serve the same base model and the same adapters."""

    def __init__(
        self,
        members: Sequence[Member],
        *,
        base_name: str,
        on_change: Callable[[EngineState], None] = lambda _: None,
        on_count: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Make a pool, which listens to its engines' states.

        Args:
            members: The engines.
            base_name: The engines' name for the base model, which needs no adapter.
            on_change: Told when the first engine answers and when the last one no longer does.
            on_count: Told how many engines answer, each time that one comes or goes.
        """
        self.state: EngineState = "starting"
        self.failure: EngineFailed | None = None
        self._members = tuple(members)
        self._base_name = base_name
        self._on_change = on_change
        self._on_count = on_count
        self._ready = asyncio.Event()
        self._loading: dict[tuple[str, str], asyncio.Task[None]] = {}
        """What is being made ready, by the engine's address and the model."""
        self._told: dict[tuple[str, str], str] = {}
        for member in self._members:
            member.engine.on_change = partial(self._changed, member)

    def start(self) -> None:
        """Begin to look after all engines."""
        for member in self._members:
            member.engine.start()

    async def ready(self) -> None:
        """Wait until one of them answers."""
        await self._ready.wait()

    async def stop(self) -> None:
        """Look no longer."""
        for member in self._members:
            await member.engine.stop()
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)

    def _changed(self, member: Member, state: EngineState) -> None:
        """An engine came or went."""
        if state != "ready":
            member.adapters.forget({})
        elif member.engine.was_away:
            member.breaker.try_now()
        answering = len(self._live())
        log.warning("engine_changed", extra={"engine": member.engine.url, "state": state, "answering": answering})
        if answering:
            self._ready.set()
        else:
            self._ready.clear()
        together: EngineState = "ready" if answering else "down"
        if together != self.state:
            self.state = together
            self._on_change(together)
        self._on_count(answering)

    async def make_ready(self, brand: str, version: str) -> None:
        """As `Adapters.make_ready` says: returns once one engine is ready for it; the others follow."""
        model = model_name(brand, version)
        live = self._live()
        lacking = [member for member in live if not member.adapters.holds(model)]
        tasks = [self._prepare(member, brand, version) for member in lacking]
        if len(lacking) < len(live):
            return
        errors: list[BaseException] = []
        while tasks:
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            failed = [error for task in done if (error := _error(task)) is not None]
            if len(failed) < len(done):
                return
            errors += failed
            tasks = list(pending)
        # That an adapter is refused says more than that another engine was away: the version before it can speak.
        for error in sorted(errors, key=lambda one: not isinstance(one, AdapterUnknown)):
            if isinstance(error, ServiceError):
                raise error
        raise ModelUnavailable(f"None of the {len(self._members)} engines can take {model} now.")

    async def stream(
        self, messages: Sequence[Message], *, model: str, sampling: Sampling, gather_s: float = 0.0
    ) -> AsyncGenerator[Piece, None]:
        """Generate as `Generator.stream` says, on the least busy engine; on another where it gives no first token."""
        tried: list[Member] = []
        while (member := self._choose(model, tried)) is not None:
            tried.append(member)
            member.in_flight += 1
            member.served += 1
            begun = False
            try:
                pieces = member.generator.stream(messages, model=model, sampling=sampling, gather_s=gather_s)
                async with aclosing(pieces):
                    async for piece in pieces:
                        begun = True
                        yield piece
            except (ModelUnavailable, AdapterUnknown) as error:
                if isinstance(error, EngineLost):
                    member.engine.doubt()
                elif isinstance(error, AdapterUnknown):
                    # It was proven there, so the engine was started anew between two looks.
                    member.adapters.forget({})
                if begun:
                    raise
                log.warning("generation_failed", extra={"engine": member.engine.url, "reason": str(error)[:200]})
            else:
                return
            finally:
                member.in_flight -= 1
        nothing = f"None of the {len(self._members)} engines can answer with {model} now."
        if tried:
            raise ModelUnavailable(nothing)
        # Nobody was asked, so the prompt has no part in it.
        if resting := [member.breaker.retry_after_s for member in self._able(model)]:
            raise EngineResting(nothing, min(resting))
        raise EngineAway(nothing)

    def _choose(self, model: str, tried: Sequence[Member]) -> Member | None:
        """The least busy engine that answers, is not left alone, has proven the model, and was not tried yet."""
        able = [member for member in self._able(model) if member not in tried and member.breaker.passes]
        return min(able, key=lambda member: (member.in_flight, member.served), default=None)

    def _able(self, model: str) -> list[Member]:
        return [member for member in self._live() if model == self._base_name or member.adapters.holds(model)]

    def _live(self) -> list[Member]:
        return [member for member in self._members if member.engine.state == "ready"]

    def _prepare(self, member: Member, brand: str, version: str) -> asyncio.Task[None]:
        """Make a version ready on one engine, once at a time."""
        key = (member.engine.url, model_name(brand, version))
        if (running := self._loading.get(key)) is not None:
            return running
        task = asyncio.create_task(member.adapters.make_ready(brand, version), name=f"adapter-{key[1]}")
        self._loading[key] = task
        task.add_done_callback(lambda done: self._prepared(key, done))
        return task

    def _prepared(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        self._loading.pop(key, None)
        if (error := _error(task)) is None:
            self._told.pop(key, None)
        elif self._told.get(key) != str(error):
            # Each turn tries again; the log hears of it once.
            self._told[key] = str(error)
            log.error("adapter_unusable", extra={"engine": key[0], "model": key[1], "reason": str(error)})


def _error(task: asyncio.Task[None]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()
