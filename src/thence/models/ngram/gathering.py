"""Looking up numbers of n-grams in bounded memory.

After the counting, the n-grams of an order are read in turn, a block at a time. Only what is said
of their suffixes stands anywhere in the order below. Where that is too large for the memory, the
numbers of the suffixes are sorted by range first, so that one range after the other is looked at.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from thence._core import library
from thence._core.counting import add_by_number
from thence.array_types import Int64, Integer, Num
from thence.mapped import Spool, release

BLOCK = 1 << 18
"""About so many n-grams are worked on at once: their keys stay in the processor's cache."""
PARTS_OF_MEMORY = 8
"""Each range of values that is looked up may take this share of the memory."""


def pieces(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut the numbers from ``start`` to ``stop`` into ranges of one size, the last perhaps less."""
    return pairwise([*range(start, stop, size), stop]) if start < stop else iter(())


class Gathered:
    """``values[numbers]``, to be sliced, wherever in the values the numbers point to.

    Args:
        values: What is looked up.
        numbers: Which of them.
        memory: About how many bytes to work in; None: as many as needed.
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
        """Give the memory back of what was read of mapped arrays, but for the values."""
        release(self._numbers, *([] if self._moved is None else [self._moved]))


def _gather(
    values: Num[np.ndarray, " values"], numbers: Integer[np.ndarray, " numbers"], memory: int
) -> Num[np.ndarray, " numbers"]:
    """Return values by their numbers: sorted by range, looked up, and put back in their order."""
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
    """Return ranges of an array that take a share of the memory each."""
    width = max(memory // PARTS_OF_MEMORY // values.itemsize, 1)
    return pieces(0, len(values), width)


def sum_by_number(
    numbers: Integer[np.ndarray, " numbers"],
    weights: Int64[np.ndarray, " numbers"] | None,
    size: int,
    memory: int | None = None,
) -> Int64[np.ndarray, " size"]:
    """Add up weights by number, as ``np.bincount`` does, in about so many bytes.

    Args:
        numbers: Each below ``size``.
        weights: Of each; None: 1.
        size: How many sums there are.
        memory: None: as much as needed.
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
