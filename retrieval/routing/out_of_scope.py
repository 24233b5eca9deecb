"""How likely a message fits none of the intents.

Where the examples hold messages out of scope, a small logistic regression weighs four signals, fitted on what each
example got from all others. Where they hold none, the score is how far a message is from everything, and only what is
farther than any example is from its neighbours is rejected: nothing is known that would justify more.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from configs.brand import Strict
from retrieval.encoder import Vectors

Scores = NDArray[np.float64]
MIN_OUTSIDE = 10
"""Fewer messages out of scope say too little about the rest of the world."""
RIGHT_REJECTED = 0.005
"""Share of the examples in scope and put right that may be rejected. On clinc150's own validation part this gave an
out-of-scope recall of 0.89 for half a point of in-scope accuracy; at 0.003, 0.82 for 0.4 points less."""
EVEN = 0.5
"""Nothing likelier in scope than not is rejected, however alike a brand's few examples are."""
NEIGHBOURS = 5
PENALTY = 1.0
STEPS = 50
SMALLEST = 1e-6


class OutOfScope(Strict):
    """A fitted score. Without weights it is the distance alone."""

    threshold: float
    """What scores above is rejected."""
    means: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    intercept: float = 0.0

    @classmethod
    def fit(cls, signals: Scores, outside: NDArray[np.bool_], right: NDArray[np.bool_]) -> Self:
        """Fit on the signals of the examples.

        Args:
            signals: What `signals_of` gives, [examples, 4], each example seen from all others.
            outside: Which examples are out of scope, [examples].
            right: Which examples got their intent, [examples].
        """
        if outside.sum() < MIN_OUTSIDE:
            fitted = cls(threshold=1.0)
            return fitted.model_copy(update={"threshold": float(fitted.scores(signals)[~outside].max())})
        means, spreads = signals.mean(axis=0), np.maximum(signals.std(axis=0), SMALLEST)
        beta = _logistic((signals - means) / spreads, outside)
        fitted = cls(
            threshold=1.0,
            means=tuple(means.tolist()),
            spreads=tuple(spreads.tolist()),
            weights=tuple(beta[1:].tolist()),
            intercept=float(beta[0]),
        )
        kept = fitted.scores(signals)[right & ~outside]
        strictest = float(np.quantile(kept, 1 - RIGHT_REJECTED, method="higher")) if len(kept) else 1.0
        return fitted.model_copy(update={"threshold": max(EVEN, strictest)})

    def scores(self, signals: Scores) -> Scores:
        """Scores of messages, 0 to 1, [messages]; higher is farther from every intent."""
        if not self.weights:
            return 1 - np.clip(signals[:, -1], 0, 1)
        logits = (signals - np.array(self.means)) / np.array(self.spreads) @ np.array(self.weights) + self.intercept
        found: Scores = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
        return found


def signals_of(outputs: Vectors, intents: int, near: Vectors) -> Scores:
    """What tells messages out of scope, [messages, 4].

    Args:
        outputs: Outputs of the classifier, [messages, intents (+ 1 for out of scope)].
        intents: How many of the columns are intents.
        near: Mean similarity to the nearest examples in scope, [messages].
    """
    inside = outputs[:, :intents]
    best = np.sort(inside, axis=1)[:, -2:]
    elsewhere = outputs[:, intents] if outputs.shape[1] > intents else np.zeros(len(outputs), np.float32)
    return np.column_stack([np.linalg.norm(inside, axis=1), best[:, 1] - best[:, 0], elsewhere, near]).astype(float)


def _logistic(rows: Scores, outside: NDArray[np.bool_]) -> Scores:
    """Intercept and weights by Newton's method; both kinds weigh the same."""
    rows = np.column_stack([np.ones(len(rows)), rows])
    weight = np.where(outside, 1.0, outside.sum() / (~outside).sum())
    penalty = np.diag([0.0, *[PENALTY] * (rows.shape[1] - 1)])
    beta = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(rows @ beta, -30, 30)))
        gradient = rows.T @ (weight * (chance - outside)) + penalty @ beta
        curvature = (rows * (weight * chance * (1 - chance))[:, None]).T @ rows + penalty
        beta = beta - np.linalg.solve(curvature + SMALLEST * np.eye(len(beta)), gradient)
    return beta
