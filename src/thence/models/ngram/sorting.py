"""N-grams of one order as integer keys: sorting, numbering and look-up.

An n-gram of order k is one integer ``prefix * V + word``: the index of its prefix among the n-grams
of order k - 1, and its last word. Its own index is its rank among the sorted keys of order k. So
every n-gram knows its prefix (``key // V``), and n-grams that begin with the same words are
contiguous.
"""

from dataclasses import dataclass

import numpy as np

from thence._core import counting as core
from thence._core import library
from thence.array_types import Int32, Int64, Integer
from thence.mapped import release
from thence.models.ngram.gathering import BLOCK
from thence.tokens import TokenStore


@dataclass(frozen=True)
class OrderCounts:
    """The distinct n-grams of one order, sorted by key.

    Attributes:
        keys: ``prefix * V + word``; for order 1 the word itself, every id of the vocabulary.
        counts: Count of each n-gram.
        suffixes: Index in the order below of each n-gram without its first word.
    """

    keys: Int64[np.ndarray, " ngrams"]
    counts: Int64[np.ndarray, " ngrams"]
    suffixes: Integer[np.ndarray, " ngrams"]

    def prefixes(self, vocabulary_size: int) -> Int64[np.ndarray, " ngrams"]:
        """Return the index in the order below of each n-gram without its last word."""
        return self.keys // vocabulary_size

    def words(self, vocabulary_size: int) -> Int64[np.ndarray, " ngrams"]:
        """Return the last word of each n-gram."""
        return self.keys % vocabulary_size


def opening_targets(
    store: TokenStore, length: int, carry_context: bool, start: int, stop: int
) -> Int64[np.ndarray, " openings"]:
    """Return the first targets of documents within positions start to stop, relative to start.

    N-grams of ``length`` may not end there, as they would reach before the boundary. Empty if they
    may: with carried context, or for lengths up to 2 (the boundary and the target).
    """
    if carry_context or length < 3:
        return np.zeros(0, np.int64)
    opening = store.offsets[:-1]
    first, last = np.searchsorted(opening, [start, stop])
    found: Int64[np.ndarray, " openings"] = opening[first:last] - start
    release(opening)
    return found


def distinct(
    keys: Int64[np.ndarray, " keys"],
) -> tuple[
    Int64[np.ndarray, " found"],
    Int64[np.ndarray, " found"],
    Int32[np.ndarray, " keys"],
    Integer[np.ndarray, " found"],
]:
    """Sort, count and number non-negative keys, as ``np.unique`` does, but faster.

    Returns:
        The distinct keys, their counts, the index of each key among the distinct ones, and the
        first position of each distinct one.
    """
    ordered, places = sort_with_places(keys)
    bounds, numbers = number_sorted(ordered)
    starts = bounds[:-1]
    which = np.empty(len(keys), np.int32)
    which[places] = numbers
    return ordered[starts], np.diff(bounds), which, places[starts]


def number_sorted(
    ordered: Int64[np.ndarray, " keys"],
) -> tuple[Int64[np.ndarray, " bounds"], Int32[np.ndarray, " keys"]]:
    """Return the bounds of runs of equal sorted keys, and the index of each key's run."""
    is_new = np.ones(len(ordered) + 1, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:-1])
    return np.flatnonzero(is_new), np.cumsum(is_new[:-1], dtype=np.int32) - np.int32(1)


def sort_with_places(
    keys: Int64[np.ndarray, " keys"],
) -> tuple[Int64[np.ndarray, " keys"], Integer[np.ndarray, " keys"]]:
    """Return sorted keys and their original positions (a stable argsort).

    Each key is packed with its position into one integer, since sorting integers is faster than
    argsort. If that needs more than 63 bits, the lower and the upper half of the range of keys,
    with a bit less each, are sorted separately.
    """
    if not len(keys):
        return keys, np.zeros(0, np.int64)
    bits = len(keys).bit_length()
    low, high = int(keys.min()), int(keys.max())
    if low >= 0 and library() is not None:
        return core.sort_with_places(keys)
    if (high - low).bit_length() + bits > 63:
        middle = low + (high - low) // 2
        halves = [np.flatnonzero(keys <= middle), np.flatnonzero(keys > middle)]
        parts = [sort_with_places(keys[half]) for half in halves]
        places = [half[part[1]] for half, part in zip(halves, parts, strict=True)]
        return np.concatenate([part[0] for part in parts]), np.concatenate(places)
    packed = keys - low
    packed <<= bits
    packed |= np.arange(len(keys))
    packed.sort(kind="stable")  # Much faster if keys are nearly in order, as they often are.
    order = packed & ((1 << bits) - 1)
    packed >>= bits
    packed += low
    return packed, order


def find(
    keys: Int64[np.ndarray, " ngrams"],
    prefixes: Int64[np.ndarray, " queries"],
    words: Integer[np.ndarray, " queries"],
    vocabulary_size: int,
) -> Int64[np.ndarray, " queries"]:
    """Return the indexes of n-grams given by prefix (-1: none) and last word; -1: not seen."""
    numbers = np.full(len(prefixes), -1)
    if not len(keys):
        return numbers
    asked = np.flatnonzero(prefixes >= 0)
    for start in range(0, len(asked), BLOCK):  # Sorted look-ups miss the cache less often.
        block = asked[start : start + BLOCK]
        wanted, order = sort_with_places(prefixes[block] * vocabulary_size + words[block])
        places = np.searchsorted(keys, wanted)
        is_seen = np.take(keys, places, mode="clip") == wanted
        numbers[block[order[is_seen]]] = places[is_seen]
    return numbers
