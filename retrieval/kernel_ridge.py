"""Kernel ridge regression: weights for training rows, and what each row would get from all others.

Both come from one Cholesky factor, so that no second training is needed to see errors on unseen rows: the
leave-one-out residual of row i is weight_i / inverse_ii (Rasmussen and Williams, Gaussian Processes, eq. 5.12). In
blocks and in place, because NumPy alone has no triangular solver and 18,000 rows take 1.3 GB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval.encoder import Vectors

RIDGE = 0.1
SHARPNESS = 2.0
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model."""

    weights: Vectors
    """[rows, targets]"""
    left_out: Vectors
    """Prediction for each row from all others, [rows, targets]."""


def kernel(similarity: Vectors) -> Vectors:
    """exp(2 (dot product - 1)), [rows, others]: 1 for the same unit vector; sees pairs of features, as a product."""
    found: Vectors = np.exp(np.float32(SHARPNESS) * (similarity - np.float32(1)))
    return found


def fit(rows: Vectors, targets: Vectors, ridge: float = RIDGE) -> Fitted:
    """Fit targets [rows, targets] by rows [rows, features]."""
    lower = np.empty((len(rows), len(rows)), np.float32)
    for start in range(0, len(rows), BLOCK):
        stop = start + BLOCK
        lower[start:stop, :stop] = kernel(rows[start:stop] @ rows[:stop].T)
    np.einsum("ii->i", lower)[:] += np.float32(ridge)
    _factor(lower)
    _invert(lower)
    weights, inverse_diagonal = _products(lower, targets)
    return Fitted(weights, targets - weights / inverse_diagonal[:, None])


def _factor(matrix: Vectors) -> None:
    """The lower triangle becomes its Cholesky factor; what stands above is left alone."""
    for start in range(0, len(matrix), BLOCK):
        stop = start + BLOCK
        panel = matrix[start:, start:stop] - matrix[start:, :start] @ matrix[start:stop, :start].T
        size = panel.shape[1]
        factor = np.linalg.cholesky(np.tril(panel[:size]) + np.tril(panel[:size], -1).T)
        matrix[start:stop, start:stop] = factor
        matrix[stop:, start:stop] = panel[size:] @ np.linalg.inv(factor).T


def _invert(lower: Vectors) -> None:
    """A lower triangular matrix becomes its inverse, row of blocks by row of blocks."""
    for start in range(0, len(lower), BLOCK):
        stop = start + BLOCK
        own = np.linalg.inv(np.tril(lower[start:stop, start:stop]))
        left = lower[start:stop, :start].copy()
        for column in range(0, start, BLOCK):
            part = slice(column, column + BLOCK)
            lower[start:stop, part] = -own @ (left[:, column:] @ lower[column:start, part])
        lower[start:stop, start:stop] = np.tril(own)


def _products(inverse: Vectors, targets: Vectors) -> tuple[Vectors, Vectors]:
    """(inverse.T @ inverse) @ targets and the diagonal of inverse.T @ inverse, for a lower triangular inverse."""
    weights = np.zeros_like(targets)
    diagonal = np.zeros(len(inverse), np.float32)
    for start in range(0, len(inverse), BLOCK):
        block = inverse[start : start + BLOCK, : start + BLOCK]
        weights[: block.shape[1]] += block.T @ (block @ targets[: block.shape[1]])
        diagonal[: block.shape[1]] += np.einsum("ij,ij->j", block, block)
    return weights, diagonal
