"""Token buckets: who is slow meets none, who floods is told for how long to wait, and memory stays bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.service import Limits
from service.errors import SlowDown
from service.limits import BURST_S, RateLimits, per_minute
from tests.unit.service.test_breaker import Clock


def limits(clock: Clock, **settings: int) -> tuple[RateLimits, list[str]]:
    refused: list[str] = []
    chosen = {"visitor_per_minute": 0, "account_per_minute": 0, "total_per_minute": 0} | settings
    return RateLimits(Limits.model_validate(chosen), clock=clock, on_refusal=refused.append), refused


def passed(at: RateLimits, times: int, *, visitor: str = "v", account: str = "a") -> int:
    count = 0
    for _ in range(times):
        try:
            at.take(account=account, visitor=visitor)
        except SlowDown:
            continue
        count += 1
    return count


def test_half_a_minutes_worth_may_come_at_once_and_then_one_by_one() -> None:
    clock = Clock()
    at, refused = limits(clock, visitor_per_minute=60)
    assert passed(at, 100) == BURST_S
    assert set(refused) == {"visitor"}
    with pytest.raises(SlowDown) as error:
        at.take(account="a", visitor="v")
    assert error.value.retry_after_s == 1
    clock.at += 1
    assert passed(at, 5) == 1
    clock.at += 3600
    assert passed(at, 100) == BURST_S


def test_a_low_limit_still_lets_five_lines_through_at_once() -> None:
    at, _ = limits(Clock(), visitor_per_minute=1)
    assert passed(at, 100) == 5


def test_zero_sets_no_limit() -> None:
    at, refused = limits(Clock())
    assert passed(at, 1000) == 1000
    assert refused == []


def test_each_visitor_has_a_bucket_and_all_share_those_of_the_account_and_of_everybody() -> None:
    at, refused = limits(Clock(), visitor_per_minute=20, account_per_minute=60, total_per_minute=100)
    assert [passed(at, 20, visitor=name) for name in "xyz"] == [10, 10, 10]
    assert passed(at, 20, visitor="w") == 0
    assert passed(at, 40, visitor="w", account="b") == 10
    assert passed(at, 40, visitor="u", account="b") == 10
    assert passed(at, 40, visitor="t", account="c") == 0
    assert refused[-1] == "everybody"


def test_what_one_bucket_refuses_is_taken_from_no_other() -> None:
    clock = Clock()
    at, _ = limits(clock, visitor_per_minute=20, account_per_minute=40)
    assert passed(at, 1000, visitor="loud") == 10
    assert passed(at, 10, visitor="calm") == 10, "the refused thousand cost the others nothing"


def test_names_that_are_quiet_again_are_not_kept() -> None:
    clock = Clock()
    buckets = per_minute(60, clock=clock)
    for number in range(1000):
        buckets.take(f"visitor-{number}")
    clock.at += 10
    buckets.take("later")
    assert len(buckets) == 1


def test_memory_stays_bounded_whatever_names_are_made_up() -> None:
    buckets = per_minute(1, most=100, clock=Clock())
    for number in range(10_000):
        buckets.take(f"made-up-{number}")
        assert len(buckets) <= 100


@given(gaps=st.lists(st.floats(0, 5), min_size=1, max_size=120))
def test_never_more_than_the_limit_in_any_stretch_of_time(gaps: list[float]) -> None:
    clock = Clock()
    buckets = per_minute(60, clock=clock)
    taken: list[float] = []
    for gap in gaps:
        clock.at += gap
        if buckets.wait_s("v") == 0:
            buckets.take("v")
            taken.append(clock.at)
    for first, since in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= BURST_S + (taken[last] - since) + 1.0001
