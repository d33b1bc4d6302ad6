"""Products with a matrix quantised to 16 bits, by the compiled core: see ``rounded.c``."""

from collections.abc import Callable
from functools import cache

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Float32, Float64, Int16


@cache
def _multiply() -> Callable[..., int]:
    found: Callable[..., int] = function(
        "multiply_rounded", Pointer, Pointer, Size, Size, Pointer, Size, Pointer, Pointer
    )
    return found


def multiply_rounded(
    weights: Int16[np.ndarray, "rows columns"],
    scales: Float64[np.ndarray, " rows"],
    vectors: Float32[np.ndarray, "vectors columns"],
) -> Float32[np.ndarray, "vectors rows"]:
    """Return vectors times the transposed matrix whose row r is ``scales[r] * weights[r]``.

    Raises:
        ValueError: If the shapes do not fit.
    """
    (rows, columns), size = weights.shape, len(vectors)
    found, room = np.empty((size, rows), np.float32), np.empty(2 * columns, np.int16)
    fits = scales.shape == (rows,) and vectors.shape == (size, columns)
    if not fits or _multiply()(
        address(weights, np.int16), address(scales, np.float64), rows, columns,
        address(vectors, np.float32), size, room.ctypes.data, found.ctypes.data,
    ):  # fmt: skip
        raise ValueError("the vectors or scales do not fit the matrix")
    return found
