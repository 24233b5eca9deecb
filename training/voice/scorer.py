"""The trained part: logistic regression on the features of a text.

Fitted in the dual (a few hundred texts, thousands of features): weights are a sum over the texts, so that a Newton
step solves one system of the size of their number. Source: Zhu, Hastie, "Kernel logistic regression and the import
vector machine", JCGS 14(1), 2005.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.voice.features import MARKS, Values

Labels = NDArray[np.bool_]
RIDGE = 0.3
MARK_SHARE = 0.3
"""Weight of the marks beside the n-grams, whose vector has length 1."""
STEPS = 30


def fit(rows: Values, labels: Labels) -> tuple[Values, float]:
    """Weights, [WIDTH], and intercept on raw features; both labels weigh the same, whatever their numbers.

    Args:
        rows: [texts, WIDTH] features.
        labels: [texts], whether the brand wrote it; some did, some did not.
    """
    spread, mean = np.ones(rows.shape[1]), rows.mean(axis=0)
    spread[-len(MARKS) :] = (rows[:, -len(MARKS) :].std(axis=0) + 1e-2) / MARK_SHARE
    scaled = (rows - mean) / spread
    dual, intercept = _newton(scaled @ scaled.T, labels)
    weights: Values = (scaled.T @ dual) / spread
    return weights, intercept - float(mean @ weights)


def _newton(gram: Values, labels: Labels) -> tuple[Values, float]:
    """Dual coefficients and intercept that minimise the weighted log loss plus ridge/2 |w|^2."""
    count = len(labels)
    weight = np.where(labels, 0.5 * count / labels.sum(), 0.5 * count / (~labels).sum())
    dual, intercept = np.zeros(count), 0.0
    for _ in range(STEPS):
        logit = gram @ dual + intercept
        chance = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        curve = np.maximum(weight * chance * (1 - chance), 1e-9)
        # Iteratively reweighted least squares: (K + ridge/curve) a + b = z with sum(a) = 0.
        aim = logit + weight * (labels - chance) / curve
        system = np.zeros((count + 1, count + 1))
        system[:count, :count] = gram + np.diag(RIDGE / curve)
        system[:count, count] = system[count, :count] = 1
        found = np.linalg.solve(system, np.append(aim, 0))
        moved = float(np.abs(found[:count] - dual).max())
        dual, intercept = found[:count], float(found[count])
        if moved < 1e-6:
            break
    return dual, intercept
