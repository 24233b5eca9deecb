"""Logistic regression with a ridge, by Newton's method: small models that are shipped as a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Labels = NDArray[np.bool_]
STEPS = 50


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted model on raw features."""

    intercept: float
    weights: Matrix
    """[features]."""

    def logits(self, seen: Matrix) -> Matrix:
        """Logits of rows, [rows]; above 0 the label is true."""
        found: Matrix = seen @ self.weights + self.intercept
        return found


def fit(seen: Matrix, labels: Labels, *, ridge: float = 1.0, groups: Matrix | None = None) -> Model:
    """Fit a model; both labels weigh the same, whatever their numbers.

    Args:
        seen: [rows, features].
        labels: [rows].
        ridge: Strength of the penalty on standardised coefficients.
        groups: Weight of each row before both labels are balanced, [rows]; all the same where absent.
    """
    mean, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-9
    rows = np.column_stack([np.ones(len(seen)), (seen - mean) / spread])
    weight = np.ones(len(seen)) if groups is None else groups.astype(float)
    for label in (True, False):
        weight[labels == label] *= 0.5 * len(seen) / weight[labels == label].sum()
    penalty = np.diag([1e-6, *[ridge] * seen.shape[1]])
    beta = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-np.clip(rows @ beta, -60, 60)))
        gradient = rows.T @ (weight * (probability - labels)) + penalty @ beta
        curvature = (rows * (weight * probability * (1 - probability))[:, None]).T @ rows + penalty
        step = np.linalg.solve(curvature, gradient)
        beta = beta - step
        if float(np.abs(step).max()) < 1e-6:
            break
    weights = beta[1:] / spread
    return Model(float(beta[0] - mean @ weights), weights)


def area_under_curve(scores: Matrix, labels: Labels) -> float:
    """How often a true row scores above a false one."""
    above = scores[labels][:, None] - scores[~labels]
    return float(((above > 0) + 0.5 * (above == 0)).mean())
