"""How much reviewers agree: the share, and what is left of it beyond chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from service.corrections.terms import Review


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of corrections that two people looked at without knowing what the other said."""

    both: int
    """How many."""
    same: int
    """How many of them both accepted, or both rejected."""
    kappa: float | None
    """Cohen's, -1 to 1; None where nothing was looked at twice, or both always said the same one thing."""

    @property
    def share(self) -> float | None:
        """Share of `both` that are `same`."""
        return self.same / self.both if self.both else None


def agreement(reviewed: Iterable[Iterable[Review]]) -> Agreement:
    """Compare the first two words on each correction.

    Kappa is that of two raters (Cohen, A coefficient of agreement for nominal scales, 1960); where more than two people
    review, the first and the second of each correction stand for them.

    Args:
        reviewed: The reviews of one state of the words of each correction.
    """
    pairs = []
    for reviews in reviewed:
        first = sorted(reviews, key=lambda one: one.at)[:2]
        if len(first) == 2:
            pairs.append((first[0].accepts, first[1].accepts))
    same = sum(one == other for one, other in pairs)
    if not pairs:
        return Agreement(0, 0, None)
    one = sum(first for first, _ in pairs) / len(pairs)
    other = sum(second for _, second in pairs) / len(pairs)
    by_chance = one * other + (1 - one) * (1 - other)
    observed = same / len(pairs)
    kappa = None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)
    return Agreement(len(pairs), same, kappa)
