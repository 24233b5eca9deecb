"""How fast replies go out."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from channels.base import Capabilities, Channel, Rate, Request
from channels.registry import PLATFORMS
from service.delivery import pace as pace_module
from service.delivery.pace import Pace


class _Clock:
    at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def _channel(*rates: Rate) -> Channel:
    return cast("Channel", SimpleNamespace(name="x", capabilities=Capabilities(10, 1.0, rates=rates)))


async def _turns(pace: Pace, channel: Channel, times: int, **to: str) -> list[float]:
    return [await pace.turn(channel, "main", "A1", to) for _ in range(times)]


async def test_a_burst_goes_out_at_once_and_then_one_in_its_time(clock: _Clock) -> None:
    pace, channel = Pace(clock=clock), _channel(Rate(1 / 6, burst=45, per=("to",)))
    waits = await _turns(pace, channel, 47, to="P1")
    assert waits[:45] == [0.0] * 45
    assert waits[45:] == pytest.approx([6.0, 6.0]), "no place was taken by who must come again"
    assert await _turns(pace, channel, 1, to="P2") == [0.0], "another person has another meter"
    clock.at += 6.01
    assert (await _turns(pace, channel, 2, to="P1"))[0] == 0.0
    clock.at += 45 * 6
    assert await _turns(pace, channel, 45, to="P1") == [0.0] * 45


async def test_the_slowest_of_several_rates_holds(clock: _Clock) -> None:
    pace = Pace(clock=clock)
    channel = _channel(Rate(1.0, burst=3), Rate(0.5, per=("chat_id",)))
    assert await _turns(pace, channel, 2, chat_id="1") == [0.0, 2.0]
    assert await _turns(pace, channel, 1, chat_id="2") == [0.0]
    assert await _turns(pace, channel, 1, chat_id="3") == [0.0]
    assert await _turns(pace, channel, 1, chat_id="4") == [1.0]
    assert await pace.turn(channel, "other", "A1", {"chat_id": "4"}) == 0.0


async def test_a_short_wait_is_waited_out(clock: _Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        clock.at += seconds

    monkeypatch.setattr(pace_module, "asyncio", SimpleNamespace(sleep=sleep))
    waits = await _turns(Pace(clock=clock), _channel(Rate(20.0)), 5)
    assert waits == [0.0] * 5
    assert clock.at == pytest.approx(1000.0 + 4 / 20)


@pytest.mark.parametrize(
    ("headers", "held_s"),
    [
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "1.5"}, 1.5),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset-after": "1.5"}, 0.0),
        ({"x-ratelimit-remaining": "0"}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "nan"}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "-3"}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "1e99"}, pace_module.MOST_HELD_S),
        ({}, 0.0),
    ],
)
async def test_what_an_answer_says_is_kept(clock: _Clock, headers: Mapping[str, str], held_s: float) -> None:
    pace, channel = Pace(clock=clock), _channel()

    async def send(_: Request) -> tuple[int, Mapping[str, str], bytes]:
        return 200, headers, b""

    to = {"token": "t"}
    await pace.watching(send, channel, "main", "A1", to)(Request("POST", "https://x.test", {}))
    assert await pace.turn(channel, "main", "A1", to) == held_s
    assert await pace.turn(channel, "main", "A1", {"token": "other"}) == 0.0


async def test_meters_do_not_grow_for_ever(clock: _Clock) -> None:
    pace, channel = Pace(clock=clock), _channel(Rate(1.0, per=("to",)))
    for number in range(1000):
        clock.at += 0.1
        await pace.turn(channel, "main", "A1", {"to": str(number)})
    (buckets,) = pace._rates.values()
    assert len(buckets) <= 11, "those that are full again are forgotten"


@pytest.mark.parametrize("name", sorted(PLATFORMS))
async def test_a_reply_of_three_parts_goes_out_at_once_everywhere(name: str, clock: _Clock) -> None:
    channel: Any = SimpleNamespace(name=name, capabilities=PLATFORMS[name].build.capabilities)
    pace, to = Pace(clock=clock), {"chat_id": "1", "channel": "C1", "to": "P1"}
    assert [await pace.turn(channel, "main", "A1", to) for _ in range(3)] == [0.0] * 3
