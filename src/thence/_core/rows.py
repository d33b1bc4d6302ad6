"""Sums and counts of rows of a table, and Adagrad on rows, by the compiled core: see ``rows.c``."""

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Float32, Int32, Int64


@cache
def _sum() -> Callable[..., int]:
    found: Callable[..., int] = function(
        "sum_rows", Pointer, Size, Size, Pointer, Size, Pointer, Pointer, Size, Pointer
    )
    return found


@cache
def _count() -> Callable[..., int]:
    found: Callable[..., int] = function("count_numbers", Pointer, Size, Pointer, Size)
    return found


@cache
def _adagrad() -> Callable[..., int]:
    real = ctypes.c_float
    found: Callable[..., int] = function(
        "adagrad_rows", Pointer, Pointer, Size, Size, Pointer, Pointer, Size, real, real, real
    )
    return found


def sum_rows(
    table: Float32[np.ndarray, "rows columns"],
    rows: Int32[np.ndarray, " chosen"],
    offsets: Int64[np.ndarray, " bounds"],
    scale: Float32[np.ndarray, " chosen"] | None = None,
) -> Float32[np.ndarray, "bags columns"]:
    """Return the sum of the rows of each bag.

    Args:
        table: The table, such as an embedding.
        rows: The rows of all bags, concatenated.
        offsets: Start of each bag in ``rows``, and the end of the last.
        scale: A factor for each of ``rows``; None for 1.

    Raises:
        ValueError: If a row or an offset is out of range.
    """
    sums = np.empty((len(offsets) - 1, table.shape[1]), np.float32)
    if scale is not None and len(scale) != len(rows):
        raise ValueError("there is not a factor for each row")
    failed = table.shape[1] and _sum()(
        address(table, np.float32), *table.shape, address(rows, np.int32), len(rows),
        None if scale is None else address(scale, np.float32),
        address(offsets, np.int64), len(sums), sums.ctypes.data,
    )  # fmt: skip
    if failed:
        raise ValueError("the rows or offsets do not fit the table")
    return sums


def count_numbers(
    numbers: Int32[np.ndarray, " numbers"], num_counts: int
) -> Int32[np.ndarray, " counts"]:
    """Return how often each number from 0 to below ``num_counts`` occurs.

    Raises:
        ValueError: If a number is out of range, or there are more than int32 can count.
    """
    counts = np.zeros(num_counts, np.int32)
    fits = len(numbers) <= np.iinfo(np.int32).max
    if not fits or _count()(
        address(numbers, np.int32), len(numbers), counts.ctypes.data, num_counts
    ):
        raise ValueError("the numbers cannot be counted")
    return counts


def adagrad_rows(
    weights: Float32[np.ndarray, "rows columns"],
    totals: Float32[np.ndarray, "rows 1"],
    rows: Int64[np.ndarray, " touched"],
    gradients: Float32[np.ndarray, "touched columns"],
    rate: float,
    decay: float,
    epsilon: float,
) -> None:
    """Make a step of Adagrad with a sparse gradient, in place.

    Args:
        weights: The whole table.
        totals: Adagrad's accumulators: a sum of squared gradients per row.
        rows: The distinct rows with a gradient.
        gradients: The gradient of each of these rows.
        rate: The learning rate.
        decay: Decoupled weight decay per unit of learning rate.
        epsilon: Added to an accumulator before its square root.

    Raises:
        ValueError: If a row is out of range, or the shapes do not fit.
    """
    fits = totals.size == len(weights) and gradients.shape == (len(rows), weights.shape[1])
    if not fits or _adagrad()(
        address(weights, np.float32), address(totals, np.float32), *weights.shape,
        address(rows, np.int64), address(gradients, np.float32), len(rows), rate, decay, epsilon,
    ):  # fmt: skip
        raise ValueError("the rows or gradients do not fit the weights")
