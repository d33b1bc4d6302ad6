"""The exchange of words between classes, by the compiled core: see ``classes.c``."""

from collections.abc import Callable
from functools import cache

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Float64, Int32, Int64

Neighbours = tuple[
    Int64[np.ndarray, " words+1"], Int32[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]
]
"""Bigram counts as a sparse CSR matrix: row offsets by word, ids of neighbours, and counts."""


@cache
def _sweep() -> Callable[..., int]:
    neighbours = (Pointer, Pointer, Pointer, Size)
    others = (Size, Pointer, Size, Pointer, Pointer, Pointer, Size, Size, Pointer, Size)
    found: Callable[..., int] = function(
        "exchange_sweep", *neighbours, *neighbours, *others, Pointer, Pointer, result=Size
    )
    return found


def exchange_sweep(
    after: Neighbours,
    before: Neighbours,
    order: Int64[np.ndarray, " ordered"],
    class_of: Int32[np.ndarray, " words"],
    rows: Int64[np.ndarray, "classes classes"],
    columns: Int64[np.ndarray, "classes classes"],
    classes: int,
    table: Float64[np.ndarray, " counts"],
) -> int:
    """Make one sweep of the exchange algorithm, in place; return how many words changed class.

    Args:
        after: Counts of the words that follow each word.
        before: Counts of the words that come before each word.
        order: The words to visit, in order.
        class_of: The class of each word; changed.
        rows: Counts of class bigrams (first, second); changed.
        columns: The same, transposed; changed.
        classes: Number of classes that words may be moved to.
        table: n log n for small counts n, precomputed.

    Raises:
        ValueError: If shapes, ids or counts do not fit each other.
    """
    words, size = len(class_of), len(rows)
    room, gain = np.empty(4 * size, np.int64), np.empty(size)
    fits = rows.shape == columns.shape == (size, size)
    for starts, others, counts in (after, before):
        fits = fits and len(starts) == words + 1 and others.shape == counts.shape
    moved = -1
    if fits:
        moved = _sweep()(
            *_given(after), *_given(before), words, address(order, np.int64), len(order),
            address(class_of, np.int32), address(rows, np.int64), address(columns, np.int64),
            size, classes, address(table, np.float64), len(table),
            room.ctypes.data, gain.ctypes.data,
        )  # fmt: skip
    if moved < 0:
        raise ValueError("the counts of neighbours do not fit the classes")
    return moved


def _given(neighbours: Neighbours) -> tuple[int, int, int, int]:
    starts, words, counts = neighbours
    return (
        address(starts, np.int64), address(words, np.int32), address(counts, np.int64), len(words)
    )  # fmt: skip
