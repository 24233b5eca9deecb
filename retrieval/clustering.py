"""Texts that say much the same, found by their vectors: agglomerative clustering with average linkage.

Clusters are joined, the two most alike first, for as long as the mean cosine between their members is high enough.
Source: Lance and Williams, "A general theory of classificatory sorting strategies", 1967 (the group average).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Vectors

ALIKE = 0.45
"""Mean cosine from which on groups are one: with the packaged encoder the lowest of 0.35 to 0.7 at which no question of
70 came into a group of another topic (`python -m benchmarks.question_clusters`)."""


def clusters(vectors: Vectors, *, alike: float = ALIKE) -> list[list[int]]:
    """Group vectors; each belongs to one group.

    Args:
        vectors: float32 [n, dim], rows of length 1. Takes n^2 memory and about n^2 time a merge: for up to some 1000.
        alike: Mean cosine between the members of two groups from which on they are joined.

    Returns:
        Places in `vectors`: the largest group first, and in it the one most like all others first.
    """
    count = len(vectors)
    if not count:
        return []
    cosines = (vectors @ vectors.T).astype(np.float64)
    means = cosines.copy()
    np.fill_diagonal(means, -np.inf)
    members = {place: [place] for place in range(count)}
    while len(members) > 1:
        one, other = sorted(divmod(int(means.argmax()), count))
        if means[one, other] < alike:
            break
        _join(means, members, one, other)
    groups = [_from_its_middle(group, cosines) for group in members.values()]
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def _join(means: NDArray[np.float64], members: dict[int, list[int]], one: int, other: int) -> None:
    """The second group goes into the first; the mean to every third follows from theirs."""
    a, b = len(members[one]), len(members[other])
    joined = (a * means[one] + b * means[other]) / (a + b)
    means[one], means[:, one] = joined, joined
    means[one, one] = -np.inf
    means[other], means[:, other] = -np.inf, -np.inf
    members[one] += members.pop(other)


def _from_its_middle(group: list[int], cosines: NDArray[np.float64]) -> list[int]:
    worth = cosines[np.ix_(group, group)].sum(axis=1)
    return [group[place] for place in np.argsort(-worth, kind="stable")]
