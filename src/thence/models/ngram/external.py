"""Merging the n-gram counts of blocks on disk (external sorting).

The sorted n-grams of one block are a run on disk, with indexes of their own. Order by order the
runs are merged in ranges of keys so narrow that each fits into memory. The merge yields the index
of each n-gram of a run among all n-grams, with which the keys and suffixes of the next order are
rewritten.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from thence.array_types import Int64, Integer
from thence.mapped import Spool, pieces, release, search, strided
from thence.models.ngram.gathering import BLOCK
from thence.models.ngram.sorting import OrderCounts, distinct

BYTES_PER_NGRAM = 96
"""Upper bound of the memory in bytes to sort, number and count one n-gram in a merge."""

Bounds = list[tuple[int, int]]
"""Beginnings and ends of ranges."""


@dataclass(frozen=True)
class Runs:
    """The sorted runs of one order, concatenated.

    Attributes:
        counted: The counts of each run, with its own indexes.
        keys: The keys of all runs, with merged indexes of the prefixes.
        suffixes: The merged indexes of the suffixes.
        numbers: The merged index of each n-gram of the runs.
        bounds: The range of each run in these.
    """

    counted: list[OrderCounts] = field(default_factory=list)
    keys: Spool = field(default_factory=lambda: Spool(np.int64))
    suffixes: Spool = field(default_factory=lambda: Spool(np.int32))
    numbers: Spool = field(default_factory=lambda: Spool(np.int32))
    bounds: Bounds = field(default_factory=list)

    def add(self, counted: OrderCounts) -> None:
        """Add the counts of a block."""
        start = self.bounds[-1][1] if self.bounds else 0
        self.counted.append(counted)
        self.bounds.append((start, start + len(counted.keys)))


def merge_runs(orders: list[Runs], vocabulary_size: int, memory: int) -> list[OrderCounts]:
    """Return the counts of orders 2 and up of all blocks together, on disk.

    Args:
        orders: The runs of each order; emptied to free their disk space.
        vocabulary_size: Number of ids (V).
        memory: About how many bytes to work in.
    """
    if orders and len(orders[0].counted) == 1:
        return [runs.counted[0] for runs in orders]
    merged, shorter = [], None
    for place, runs in enumerate(orders):
        _renumber(runs, shorter, vocabulary_size)
        merged.append(_merge(runs, max(memory // BYTES_PER_NGRAM, 1)))
        shorter, orders[place] = runs, Runs()
    return merged


def _renumber(runs: Runs, shorter: Runs | None, vocabulary_size: int) -> None:
    """Write the keys and suffixes of runs with the merged indexes of the order below.

    Args:
        runs: The runs of one order.
        shorter: The merged runs of the order below; None: words, whose indexes are their ids.
        vocabulary_size: Number of ids (V).
    """
    for place, counted in enumerate(runs.counted):
        of_shorter = None if shorter is None else shorter.numbers.read(*shorter.bounds[place])
        for start, stop in pieces(0, len(counted.keys), BLOCK):
            keys, suffixes = counted.keys[start:stop], counted.suffixes[start:stop]
            if of_shorter is not None:
                prefixes = keys // vocabulary_size
                words = keys - prefixes * vocabulary_size
                keys = of_shorter[prefixes].astype(np.int64) * vocabulary_size + words
                suffixes = of_shorter[suffixes]
            runs.keys.append(keys)
            runs.suffixes.append(suffixes)
            release(counted.keys, counted.suffixes)


def _merge(runs: Runs, block: int) -> OrderCounts:
    """Merge the runs of one order into counts; store each n-gram's merged index in ``numbers``."""
    keys, counts, suffixes = Spool(np.int64), Spool(np.int64), Spool(np.int32)
    for parts in _narrow_ranges(runs, block):
        run_keys = np.concatenate([runs.keys.read(*part) for part in parts])
        found, _, which, first = distinct(run_keys)
        which += np.int32(keys.size)
        for part, numbers in zip(parts, _split(which, parts), strict=True):
            runs.numbers.overwrite(part[0], numbers)
        times = np.zeros(len(found), np.int64)
        np.add.at(times, which - keys.size, _counts_of(runs, parts))
        keys.append(found)
        counts.append(times)
        suffixes.append(np.concatenate([runs.suffixes.read(*part) for part in parts])[first])
    return OrderCounts(keys.array(), counts.array(), suffixes.array())


def _counts_of(runs: Runs, parts: Bounds) -> Int64[np.ndarray, " ngrams"]:
    """Return the counts of parts of runs, concatenated."""
    found = []
    for start, stop in parts:
        place = next(place for place, bound in enumerate(runs.bounds) if bound[1] >= stop)
        first, counts = runs.bounds[place][0], runs.counted[place].counts
        found.append(np.array(counts[start - first : stop - first]))
        release(counts)
    return np.concatenate(found)


def _split(
    values: Integer[np.ndarray, " values"], parts: Bounds
) -> list[Integer[np.ndarray, " part"]]:
    return np.split(values, np.cumsum([stop - start for start, stop in parts])[:-1])


def _narrow_ranges(runs: Runs, block: int) -> Iterator[Bounds]:
    """Yield ranges of keys, each as its ranges within the runs, of about ``block`` n-grams at most.

    Every ``step``-th key of each run is a sample. Between two samples a run has at most ``step``
    n-grams, so a range with as many samples as there are runs holds at most 2 x runs x ``step``.
    """
    if not runs.keys.size:
        return
    step = max(block // (2 * len(runs.bounds)), 1)
    keys = runs.keys.array()
    samples = []
    for start, stop in runs.bounds:
        samples.append(strided(keys[start + step - 1 : stop], step))
    cuts = np.sort(np.concatenate(samples))[len(runs.bounds) - 1 :: len(runs.bounds)]
    places = [
        [start, *(start + search(keys[start:stop], cuts, "right")), stop]
        for start, stop in runs.bounds
    ]
    for first, last in pairwise(np.array(places).T.tolist()):
        parts = [(start, stop) for start, stop in zip(first, last, strict=True) if start < stop]
        if parts:
            yield parts
