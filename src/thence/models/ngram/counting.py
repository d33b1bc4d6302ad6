"""Counting n-grams: sort and run-length count, no loop over n-grams, no dictionary.

An n-gram of order k is the number of its prefix (an n-gram of order k - 1) and its last word,
packed in one integer ``prefix * V + word``. Sorting those of order k numbers them in turn, so the
orders are counted one after the other, and every n-gram knows its prefix (``key // V``) and its
suffix.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Integer

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
    store: TokenStore, order: int, vocabulary_size: int, carry_context: bool
) -> list[OrderCounts]:
    """Count the n-grams of all orders up to the given one.

    A document's first n-grams begin with one boundary; no n-gram reaches further to the left than
    that, unless context is carried across documents.

    Args:
        store: The tokens.
        order: The highest order (N).
        vocabulary_size: Number of ids (V).
        carry_context: Let n-grams reach across documents.

    Returns:
        The counts of orders 1 to N.
    """
    ids = store.ids
    number = ids.astype(np.int64)  # of the n-gram of the order so far that ends at each position
    unigrams = np.bincount(ids[1:], minlength=vocabulary_size).astype(np.int64)
    counts = [
        OrderCounts(np.arange(vocabulary_size), unigrams, np.zeros(vocabulary_size, np.int64))
    ]
    reach = None if carry_context else depths(store)
    for length in range(2, order + 1):
        ends = np.arange(length - 1, len(ids))
        if reach is not None:
            ends = ends[reach[ends] >= length - 1]
        keys = number[ends - 1] * vocabulary_size + ids[ends]
        found, first, which, times = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        counts.append(OrderCounts(found, times, number[ends[first]]))
        number = np.full(len(ids), -1)
        number[ends] = which
    return counts


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
    wanted = prefixes * vocabulary_size + words
    places = np.searchsorted(keys, wanted)
    found = np.take(np.append(keys, -1), places) == wanted
    return np.where(found & (prefixes >= 0), places, -1)
