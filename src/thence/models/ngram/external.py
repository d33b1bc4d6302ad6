"""Counting in bounded memory: what does not fit is sorted in runs that are merged from disk.

For every order the positions are worked on in blocks. The n-grams of a block are numbered and
counted among themselves and go to disk in order, a run. Then the runs are merged in pieces, ranges
of keys so narrow that a piece fits; what was the number within the run becomes the number among
all. With it, the numbers of the n-grams at each position are known, and the next order can begin.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from thence.array_types import Int64, Integer
from thence.errors import RunError
from thence.models.ngram.counting import OrderCounts, distinct, opening_targets
from thence.tokens import TokenStore

BYTES_PER_NGRAM = 96
"""What it takes at most to sort, number and count one n-gram of a block or of a piece."""

Bounds = list[tuple[int, int]]


def count_within(
    store: TokenStore, order: int, vocabulary_size: int, carry_context: bool, memory: int
) -> list[OrderCounts]:
    """Count as ``count_ngrams`` does, in about so many bytes; the counts are memory-mapped.

    Raises:
        RunError: If the temporary files cannot be written.
    """
    block = max(memory // BYTES_PER_NGRAM, 1)
    try:
        # Windows keeps files that are mapped; elsewhere they go when the last map does.
        with TemporaryDirectory(prefix="thence-", ignore_cleanup_errors=True) as folder:
            return _count_orders(store, order, vocabulary_size, carry_context, block, Path(folder))
    except OSError as error:
        raise RunError(
            f"Counting in {memory} bytes of memory needs room for temporary files, which cannot be "
            f"written ({error.strerror or error}); free some space, set TMPDIR to another folder, "
            "or give more memory."
        ) from error


def _count_orders(
    store: TokenStore,
    order: int,
    vocabulary_size: int,
    carry_context: bool,
    block: int,
    folder: Path,
) -> list[OrderCounts]:
    numbers = _Spool(folder / "1.numbers", np.int32)
    unigrams = np.zeros(vocabulary_size, np.int64)
    for start, stop in _pieces(0, len(store.ids), block):
        words = store.ids[start:stop]
        unigrams += np.bincount(words, minlength=vocabulary_size)
        numbers.append(words)
    unigrams[store.ids[0]] -= 1  # Not a target.
    nothing = np.zeros(vocabulary_size, np.int32)
    counts = [OrderCounts(np.arange(vocabulary_size), unigrams, nothing)]
    for length in range(2, order + 1):
        runs = _Runs.make(folder, length)
        for start, stop in _pieces(1, numbers.size, block):
            opening = opening_targets(store, length, carry_context, start, stop)
            window = numbers.read(start - 1, stop)
            _add_run(runs, window, store.ids[start:stop], opening, vocabulary_size)
        counts.append(_merge(runs, block, folder, length))
        numbers.remove()
        numbers = _renumber(runs, folder / f"{length}.numbers", block)
        runs.remove()
    numbers.remove()
    return counts


class _Spool:
    """Integers in a file: added at its end, read and overwritten anywhere.

    Not a memory map, to which writing on a full disk ends the process.

    Args:
        path: The file to make.
        dtype: Type of the integers.
    """

    def __init__(self, path: Path, dtype: type[np.signedinteger[Any]]) -> None:
        self.path, self.dtype, self.size = path, np.dtype(dtype), 0
        path.touch()

    def append(self, values: Integer[np.ndarray, " values"]) -> None:
        """Add values at the end."""
        self.overwrite(self.size, values)
        self.size += len(values)

    def overwrite(self, start: int, values: Integer[np.ndarray, " values"]) -> None:
        """Write values from a place on."""
        with self.path.open("r+b") as file:
            file.seek(start * self.dtype.itemsize)
            values.astype(self.dtype, copy=False).tofile(file)

    def read(self, start: int, stop: int) -> Integer[np.ndarray, " values"]:
        """Return the values between two places."""
        return np.fromfile(self.path, self.dtype, stop - start, offset=start * self.dtype.itemsize)

    def mapped(self) -> Integer[np.ndarray, " values"]:
        """Return all values, memory-mapped."""
        if not self.size:
            return np.zeros(0, self.dtype)
        return np.asarray(np.memmap(self.path, self.dtype, "r"))

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink()


@dataclass(frozen=True)
class _Runs:
    """The sorted runs of one order, one after the other, and what each block is made of.

    Attributes:
        keys: Of the n-grams of each run; in the end their numbers.
        counts: How often each occurs in the block.
        suffixes: Of each.
        places: Which n-gram of its run ends at each position, or -1.
        bounds: Where each run begins and ends.
    """

    keys: _Spool
    counts: _Spool
    suffixes: _Spool
    places: _Spool
    bounds: Bounds

    @classmethod
    def make(cls, folder: Path, length: int) -> "_Runs":
        """Open the files."""
        return cls(
            _Spool(folder / f"{length}.run-keys", np.int64),
            _Spool(folder / f"{length}.run-counts", np.int64),
            _Spool(folder / f"{length}.run-suffixes", np.int32),
            _Spool(folder / f"{length}.places", np.int32),
            [],
        )

    def remove(self) -> None:
        """Remove the files."""
        for spool in (self.keys, self.counts, self.suffixes, self.places):
            spool.remove()


def _pieces(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    return pairwise([*range(start, stop, size), stop]) if start < stop else iter(())


def _add_run(
    runs: _Runs,
    window: Integer[np.ndarray, " window"],
    words: Integer[np.ndarray, " positions"],
    opening: Int64[np.ndarray, " openings"],
    vocabulary_size: int,
) -> None:
    """Count the n-grams of a block among themselves."""
    keys, places = _extend(window, words, opening, vocabulary_size)
    found, times, which, first = distinct(keys)
    runs.bounds.append((runs.keys.size, runs.keys.size + len(found)))
    runs.keys.append(found)
    runs.counts.append(times)
    runs.suffixes.append(window[1:][places[first]])
    local = np.full(len(words), -1, np.int32)
    local[places] = which
    runs.places.append(local)


def _extend(
    numbers: Integer[np.ndarray, " window"],
    words: Integer[np.ndarray, " positions"],
    opening: Int64[np.ndarray, " openings"],
    vocabulary_size: int,
) -> tuple[Int64[np.ndarray, " ngrams"], Int64[np.ndarray, " ngrams"]]:
    """Make longer n-grams of those that end at each position and the words after them.

    Args:
        numbers: Of the n-grams that end before each word, and at the last one; -1 for none.
        words: What follows.
        opening: Places of words that must not follow anything.
        vocabulary_size: Number of ids (V).

    Returns:
        The keys of the longer n-grams, and the places of their last words.
    """
    follows = numbers[:-1] >= 0
    follows[opening] = False
    places = np.flatnonzero(follows)
    keys = numbers[:-1][places].astype(np.int64)
    keys *= vocabulary_size
    keys += words[places]
    return keys, places


def _merge(runs: _Runs, block: int, folder: Path, length: int) -> OrderCounts:
    """Count the n-grams of all runs together, and put their numbers in place of the runs' keys."""
    keys, counts = (_Spool(folder / f"{length}.{name}", np.int64) for name in ("keys", "counts"))
    suffixes = _Spool(folder / f"{length}.suffixes", np.int32)
    for parts in _narrow_ranges(runs, block):
        run_keys, run_counts, run_suffixes = (
            np.concatenate([spool.read(*part) for part in parts])
            for spool in (runs.keys, runs.counts, runs.suffixes)
        )
        found, _, which, first = distinct(run_keys)
        which += np.int32(keys.size)
        for part, numbers in zip(parts, _split(which, parts), strict=True):
            runs.keys.overwrite(part[0], numbers)
        times = np.zeros(len(found), np.int64)
        np.add.at(times, which - keys.size, run_counts)
        keys.append(found)
        counts.append(times)
        suffixes.append(run_suffixes[first])
    return OrderCounts(keys.mapped(), counts.mapped(), suffixes.mapped())


