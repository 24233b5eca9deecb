"""A breaker opens after failures in a row, lets one request through after a rest, and spares all others the wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from retrieval.prompt import Message
from service.engines.breaker import (
    FAILURES,
    MOST_REST_S,
    REST_S,
    Breaker,
    BreakerState,
    GuardedGenerator,
    answering,
    best,
)
from service.errors import ContextTooLong, EngineLost, EngineResting
from service.ports import Sampling
from service.testing import ScriptedGenerator
from tests.patience import PATIENCE_S

MESSAGES = [Message("user", "Hello?")]
LOST = EngineLost("gone")


@dataclass
class Clock:
    at: float = 100.0

    def __call__(self) -> float:
        return self.at


def guarded(script: list[str | Exception], clock: Clock, *, slow_s: float = 60.0, delay_s: float = 0.0) -> Guard:
    return Guard(script, clock, slow_s, delay_s)


class Guard:
    """A generator behind a breaker, with a clock that stands until it is moved."""

    def __init__(self, script: list[str | Exception], clock: Clock, slow_s: float, delay_s: float) -> None:
        self.moves: list[BreakerState] = []
        self.scripted = ScriptedGenerator(script, delay_s=delay_s)
        self.breaker = Breaker(clock=clock, on_change=self.moves.append)
        self.generator = GuardedGenerator(self.scripted, self.breaker, slow_s=slow_s)

    async def ask(self) -> str:
        stream = self.generator.stream(MESSAGES, model="m", sampling=Sampling())
        return "".join([piece.text async for piece in stream])

    async def fail(self, times: int) -> None:
        for _ in range(times):
            with pytest.raises(EngineLost):
                await self.ask()


async def test_it_opens_after_failures_in_a_row_and_asks_no_more() -> None:
    at = guarded([LOST], Clock())
    await at.fail(FAILURES)
    assert (at.breaker.state, len(at.scripted.prompts)) == ("open", FAILURES)
    for _ in range(10):
        with pytest.raises(EngineResting) as refused:
            await at.ask()
        assert refused.value.retry_after_s == REST_S
    assert len(at.scripted.prompts) == FAILURES
    assert at.moves == ["open"]


async def test_a_whole_answer_in_between_begins_the_count_anew() -> None:
    at = guarded([*[LOST] * (FAILURES - 1), "yes", *[LOST] * (FAILURES - 1), "yes"], Clock())
    await at.fail(FAILURES - 1)
    assert await at.ask() == "yes"
    await at.fail(FAILURES - 1)
    assert await at.ask() == "yes"
    assert at.breaker.state == "closed"


async def test_a_request_that_the_engine_refuses_is_no_failure() -> None:
    at = guarded([ContextTooLong("long")], Clock())
    for _ in range(3 * FAILURES):
        with pytest.raises(ContextTooLong):
            await at.ask()
    assert at.breaker.state == "closed"


async def test_after_a_rest_one_request_goes_through_and_closes_it_with_its_first_word() -> None:
    clock = Clock()
    at = guarded([*[LOST] * FAILURES, "back again"], clock, delay_s=0.02)
    await at.fail(FAILURES)
    clock.at += REST_S
    assert at.breaker.state == "half-open"
    first, second = await asyncio.gather(at.ask(), at.ask(), return_exceptions=True)
    assert first == "back again"
    assert isinstance(second, EngineResting), "one at a time"
    assert at.breaker.state == "closed"
    assert await at.ask() == "back again"


async def test_a_probe_that_fails_makes_the_next_rest_twice_as_long_up_to_a_minute() -> None:
    clock = Clock()
    at = guarded([LOST], clock)
    await at.fail(FAILURES)
    rest_s = REST_S
    for _ in range(6):
        clock.at += rest_s
        await at.fail(1)
        rest_s = min(rest_s * 2, MOST_REST_S)
        assert at.breaker.retry_after_s == pytest.approx(rest_s)
    assert len(at.scripted.prompts) == FAILURES + 6


async def test_a_reader_who_leaves_says_nothing_of_the_engine() -> None:
    clock = Clock()
    at = guarded([*[LOST] * FAILURES, "a b c d"], clock, delay_s=0.05)
    await at.fail(FAILURES)
    clock.at += REST_S
    asking = asyncio.create_task(at.ask())
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait({asking})
    assert at.breaker.state == "half-open"
    assert await at.ask() == "a b c d", "its place is free again"


async def test_answers_that_run_into_their_deadline_open_it_although_they_began() -> None:
    at = guarded(["a b c d e f g h"], Clock(), slow_s=0.05, delay_s=0.02)
    for _ in range(FAILURES):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.07):
                await at.ask()
    assert at.breaker.state == "open"


async def test_an_engine_that_is_back_need_not_wait_for_the_rest_to_end() -> None:
    at = guarded([*[LOST] * FAILURES, "yes"], Clock())
    await at.fail(FAILURES)
    at.breaker.try_now()
    assert await at.ask() == "yes"
    assert at.moves == ["open", "half-open", "half-open", "closed"]


async def test_who_waits_is_woken_when_a_request_may_go_through() -> None:
    at, other = guarded([LOST], Clock()), guarded([LOST], Clock())
    await at.fail(FAILURES)
    await other.fail(FAILURES)

    async def ready() -> None:
        return

    waiting = asyncio.create_task(answering(ready, {"a": at.breaker, "b": other.breaker}))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    other.breaker.try_now()
    await asyncio.wait_for(waiting, PATIENCE_S)
    assert best([at.breaker, other.breaker]) == "half-open"
    assert best([]) == "closed"
