"""Measures of ranking and of refusal, each for one question or for two groups of scores.

Sources: Järvelin, Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002 (nDCG);
Efron, "Bootstrap methods", Annals of Statistics 7(1), 1979 (percentile intervals).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
RESAMPLES = 2000
SEED = 1701


def hit(ranked: Sequence[str], gold: Collection[str], depth: int) -> float:
    """1 where a gold document stands among the first `depth`, else 0."""
    return float(any(one in gold for one in ranked[:depth]))


def recall(ranked: Sequence[str], gold: Collection[str], depth: int) -> float:
    """Share of the gold documents among the first `depth`."""
    return len(set(ranked[:depth]) & set(gold)) / len(set(gold))


def ndcg(ranked: Sequence[str], gold: Collection[str], depth: int) -> float:
    """Normalised discounted cumulative gain of the first `depth`, each gold document worth 1."""
    gain = sum(1 / math.log2(place + 2) for place, one in enumerate(ranked[:depth]) if one in gold)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(depth, len(set(gold)))))


def reciprocal_rank(ranked: Sequence[str], gold: Collection[str]) -> float:
    """1 / place of the first gold document; 0 where none was found."""
    return next((1 / (place + 1) for place, one in enumerate(ranked) if one in gold), 0.0)


def area_under_curve(right: Sequence[float], wrong: Sequence[float]) -> float:
    """How often a score of `right` stands above one of `wrong`, ties counted half; both not empty."""
    above = np.asarray(right)[:, None] - np.asarray(wrong)
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def refused_at(right: Sequence[float], wrong: Sequence[float], false_refusals: float) -> float:
    """Share of `wrong` below the line that at most the share `false_refusals` of `right` stands below."""
    line = np.sort(np.asarray(right))[math.floor(false_refusals * len(right))]
    return float((np.asarray(wrong) < line).mean())


def interval(values: Sequence[float], *, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, by resampling questions with one seed: equal input, equal interval."""
    rows = np.asarray(values, np.float64)
    drawn = np.random.default_rng(SEED).integers(0, len(rows), (resamples, len(rows)))
    low, high = np.percentile(rows[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that the given share, 0 to 1, of the values does not exceed."""
    return float(np.quantile(np.asarray(values, np.float64), share))
