"""Who wins on the bench: a rate for each pair of voices with its interval, and one ranking of three or more."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z = 1.96
"""Of a 95 % interval."""
ROUNDS = 200
"""Of the bootstrap: its ends move by about a point from one seed to another."""
PRIOR = 0.25
"""Wins that each voice has over each other beforehand, so that one that never lost has a finite strength."""
STEPS = 100


@dataclass(frozen=True, slots=True)
class Ballot:
    """One vote."""

    contenders: tuple[str, ...]
    best: int | None
    """Place of the best one; None where all are equal. Among the others it says nothing."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two voices that were voted on together."""

    one: str
    other: str
    wins: int
    """Of `one`."""
    losses: int
    ties: int
    rate: float
    """Share that `one` won; a tie is half a win."""
    low: float
    high: float
    """Both ends of the 95 % interval (Wilson)."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The place of one voice among all."""

    contender: str
    strength: float
    """How often it would win against another one of them, 0 to 1 (Bradley-Terry)."""
    low: float
    high: float
    """Both ends of the 95 % interval (bootstrap over the votes)."""


def pairs(ballots: Sequence[Ballot]) -> tuple[Pair, ...]:
    """Every pair that votes say something of, by name."""
    counts: dict[tuple[str, str], list[int]] = {}
    for ballot in ballots:
        for one, other in itertools.combinations(range(len(ballot.contenders)), 2):
            # Of two that both lost to a third, nobody said which is better.
            if ballot.best is not None and ballot.best not in (one, other):
                continue
            names = ballot.contenders[one], ballot.contenders[other]
            first, second = sorted(names)
            row = counts.setdefault((first, second), [0, 0, 0])
            won = None if ballot.best is None else ballot.contenders[ballot.best]
            row[2 if won is None else 0 if won == first else 1] += 1
    return tuple(_pair(*names, *row) for names, row in sorted(counts.items()))


def wilson(wins: float, cases: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Args:
        wins: A tie counts half.
        cases: At least 1.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    share, square = wins / cases, Z * Z / cases
    middle = (share + square / 2) / (1 + square)
    reach = Z / (1 + square) * math.sqrt(share * (1 - share) / cases + square / (4 * cases))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def ranking(ballots: Sequence[Ballot], *, seed: int = 0) -> tuple[Ranked, ...]:
    """All voices, the strongest first; empty with fewer than three, of which `pairs` says all.

    Source: R. A. Bradley, M. E. Terry, "Rank analysis of incomplete block designs", 1952; D. R. Hunter, "MM algorithms
    for generalized Bradley-Terry models", 2004.
    """
    names = sorted({name for ballot in ballots for name in ballot.contenders})
    if len(names) < 3:
        return ()
    won = np.stack([_won(ballot, names) for ballot in ballots])
    rng = np.random.default_rng(seed)
    again = [_strengths(won[rng.integers(len(won), size=len(won))].sum(axis=0)) for _ in range(ROUNDS)]
    low, high = np.quantile(again, [0.025, 0.975], axis=0)
    strengths = _strengths(won.sum(axis=0))
    found = [
        Ranked(name, *(round(float(values[at]), 4) for values in (strengths, low, high)))
        for at, name in enumerate(names)
    ]
    return tuple(sorted(found, key=lambda one: (-one.strength, one.contender)))


def _pair(one: str, other: str, wins: int, losses: int, ties: int) -> Pair:
    cases = wins + losses + ties
    low, high = wilson(wins + ties / 2, cases)
    return Pair(one, other, wins, losses, ties, round((wins + ties / 2) / cases, 4), round(low, 4), round(high, 4))


def _won(ballot: Ballot, names: Sequence[str]) -> NDArray[np.float64]:
    """Who won against whom; [names, names]."""
    found = np.zeros((len(names), len(names)))
    places = [names.index(name) for name in ballot.contenders]
    if ballot.best is None:
        for one, other in itertools.permutations(places, 2):
            found[one, other] = 0.5
    else:
        best = places[ballot.best]
        found[best, [place for place in places if place != best]] = 1
    return found


def _strengths(won: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean chance of each to win against another."""
    others = ~np.eye(len(won), dtype=bool)
    won = (won + PRIOR) * others
    met = won + won.T
    worth = np.ones(len(won))
    for _ in range(STEPS):
        worth = won.sum(axis=1) / (met / (worth[:, None] + worth)).sum(axis=1)
        worth /= worth.sum()
    chance: NDArray[np.float64] = worth[:, None] / (worth[:, None] + worth)
    return (chance * others).sum(axis=1) / (len(won) - 1)  # type: ignore[no-any-return]
