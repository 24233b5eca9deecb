"""The rule of the alarm, tried on voices that are known: how often it cries wolf, and how soon it sees a fall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from configs.retraining import DriftAlarm
from service.retraining.rule import judge

RULE = DriftAlarm()
DAYS = 90
Scores = NDArray[np.float64]
Voice = Callable[[np.random.Generator, int], Scores]


def even(random: np.random.Generator, count: int) -> Scores:
    """As an adapter that learnt its voice well: nearly all answers near 1, a few far off (mean .93, spread .15)."""
    return random.beta(2.6, 0.2, count)


def uneven(random: np.random.Generator, count: int) -> Scores:
    """As one that learnt it half: many near 1, many near 0 (mean .69, spread .35)."""
    return random.beta(0.52, 0.23, count)


def alarms(voice: Voice, *, runs: int, a_day: int, fall: float = 0.0, days: int = DAYS) -> float:
    """Share of runs with an alarm: looked at once a day, while from the first day on the mean is lower by `fall`."""
    random = np.random.default_rng(20261126)
    return sum(raised(random, voice, a_day, fall, days) for _ in range(runs)) / runs


def raised(random: np.random.Generator, voice: Voice, a_day: int, fall: float, days: int) -> bool:
    new, old = voice(random, RULE.baseline_days * a_day), voice(random, RULE.days * a_day)
    later = voice(random, days * a_day)
    # A share of the answers sounds like somebody else.
    later[random.random(len(later)) < fall / later.mean()] = 0.0
    series = np.concatenate([old, later])
    for day in range(1, days + 1):
        found = judge(new.tolist(), series[day * a_day : (day + RULE.days) * a_day].tolist(), RULE)
        assert found is not None
        if found.alarm(raised=False):
            return True
    return False


@pytest.mark.parametrize("voice", [even, uneven])
@pytest.mark.parametrize(("a_day", "most"), [(5, 0.05), (20, 0.01)])
def test_a_voice_that_does_not_fall_hardly_ever_raises_an_alarm(voice: Voice, a_day: int, most: float) -> None:
    """Looked at every day for a quarter of a year. Of 500 runs, 0 and 12 raise it at 5 a day, 0 and 1 at 20."""
    assert alarms(voice, runs=100, a_day=a_day) <= most


@pytest.mark.parametrize("voice", [even, uneven])
def test_a_voice_that_falls_by_a_fifth_is_seen_within_a_week(voice: Voice) -> None:
    """Of 500 runs, 488 and 432."""
    assert alarms(voice, runs=50, a_day=20, fall=0.2, days=7) >= 0.85


def test_too_few_answers_say_nothing() -> None:
    assert judge([0.9] * 100, [0.1] * (RULE.answers - 1), RULE) is None
    found = judge([0.9, 0.8] * 50, [0.1, 0.2] * 15, RULE)
    assert found is not None
    assert found.alarm(raised=False)


def test_an_alarm_stays_until_the_voice_is_as_near_as_the_rule_tolerates() -> None:
    found = judge([0.8, 1.0] * 50, [0.74, 0.94] * 15, RULE)
    assert found is not None
    assert found.limit < 0.84 < found.back
    assert (found.alarm(raised=False), found.alarm(raised=True)) == (False, True)