def _split(
    values: Integer[np.ndarray, " values"], parts: Bounds
) -> list[Integer[np.ndarray, " part"]]:
    return np.split(values, np.cumsum([stop - start for start, stop in parts])[:-1])


def _narrow_ranges(runs: _Runs, block: int) -> Iterator[Bounds]:
    """Yield, range of keys by range of keys, where they are in each run.

    Between two sampled keys a run has no more than ``step`` n-grams, so a range that holds as many
    samples as there are runs has at most twice as many steps as there are runs.
    """
    if not runs.keys.size:
        return
    step = max(block // (2 * len(runs.bounds)), 1)
    samples = [runs.keys.read(*bound)[step - 1 :: step].copy() for bound in runs.bounds]
    cuts = np.sort(np.concatenate(samples))[len(runs.bounds) - 1 :: len(runs.bounds)]
    places = [
        [start, *(start + np.searchsorted(runs.keys.read(start, stop), cuts, "right")), stop]
        for start, stop in runs.bounds
    ]
    for first, last in pairwise(np.array(places).T.tolist()):
        parts = [(start, stop) for start, stop in zip(first, last, strict=True) if start < stop]
        if parts:
            yield parts


def _renumber(runs: _Runs, path: Path, block: int) -> _Spool:
    """Return the number among all of the n-gram that ends at each position."""
    numbers = _Spool(path, np.int32)
    numbers.append(np.array([-1]))
    blocks = _pieces(0, runs.places.size, block)
    for (start, stop), bound in zip(blocks, runs.bounds, strict=True):
        global_numbers = np.append(runs.keys.read(*bound), -1)
        numbers.append(global_numbers[runs.places.read(start, stop)])
    return numbers
