"""Counting n-grams: sort and run-length count, no loop over n-grams, no dictionary.

An n-gram of order k is the number of its prefix (an n-gram of order k - 1) and its last word,
packed in one integer ``prefix * V + word``. Sorting those of order k numbers them in turn, so the
orders are counted one after the other, and every n-gram knows its prefix (``key // V``) and its
suffix. The places of one order, sorted, are nearly those of the next: there only what follows the
same n-gram is sorted anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from thence.array_types import Float, Int32, Int64, Integer
from thence.mapped import Spool, release
from thence.models.ngram.gathering import BLOCK, blocks, pieces, sum_by_number
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


def count_ngrams(
    store: TokenStore,
    order: int,
    vocabulary_size: int,
    carry_context: bool,
    memory: int | None = None,
) -> list[OrderCounts]:
    """Count the n-grams of all orders up to the given one.

    A document's first n-grams begin with one boundary; no n-gram reaches further to the left than
    that, unless context is carried across documents.

    Args:
        store: The tokens.
        order: The highest order (N).
        vocabulary_size: Number of ids (V).
        carry_context: Let n-grams reach across documents.
        memory: About how many bytes to work in, the rest being on disk; no bound by default. The
            counts are the same, and on disk too.

    Returns:
        The counts of orders 1 to N.

    Raises:
        RunError: If what goes to the disk cannot be written.
    """
    if memory is not None:
        from thence.models.ngram.external import count_within  # It needs what is below.

        return count_within(store, order, vocabulary_size, carry_context, memory)
    unigrams = store.id_counts(vocabulary_size)
    nothing = np.zeros(vocabulary_size, np.int32)
    counts = [OrderCounts(np.arange(vocabulary_size), unigrams, nothing)]
    numbers = store.ids.astype(np.int32)  # of the n-gram so far that ends at each position
    followers = np.append(numbers[1:], np.int32(-1))  # the word after each position, or -1
    which, places = sort_with_places(numbers.astype(np.int64))
    ngrams = _Occurrences(which.astype(np.int32), places.astype(np.int32))
    for length in range(2, order + 1):
        followers[opening_targets(store, length, carry_context, 1, len(numbers))] = -1
        keys, places = _followed(ngrams, followers, vocabulary_size)
        bounds, which = _number(keys)
        starts = bounds[:-1]
        counts.append(OrderCounts(keys[starts], np.diff(bounds), numbers[places[starts]]))
        if length < order:
            numbers[places] = which
            ngrams = _Occurrences(which, places)
    return counts


@dataclass(frozen=True)
class _Occurrences:
    """Where the n-grams of one order stand in the text, in order of their numbers.

    Attributes:
        which: Number of the n-gram.
        places: Position of its last word.
    """

    which: Int32[np.ndarray, " occurrences"]
    places: Int32[np.ndarray, " occurrences"]


def _followed(
    ngrams: _Occurrences, followers: Int32[np.ndarray, " positions"], vocabulary_size: int
) -> tuple[Int64[np.ndarray, " longer"], Int32[np.ndarray, " longer"]]:
    """Return the keys of the n-grams that are longer by a word, in order, and where they end.

    N-grams with the same prefix stand together already, so only their last words are sorted: piece
    by piece, each small enough for the processor's cache.
    """
    words = followers[ngrams.places]
    kept = words >= 0
    prefixes, places = ngrams.which[kept], ngrams.places[kept] + np.int32(1)
    keys = prefixes.astype(np.int64)
    keys *= vocabulary_size
    keys += words[kept]
    cuts = np.searchsorted(prefixes, prefixes[BLOCK::BLOCK])  # No n-gram's followers are parted.
    for start, stop in pairwise([0, *cuts.tolist(), len(keys)]):
        keys[start:stop], order = sort_with_places(keys[start:stop])
        places[start:stop] = places[start:stop][order]
    return keys, places


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
    Int64[np.ndarray, " found"],
]:
    """Sort, number and count keys that are not negative: ``np.unique``, but faster.

    Returns:
        The distinct keys, how often each occurs, the number of each key among the distinct ones,
        and where each first occurs.
    """
    ordered, places = sort_with_places(keys)
    bounds, numbers = _number(ordered)
    starts = bounds[:-1]
    which = np.empty(len(keys), np.int32)
    which[places] = numbers
    return ordered[starts], np.diff(bounds), which, places[starts]


def _number(
    ordered: Int64[np.ndarray, " keys"],
) -> tuple[Int64[np.ndarray, " bounds"], Int32[np.ndarray, " keys"]]:
    """Return where each distinct one of sorted keys begins, and the end; and each key's number."""
    is_new = np.ones(len(ordered) + 1, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:-1])
    return np.flatnonzero(is_new), np.cumsum(is_new[:-1], dtype=np.int32) - np.int32(1)


def sort_with_places(
    keys: Int64[np.ndarray, " keys"],
) -> tuple[Int64[np.ndarray, " keys"], Int64[np.ndarray, " keys"]]:
    """Return keys in order and where each was, equal ones from left to right.

    Each key is packed with its place into one integer, as integers are sorted faster than places.
    Where they do not fit, small and large keys, which need fewer bits, are sorted apart.
    """
    if not len(keys):
        return keys, np.zeros(0, np.int64)
    bits = len(keys).bit_length()
    low, high = int(keys.min()), int(keys.max())
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


def adjusted_counts(
    counts: list[OrderCounts], level: int, memory: int | None = None
) -> Int64[np.ndarray, " ngrams"]:
    """Return how many different words precede each n-gram of an order below the highest.

    An n-gram that nothing precedes opens the text; it keeps its own count. (Chen and Goodman
    1999, section 3; Heafield et al. 2013, "Scalable modified Kneser-Ney language model
    estimation", section 3.2.)

    Args:
        counts: Of orders 1 to N.
        level: One less than the order.
        memory: About how many bytes to work in; None: as many as needed.
    """
    below = counts[level].counts
    preceding = sum_by_number(counts[level + 1].suffixes, None, len(below), memory)
    if memory is None:
        return np.where(preceding > 0, preceding, below)
    adjusted = Spool(np.int64)
    for some, own in zip(blocks(preceding), blocks(below), strict=True):
        adjusted.append(np.where(some > 0, some, own))
    return adjusted.array()


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


def log_likelihood(
    counts: list[OrderCounts],
    log_probs: Sequence[Float[np.ndarray, " ngrams"]],
    memory: int | None = None,
) -> float:
    """Return the log-probability of the counted text itself, in nats, from counts alone.

    Every target is predicted by the longest n-gram that ends there, which was seen: one of the
    highest order or, near the beginning of a document, one that no longer one ends with.

    Args:
        counts: Of orders 1 to N.
        log_probs: Of the same n-grams, none left out.
        memory: About how many bytes to work in; None: as many as needed.
    """
    nats = 0.0
    for level, (order, values) in enumerate(zip(counts, log_probs, strict=True)):
        ends = None
        if level + 1 < len(counts):
            longer = counts[level + 1]
            ends = sum_by_number(longer.suffixes, longer.counts, len(order.keys), memory)
        size = len(order.keys) if memory is None else BLOCK
        for start, stop in pieces(0, len(order.keys), size):
            longest = order.counts[start:stop]
            longest = longest if ends is None else longest - ends[start:stop]
            is_used = longest > 0
            nats += float(longest[is_used] @ values[start:stop][is_used].astype(np.float64))
            release(order.counts, values, *([] if ends is None else [ends]))
    return nats
