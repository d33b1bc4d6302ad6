"""The n-grams of one order, packed as numbers: what they are, sorting, numbering, looking up.

An n-gram of order k is the number of its prefix (an n-gram of order k - 1) and its last word,
packed in one integer ``prefix * V + word``. Sorting those of order k numbers them in turn, so every
n-gram knows its prefix (``key // V``), and what begins with the same words stands together.
"""

from dataclasses import dataclass

import numpy as np

from thence._core import counting as core
from thence._core import library
from thence.array_types import Int32, Int64, Integer
from thence.models.ngram.gathering import BLOCK
from thence.tokens import TokenStore


@dataclass(frozen=True)
class OrderCounts:
    """The distinct n-grams of one order, sorted by key.

    Attributes:
        keys: ``prefix * V + word``; for order 1 the word itself, every id of the vocabulary.
        counts: How often each occurs.
        suffixes: Number of each n-gram without its first word, in the order below.
    """

    keys: Int64[np.ndarray, " ngrams"]
    counts: Int64[np.ndarray, " ngrams"]
    suffixes: Integer[np.ndarray, " ngrams"]

    def prefixes(self, vocabulary_size: int) -> Int64[np.ndarray, " ngrams"]:
        """Return the number of each n-gram without its last word, in the order below."""
        return self.keys // vocabulary_size

    def words(self, vocabulary_size: int) -> Int64[np.ndarray, " ngrams"]:
        """Return the last word of each n-gram."""
        return self.keys % vocabulary_size


def opening_targets(
    store: TokenStore, length: int, carry_context: bool, start: int, stop: int
) -> Int64[np.ndarray, " openings"]:
    """Return which of the positions from start to stop, counted from start, no n-gram may cross.

    Those are the first targets of documents, for n-grams longer than the boundary and the target.
    """
    if carry_context or length < 3:
        return np.zeros(0, np.int64)
    opening = store.offsets[:-1]
    first, last = np.searchsorted(opening, [start, stop])
    return opening[first:last] - start


def distinct(
    keys: Int64[np.ndarray, " keys"],
) -> tuple[
    Int64[np.ndarray, " found"],
    Int64[np.ndarray, " found"],
    Int32[np.ndarray, " keys"],
    Integer[np.ndarray, " found"],
]:
    """Sort, number and count keys that are not negative: ``np.unique``, but faster.

    Returns:
        The distinct keys, how often each occurs, the number of each key among the distinct ones,
        and where each first occurs.
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
    """Return where each distinct one of sorted keys begins, and the end; and each key's number."""
    is_new = np.ones(len(ordered) + 1, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:-1])
    return np.flatnonzero(is_new), np.cumsum(is_new[:-1], dtype=np.int32) - np.int32(1)


def sort_with_places(
    keys: Int64[np.ndarray, " keys"],
) -> tuple[Int64[np.ndarray, " keys"], Integer[np.ndarray, " keys"]]:
    """Return keys in order and where each was, equal ones from left to right.

    Each key is packed with its place into one integer, as integers are sorted faster than places.
    Where they do not fit, small and large keys, which need fewer bits, are sorted apart.
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
    packed.sort(kind="stable")  # Much faster where keys are nearly in order, as they often are.
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
    """Return the numbers of n-grams given by prefix (-1: none) and last word, -1 where not seen."""
    numbers = np.full(len(prefixes), -1)
    if not len(keys):
        return numbers
    asked = np.flatnonzero(prefixes >= 0)
    for start in range(0, len(asked), BLOCK):  # In order, to wait for memory less often.
        block = asked[start : start + BLOCK]
        wanted, order = sort_with_places(prefixes[block] * vocabulary_size + words[block])
        places = np.searchsorted(keys, wanted)
        is_seen = np.take(keys, places, mode="clip") == wanted
        numbers[block[order[is_seen]]] = places[is_seen]
    return numbers
