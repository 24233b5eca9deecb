"""Win rates with their intervals, and the ranking of three."""

from __future__ import annotations

import pytest

from service.console.bench.winning import Ballot, pairs, ranking, wilson


def test_a_tie_is_half_a_win_and_the_interval_is_wilsons() -> None:
    votes = [Ballot(("base", "v2"), 1)] * 7 + [Ballot(("v2", "base"), 1)] * 2 + [Ballot(("base", "v2"), None)]
    (found,) = pairs(votes)
    assert (found.one, found.other, found.wins, found.losses, found.ties) == ("base", "v2", 2, 7, 1)
    assert found.rate == 0.25
    # Of 2.5 in 10, by the formula, worked out by hand.
    assert (found.low, found.high) == (pytest.approx(0.0809, abs=1e-4), pytest.approx(0.5578, abs=1e-4))


@pytest.mark.parametrize(
    ("wins", "cases", "low", "high"),
    # Values that tables of the interval print.
    [(5, 10, 0.2366, 0.7634), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (60, 100, 0.5020, 0.6906)],
)
def test_the_interval_is_that_of_the_books(wins: int, cases: int, low: float, high: float) -> None:
    assert wilson(wins, cases) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_the_best_of_four_beats_three_and_nothing_is_said_of_those() -> None:
    found = pairs([Ballot(("a", "b", "c", "d"), 2)])
    assert [(one.one, one.other, one.rate) for one in found] == [("a", "c", 0.0), ("b", "c", 0.0), ("c", "d", 1.0)]


def test_three_that_met_in_pairs_are_ranked_with_intervals() -> None:
    votes = [Ballot(("a", "b"), 0)] * 8 + [Ballot(("a", "b"), 1)] * 2
    votes += [Ballot(("b", "c"), 0)] * 8 + [Ballot(("b", "c"), 1)] * 2
    first, second, third = ranking(votes)
    assert (first.contender, second.contender, third.contender) == ("a", "b", "c")
    assert all(one.low < one.strength < one.high for one in (first, second, third))
    assert second.strength == pytest.approx(0.5, abs=0.02)
    assert ranking(votes) == ranking(votes), "the same votes rank the same"


def test_two_need_no_ranking_and_one_that_never_lost_has_a_finite_strength() -> None:
    assert ranking([Ballot(("a", "b"), 0)]) == ()
    best = ranking([Ballot(("a", "b", "c"), 0)] * 5)[0]
    assert best.contender == "a"
    assert best.strength < 1
