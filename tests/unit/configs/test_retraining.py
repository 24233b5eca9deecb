"""Moments of a schedule, on clocks that change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from configs.retraining import Schedule

PARIS = Schedule(days=("sun",), at="02:30", timezone="Europe/Paris")


def test_the_next_and_the_last_moment_are_on_the_wall_clock_of_the_zone() -> None:
    # Sunday 25 October 2026 has 02:30 twice; on 29 March 2026 it is left out.
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert PARIS.next(before) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert PARIS.last(before) == datetime(2026, 10, 18, 0, 30, tzinfo=UTC)
    assert PARIS.next(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == datetime(2026, 11, 1, 1, 30, tzinfo=UTC)
    assert PARIS.next(datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_a_moment_is_its_own_last_one() -> None:
    at = datetime(2026, 11, 1, 1, 30, tzinfo=UTC)
    assert PARIS.last(at) == at


@pytest.mark.parametrize("bad", [{"days": ()}, {"at": "24:00"}, {"at": "3"}, {"timezone": "Paris"}, {"days": ("so",)}])
def test_what_is_no_moment_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Schedule(**({"days": ("mon",)} | bad))  # type: ignore[arg-type]
