"""The linear classifier's sums by the compiled core: see ``linear.c``."""

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Float32, Float64, Int32, Int64


@cache
def _transpose() -> Callable[..., int]:
    found: Callable[..., int] = function(
        "transpose_features",
        Pointer, Pointer, Size, Pointer, Size, Size, Pointer, Pointer, Pointer,
    )  # fmt: skip
    return found


@cache
def _descend() -> Callable[..., float]:
    found: Callable[..., float] = function(
        "descend",
        Pointer, Pointer, Size, Pointer, Size, Size, Pointer, Size, *[Pointer] * 6,
        result=ctypes.c_double,
    )  # fmt: skip
    return found


def transpose_features(
    rows: Int32[np.ndarray, " features"],
    values: Float32[np.ndarray, " features"],
    offsets: Int64[np.ndarray, " bounds"],
    num_rows: int,
) -> tuple[
    Int64[np.ndarray, " starts"],
    Int32[np.ndarray, " features"],
    Float32[np.ndarray, " features"],
]:
    """Return the transpose of a sparse matrix (CSR to CSC): offsets, documents and values.

    Args:
        rows: The features of all documents, concatenated.
        values: The value of each feature.
        offsets: Start of each document, and the end of the last.
        num_rows: Number of different features.

    Raises:
        ValueError: If a feature is out of range, or the lengths do not fit.
    """
    starts = np.empty(num_rows + 1, np.int64)
    owners, found = np.empty(len(rows), np.int32), np.empty(len(rows), np.float32)
    if len(values) != len(rows) or _transpose()(
        address(rows, np.int32), address(values, np.float32), len(rows),
        address(offsets, np.int64), len(offsets) - 1, num_rows,
        starts.ctypes.data, owners.ctypes.data, found.ctypes.data,
    ):  # fmt: skip
        raise ValueError("the rows, values or offsets do not fit")
    return starts, owners, found


def descend(
    rows: Int32[np.ndarray, " features"],
    values: Float32[np.ndarray, " features"],
    offsets: Int64[np.ndarray, " bounds"],
    order: Int64[np.ndarray, " visits"],
    signs: Float32[np.ndarray, " documents"],
    curvatures: Float64[np.ndarray, " documents"],
    diagonal: Float64[np.ndarray, " documents"],
    upper: Float64[np.ndarray, " documents"],
    alphas: Float64[np.ndarray, " documents"],
    weights: Float32[np.ndarray, " rows+1"],
) -> float:
    """Make one pass of dual coordinate descent over the documents in ``order``, in place.

    The arguments are those of ``descend_in_numpy`` of ``models/labels/dual_descent.py``.

    Raises:
        ValueError: If a feature or document is out of range, or the lengths do not fit.
    """
    documents = len(offsets) - 1
    each = (signs, curvatures, diagonal, upper, alphas)
    fits = len(values) == len(rows) and all(len(array) == documents for array in each)
    found = -1.0
    if fits and len(weights):
        found = _descend()(
            address(rows, np.int32), address(values, np.float32), len(rows),
            address(offsets, np.int64), documents, len(weights) - 1,
            address(order, np.int64), len(order), address(signs, np.float32),
            *(address(array, np.float64) for array in each[1:]),
            address(weights, np.float32),
        )  # fmt: skip
    if found < 0:
        raise ValueError("the features, documents or weights do not fit each other")
    return found
