"""The log-probability of whole texts: of the train text from its counts, or in bounded memory."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from thence.array_types import Float, Int64
from thence.mapped import pieces, release
from thence.models.ngram.gathering import BLOCK, sum_by_number
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.sorting import OrderCounts, opening_targets, sort_with_places
from thence.tokens import TokenStore

BYTES_PER_TARGET = 128
"""Upper bound of the memory in bytes to look up one target."""


def log_likelihood(
    counts: list[OrderCounts],
    log_probs: Sequence[Float[np.ndarray, " ngrams"]],
    memory: int | None = None,
) -> float:
    """Return the log-probability of the counted text itself, in nats, without reading the text.

    In its own text every target ends a known n-gram of the highest order or, near the beginning of
    a document, of a lower one. So the log-probability of each n-gram counts as often as it is the
    longest: its count minus the counts of the longer n-grams that end with it.

    Args:
        counts: The counts of orders 1 to N.
        log_probs: The log-probabilities of the same n-grams, unpruned.
        memory: About how many bytes to work in; None: no bound.
    """
    nats = 0.0
    for level, (order, values) in enumerate(zip(counts, log_probs, strict=True)):
        ends = None
        if level + 1 < len(counts):
            longer = counts[level + 1]
            ends = sum_by_number(longer.suffixes, longer.counts, len(order.keys), memory)
        for start, stop in pieces(0, len(order.keys), BLOCK):
            longest = order.counts[start:stop]
            longest = longest if ends is None else longest - ends[start:stop]
            is_used = longest > 0
            nats += float(longest[is_used] @ values[start:stop][is_used].astype(np.float64))
            release(order.counts, values, *([] if ends is None else [ends]))
    return nats


def counts_as_longest(counts: list[OrderCounts]) -> list[Int64[np.ndarray, " ngrams"]]:
    """Return how often each n-gram is the longest one that ends at a target of the text."""
    found = []
    for level, order in enumerate(counts):
        times = order.counts
        if level + 1 < len(counts):
            longer = counts[level + 1]
            times = times - sum_by_number(longer.suffixes, longer.counts, len(order.keys))
        found.append(times)
    return found


def log_prob_within(
    tables: Sequence[OrderTable],
    vocabulary_size: int,
    store: TokenStore,
    carry_context: bool,
    memory: int,
) -> float:
    """Return the log-probability of a store by a model, in nats, in about ``memory`` bytes.

    The text is scored in pieces, order by order: n-grams are looked up in sorted order, so that the
    tables, which may be larger than the memory, are read sequentially.
    """
    room = max(memory // BYTES_PER_TARGET, 1)
    nats, before = 0.0, len(tables) - 1
    for start, stop in pieces(0, store.num_targets, room):
        # The N - 1 ids before the piece are read as context; their own scores are dropped.
        first = max(start - before, 0)
        ids = store.ids[first : stop + 1].astype(np.int64)
        # First targets of documents, as positions from the first of these ids.
        opening = opening_targets(store, 3, carry_context, first, stop + 1)
        nats += float(_scores(tables, vocabulary_size, ids, opening)[start - first :].sum())
        release(store.ids)
    return nats


def _scores(
    tables: Sequence[OrderTable],
    vocabulary_size: int,
    ids: Int64[np.ndarray, " positions"],
    opening: Int64[np.ndarray, " openings"],
) -> Float[np.ndarray, " targets"]:
    """Return the log-probability of all ids but the first; see ``models/ngram/queries.py``."""
    words = ids[1:]
    log_probs: Float[np.ndarray, " targets"] = tables[0].log_probs[words].astype(np.float64)
    opening = opening[opening > 0] - 1  # Among the targets.
    contexts = ids[:-1]  # Index of the context before each target; -1: not seen.
    for shorter, table in pairwise(tables):
        known = np.flatnonzero(contexts >= 0)
        wanted, order = sort_with_places(contexts[known] * vocabulary_size + words[known])
        found = np.full(len(words), -1)
        for start, stop in pieces(0, len(wanted), BLOCK):
            some, targets = wanted[start:stop], known[order[start:stop]]
            log_probs[targets] += shorter.log_backoffs[some // vocabulary_size]
            places = np.searchsorted(table.keys, some)
            is_seen = places < len(table.keys)
            is_seen[is_seen] = table.keys[places[is_seen]] == some[is_seen]
            seen, numbers = targets[is_seen], places[is_seen]
            found[seen], log_probs[seen] = numbers, table.log_probs[numbers]
            release(table.keys, table.log_probs, shorter.log_backoffs)
        contexts = np.append(-1, found[:-1])
        contexts[opening] = -1
    return log_probs
