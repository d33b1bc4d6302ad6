"""The nearest of 256 centres by the compiled core: see ``nearest.c``."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Float32, UInt8


@cache
def _nearest() -> Callable[..., int]:
    found: Callable[..., int] = function(
        "nearest_centres", Pointer, Size, Size, Size, Pointer, Pointer
    )
    return found


def nearest_centres(
    points: Float32[np.ndarray, "points size"], centres: Float32[np.ndarray, "256 size"]
) -> UInt8[np.ndarray, " points"]:
    """Return the index of the nearest centre of each point; of equally near ones the first.

    Args:
        points: The points; may be a view of some columns of a matrix.
        centres: 256 centres; those with NaN are nearest to no point.
    """
    turned: np.ndarray[Any, Any] = np.ascontiguousarray(centres.T, np.float32)
    if points.dtype != np.float32 or turned.shape != (points.shape[1], 256):
        raise TypeError("the points are no single-precision numbers, or the centres do not fit")
    if points.size and (points.strides[1] != 4 or points.strides[0] % 4):
        points = np.ascontiguousarray(points)
    found = np.empty(len(points), np.uint8)
    stride = points.strides[0] // 4 if len(points) > 1 else points.shape[1]
    if _nearest()(
        points.ctypes.data, len(points), points.shape[1], stride, address(turned, np.float32),
        found.ctypes.data,
    ):  # fmt: skip
        raise ValueError("the points do not stand in rows")
    return found
