"""Counting n-grams: sort and run-length count, no loop over n-grams, no dictionary.

An n-gram of order k is the number of its prefix (an n-gram of order k - 1) and its last word,
packed in one integer ``prefix * V + word``. Sorting those of order k numbers them in turn, so the
orders are counted one after the other, and every n-gram knows its prefix (``key // V``) and its
suffix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32, Int64, Integer

from thence.tokens import TokenStore

BLOCK = 1 << 18
"""So many n-grams at most are looked up at once."""


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
    targets = store.targets
    unigrams = np.bincount(targets, minlength=vocabulary_size).astype(np.int64)
    nothing = np.zeros(vocabulary_size, np.int32)
    counts = [OrderCounts(np.arange(vocabulary_size), unigrams, nothing)]
    numbers = store.ids.astype(np.int32)  # of the n-gram so far that ends at each position
    for length in range(2, order + 1):
        opening = opening_targets(store, length, carry_context, 1, len(numbers))
        keys, places = extend(numbers, targets, opening, vocabulary_size)
        found, times, which, first = distinct(keys)
        counts.append(OrderCounts(found, times, numbers[1:][places[first]]))
        numbers[:] = -1
        numbers[1:][places] = which
    return counts


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


def extend(
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
    is_new = np.ones(len(keys), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    starts = np.flatnonzero(is_new)
    which = np.empty(len(keys), np.int32)
    which[places] = np.cumsum(is_new, dtype=np.int32) - np.int32(1)
    return ordered[starts], np.diff(starts, append=len(keys)), which, places[starts]


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
    packed.sort()
    order = packed & ((1 << bits) - 1)
    packed >>= bits
    packed += low
    return packed, order


def depths(store: TokenStore) -> Int64[np.ndarray, " positions"]:
    """Return how many tokens of the same document, its boundary included, precede each position."""
    depth = np.arange(len(store.ids))
    starts = np.concatenate([[0], store.offsets[:-1] - 1])
    depth[1:] -= np.repeat(starts[1:], store.target_counts)
    depth[0] = 0
    return depth


def adjusted_counts(counts: list[OrderCounts], level: int) -> Int64[np.ndarray, " ngrams"]:
    """Return how many different words precede each n-gram of an order below the highest.

    An n-gram that nothing precedes opens the text; it keeps its own count. (Chen and Goodman
    1999, section 3; Heafield et al. 2013, "Scalable modified Kneser-Ney language model
    estimation", section 3.2.)
    """
    below = counts[level]
    preceding = np.bincount(counts[level + 1].suffixes, minlength=len(below.keys))
    return np.where(preceding > 0, preceding, below.counts)


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
    counts: list[OrderCounts], log_probs: Sequence[Float[np.ndarray, " ngrams"]]
) -> float:
    """Return the log-probability of the counted text itself, in nats, without looking anything up.

    Every target is predicted by the longest n-gram that ends there, which was seen: one of the
    highest order or, near the beginning of a document, one that no longer one ends with.

    Args:
        counts: Of orders 1 to N.
        log_probs: Of the same n-grams, none left out.
    """
    nats = 0.0
    for level, (order, values) in enumerate(zip(counts, log_probs, strict=True)):
        longest = order.counts
        if level + 1 < len(counts):
            longer = counts[level + 1]
            longest = longest - np.bincount(longer.suffixes, longer.counts, len(order.keys))
        is_used = longest > 0
        nats += float(longest[is_used] @ values[is_used].astype(np.float64))
    return nats
