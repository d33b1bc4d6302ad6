"""Weight matrices quantised to 16-bit integers, for inference on one text at a time.

A matrix-vector product takes as long as reading the weights from memory, and these are half as many
bytes. Both factors are rounded to whole numbers, so that the sum is exact and the same on every
machine: a row of the matrix to steps of 1/32,767 of its largest weight, a vector to steps of
1/131,071 of its largest number. The log-probabilities of an LSTM change by at most some 1e-4 nats.
"""

import numpy as np

from thence._core import library
from thence._core.rounded import multiply_rounded
from thence.array_types import Float, Float32, Float64, Int16

MAX_WEIGHT = (1 << 15) - 1
"""The integer that the largest weight of a row becomes: the largest of 16 bits."""
MAX_NUMBER = (1 << 17) - 1
"""The integer that the largest number of a vector becomes: the kernel adds in 32-bit integers."""
CELLS = 1 << 20
"""Weights that are rounded per block (8 MB in double precision)."""


class RoundedMatrix:
    """A matrix W in 16 bits, with one scale per row; ``vectors @ matrix`` is vectors Wᵀ.

    Args:
        matrix: The weights W in floating point.
    """

    __array_ufunc__ = None  # So that NumPy leaves a product with an array to __rmatmul__.

    def __init__(self, matrix: Float[np.ndarray, "rows columns"]) -> None:
        at_once = max(1, CELLS // max(1, matrix.shape[1]))
        self.weights: Int16[np.ndarray, "rows columns"] = np.empty(matrix.shape, np.int16)
        self.scales: Float64[np.ndarray, " rows"] = np.empty(len(matrix))
        for first in range(0, len(matrix), at_once):
            rows = slice(first, first + at_once)
            part = matrix[rows].astype(np.float64)
            scales = np.abs(part).max(axis=1, initial=0.0) / MAX_WEIGHT
            self.weights[rows] = np.rint(part / np.where(scales > 0, scales, 1)[:, None])
            self.scales[rows] = scales

    def __rmatmul__(
        self, vectors: Float32[np.ndarray, "*before columns"]
    ) -> Float32[np.ndarray, "*before rows"]:
        """Return ``vectors @ W.T``."""
        multiply = multiply_rounded if library() is not None else product_in_numpy
        flat = np.ascontiguousarray(vectors.reshape(-1, self.weights.shape[1]), np.float32)
        found: np.ndarray = multiply(self.weights, self.scales, flat)
        return found.reshape(*vectors.shape[:-1], len(self.weights))


def product_in_numpy(
    weights: Int16[np.ndarray, "rows columns"],
    scales: Float64[np.ndarray, " rows"],
    vectors: Float32[np.ndarray, "vectors columns"],
) -> Float32[np.ndarray, "vectors rows"]:
    """Return ``vectors @ W.T``: the NumPy twin of the kernel in ``_core/rounded.c``."""
    exact = vectors.astype(np.float64)
    steps = np.abs(exact).max(axis=1, keepdims=True) / MAX_NUMBER
    steps[~np.isfinite(steps)] = np.nan
    whole = np.rint(np.divide(exact, steps, out=np.zeros_like(exact), where=steps > 0))
    totals = whole.astype(np.int64) @ weights.astype(np.int64).T
    found: np.ndarray = (totals * scales * steps).astype(np.float32)
    return found
