"""Gathering values by n-gram index, and summing by index, in bounded memory.

After counting, the n-grams of an order are read sequentially, a block at a time; only look-ups by
suffix in the order below are random accesses. If that order does not fit into memory, the look-ups
are partitioned by range of indexes first, so that only one range is in memory at a time.
"""

from collections.abc import Iterator

import numpy as np

from thence._core import library
from thence._core.counting import add_by_number
from thence.array_types import Int64, Integer, Num
from thence.mapped import Spool, pieces, release

BLOCK = 1 << 18
"""Approximate number of n-grams per block, whose keys stay in the processor's cache."""
PARTS_OF_MEMORY = 8
"""Each range of values may take one part in this many of the memory."""


class Gathered:
    """``values[numbers]``, read slice by slice, in bounded memory.

    Args:
        values: The values.
        numbers: The indexes.
        memory: About how many bytes to work in; None: no bound.
    """

    def __init__(
        self,
        values: Num[np.ndarray, " values"],
        numbers: Integer[np.ndarray, " numbers"],
        memory: int | None = None,
    ) -> None:
        self._values, self._numbers = values, numbers
        self._moved: np.ndarray | None = None
        if memory is not None and values.nbytes > memory // PARTS_OF_MEMORY:
            self._moved = _gather(values, numbers, memory)

    def __getitem__(self, part: slice) -> Num[np.ndarray, " part"]:
        if self._moved is not None:
            found: np.ndarray = self._moved[part]
            return found
        taken: np.ndarray = self._values[self._numbers[part]]
        return taken

    def release(self) -> None:
        """Free the pages read from memory-mapped arrays, except those of the values."""
        release(self._numbers, *([] if self._moved is None else [self._moved]))


def _gather(
    values: Num[np.ndarray, " values"], numbers: Integer[np.ndarray, " numbers"], memory: int
) -> Num[np.ndarray, " numbers"]:
    """Return ``values[numbers]`` on disk: partition by range, look up, restore the order."""
    ranges = list(_ranges(values, memory))
    width = ranges[0][1]
    asked = [Spool(np.int64) for _ in ranges]
    for block in blocks(numbers):
        for spool, (start, stop) in zip(asked, ranges, strict=True):
            spool.append(block[(block >= start) & (block < stop)])
    found = [Spool(values.dtype) for _ in ranges]
    for spool, answers, (start, stop) in zip(asked, found, ranges, strict=True):
        held = np.array(values[start:stop])
        release(values)
        for first, last in pieces(0, spool.size, BLOCK):
            answers.append(held[spool.read(first, last) - start])
        del held
    gathered, given = Spool(values.dtype), np.zeros(len(ranges), np.int64)
    for block in blocks(numbers):
        which, together = block // width, np.empty(len(block), values.dtype)
        times = np.bincount(which, minlength=len(ranges))
        for index in np.flatnonzero(times):
            together[which == index] = found[index].read(given[index], given[index] + times[index])
        given += times
        gathered.append(together)
    return gathered.array()


def _ranges(values: Num[np.ndarray, " values"], memory: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of an array, each of which takes its share of the memory."""
    width = max(memory // PARTS_OF_MEMORY // values.itemsize, 1)
    return pieces(0, len(values), width)


def sum_by_number(
    numbers: Integer[np.ndarray, " numbers"],
    weights: Int64[np.ndarray, " numbers"] | None,
    size: int,
    memory: int | None = None,
) -> Int64[np.ndarray, " size"]:
    """Return the sums of weights by index, as ``np.bincount`` does, in bounded memory.

    Args:
        numbers: The indexes, each below ``size``.
        weights: The weight of each; None: 1.
        size: Number of sums.
        memory: About how many bytes to work in; None: no bound.
    """
    if memory is None:
        if library() is not None and numbers.dtype == np.int32:
            return add_by_number(numbers, weights, size)
        # Exact: far below 2^53.
        return np.bincount(numbers, weights, size).astype(np.int64, copy=False)
    sums = Spool(np.int64)
    for start, stop in pieces(0, size, max(memory // PARTS_OF_MEMORY // 8, 1)):
        sums.append(_sums_between(numbers, weights, start, stop))
    return sums.array()


def _sums_between(
    numbers: Integer[np.ndarray, " numbers"],
    weights: Int64[np.ndarray, " numbers"] | None,
    start: int,
    stop: int,
) -> Int64[np.ndarray, " range"]:
    sums = np.zeros(stop - start, np.int64)
    for first, last in pieces(0, len(numbers), BLOCK):
        block = numbers[first:last]
        inside = np.flatnonzero((block >= start) & (block < stop))
        added = 1 if weights is None else weights[first:last][inside]
        np.add.at(sums, block[inside] - start, added)
        release(numbers, *([] if weights is None else [weights]))
    return sums


def blocks(values: Num[np.ndarray, " values"]) -> Iterator[Num[np.ndarray, " block"]]:
    """Yield an array a block at a time."""
    for start, stop in pieces(0, len(values), BLOCK):
        yield values[start:stop]
        release(values)
