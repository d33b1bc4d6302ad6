"""Counting n-grams by sorting, without a hash table.

The orders are counted one after the other. Positions of the text are kept sorted by the n-gram that
ends there; for the next order, only positions with the same n-gram are sorted by the word that
follows.

With bounded memory the text is counted in blocks, whose counts are merged on disk
(``external.py``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from thence._core import counting as core
from thence._core import library
from thence.array_types import Int32, Integer
from thence.deadline import check_deadline
from thence.mapped import (
    Columns,
    MemoryColumn,
    Spool,
    explain_disk_errors,
    on_disk,
    pieces,
    release,
)
from thence.models.ngram.external import Runs, merge_runs
from thence.models.ngram.gathering import BLOCK
from thence.models.ngram.sorting import (
    OrderCounts,
    number_sorted,
    opening_targets,
    sort_with_places,
)
from thence.tokens import TokenStore

BYTES_PER_POSITION = 36
"""Upper bound of the memory that the compiled core takes per position of a block, besides what goes
to disk: four numbers of 4 bytes, and at worst 16 bytes to sort what follows one frequent n-gram."""
BYTES_PER_POSITION_IN_NUMPY = 96
"""The same for NumPy."""


def count_ngrams(
    store: TokenStore,
    order: int,
    vocabulary_size: int,
    carry_context: bool,
    memory: int | None = None,
) -> list[OrderCounts]:
    """Count the n-grams of all orders up to the given one.

    A document's first n-grams begin with one boundary. No n-gram reaches further to the left,
    unless context is carried across documents.

    Args:
        store: The tokens.
        order: The highest order (N).
        vocabulary_size: Number of ids (V).
        carry_context: Let n-grams reach across documents.
        memory: About how many bytes to work in, with the counts on disk; None: no bound. The counts
            are the same.

    Returns:
        The counts of orders 1 to N.

    Raises:
        RunError: If the disk cannot be written.
    """
    if memory is None:
        everything = _Block(store.ids, 0, len(store.ids), 1)
        ordered = _count_block(everything, store, order, vocabulary_size, carry_context)
        return _with_unigrams(store, ordered, vocabulary_size)
    with explain_disk_errors(memory):
        runs = [Runs() for _ in range(order - 1)]
        for block in _blocks_of(store, order, memory):
            found = _count_block(block, store, order, vocabulary_size, carry_context, Spool)
            for counted, run in zip(found, runs, strict=True):
                run.add(counted)
        merged = merge_runs(runs, vocabulary_size, memory)
        unigrams, *longer = _with_unigrams(store, merged, vocabulary_size)
        parts = (unigrams.keys, unigrams.counts, unigrams.suffixes)
        return [OrderCounts(*map(on_disk, parts)), *longer]


def _with_unigrams(
    store: TokenStore, longer: list[OrderCounts], vocabulary_size: int
) -> list[OrderCounts]:
    nothing = np.zeros(vocabulary_size, np.int32)
    unigrams = OrderCounts(np.arange(vocabulary_size), store.id_counts(vocabulary_size), nothing)
    return [unigrams, *longer]


@dataclass(frozen=True)
class _Block:
    """A part of a text that is counted at once.

    Attributes:
        ids: The N - 1 tokens before it, and its tokens.
        start: Position in the store of the first of ``ids``.
        stop: Position in the store after the last of ``ids``.
        first: Index in ``ids`` of the block's first token: n-grams that end before are not counted.
    """

    ids: Integer[np.ndarray, " positions"]
    start: int
    stop: int
    first: int


def _blocks_of(store: TokenStore, order: int, memory: int) -> Iterator[_Block]:
    """Yield blocks of a text that can each be counted in ``memory`` bytes."""
    each = BYTES_PER_POSITION if library() is not None else BYTES_PER_POSITION_IN_NUMPY
    for start, stop in pieces(1, len(store.ids), max(memory // each, 1)):
        before = max(start - order + 1, 0)
        yield _Block(store.ids[before:stop], before, stop, start - before)
        release(store.ids)


def _count_block(
    block: _Block,
    store: TokenStore,
    order: int,
    vocabulary_size: int,
    carry_context: bool,
    column: Columns = MemoryColumn,
) -> list[OrderCounts]:
    """Return the counts of orders 2 and up of the n-grams that end in a block."""
    numbers = block.ids.astype(np.int32)  # Index of the n-gram that ends at each position.
    release(store.ids)
    followers = np.append(numbers[1:], np.int32(-1))  # The word after each position, or -1.
    places = _place_words(numbers, vocabulary_size)
    ngrams, counts = _Occurrences(numbers[places], places), []
    for length in range(2, order + 1):
        # N-grams that end at a document's first word may begin with the boundary, but not before.
        opening = opening_targets(store, length, carry_context, block.start + 1, block.stop)
        followers[opening] = -1
        size = len(ngrams.which)
        keys, times, suffixes = (column(dtype, size) for dtype in (np.int64, np.int64, np.int32))
        for found in _longer(ngrams, followers, numbers, vocabulary_size, block.first):
            for one, values in zip((keys, times, suffixes), found, strict=True):
                one.append(values)
        counts.append(OrderCounts(keys.array(), times.array(), suffixes.array()))
    return counts


@dataclass
class _Occurrences:
    """All occurrences of the n-grams of one order, sorted by n-gram.

    Attributes:
        which: Index of the n-gram of each occurrence.
        places: Position of its last word.
    """

    which: Int32[np.ndarray, " occurrences"]
    places: Int32[np.ndarray, " occurrences"]


def _place_words(
    ids: Int32[np.ndarray, " positions"], vocabulary_size: int
) -> Int32[np.ndarray, " positions"]:
    """Return the positions of all words, sorted by word id (stable)."""
    if library() is not None:
        return core.place_words(ids, vocabulary_size)
    return sort_with_places(ids.astype(np.int64))[1].astype(np.int32)


def _longer(
    ngrams: _Occurrences,
    followers: Int32[np.ndarray, " positions"],
    numbers: Int32[np.ndarray, " positions"],
    vocabulary_size: int,
    first: int,
) -> Iterator[core.Longer]:
    """Yield keys, counts and suffixes of the n-grams of the next order, sorted by key.

    ``ngrams`` and ``numbers`` are updated in place to the next order.

    Args:
        ngrams: The occurrences of the current order.
        followers: The word after each position, or -1.
        numbers: Index of the n-gram that ends at each position.
        vocabulary_size: Number of ids (V).
        first: Position from which on occurrences are counted; those before are only numbered.
    """
    count = core.count_longer if library() is not None else longer_in_numpy
    which, places = ngrams.which, ngrams.places
    cuts = np.searchsorted(which, which[BLOCK::BLOCK])  # All followers of an n-gram in one block.
    written = following = 0
    for start, stop in pairwise([0, *cuts.tolist(), len(which)]):
        check_deadline()
        found, written = count(
            which, places, slice(start, stop), written, followers, numbers, vocabulary_size, first,
            following,
        )  # fmt: skip
        following += len(found[0])
        yield found
    ngrams.which, ngrams.places = which[:written], places[:written]


def longer_in_numpy(
    which: Int32[np.ndarray, " occurrences"],
    places: Int32[np.ndarray, " occurrences"],
    part: slice,
    written: int,
    followers: Int32[np.ndarray, " positions"],
    numbers: Int32[np.ndarray, " positions"],
    vocabulary_size: int,
    first: int,
    following: int,
) -> tuple[core.Longer, int]:
    """Count the next order: the NumPy twin of the kernel ``count_longer``."""
    words = followers[places[part]]
    is_followed = words >= 0
    keys = which[part][is_followed].astype(np.int64) * vocabulary_size + words[is_followed]
    ends = places[part][is_followed] + np.int32(1)
    keys, order = sort_with_places(keys)
    ends = ends[order]
    bounds, longer = number_sorted(keys)
    starts = bounds[:-1]
    counted = np.concatenate([np.zeros(1, np.int64), np.cumsum(ends >= first)])
    suffixes = numbers[ends[starts]]
    longer += np.int32(following)
    stop = written + len(ends)
    which[written:stop], places[written:stop], numbers[ends] = longer, ends, longer
    return (keys[starts], np.diff(counted[bounds]), suffixes), stop
