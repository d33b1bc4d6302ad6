"""Jelinek-Mercer smoothing: each order interpolated with the one below, by weights learned on dev.

There is one weight l per order and bucket of C(h), the count of the context (buckets are powers of
two): frequent contexts get more weight. The weights are learned order by order, from the lowest,
each by expectation maximisation on dev with those of the lower orders fixed.

Source: F. Jelinek and R. Mercer 1980, "Interpolated estimation of Markov source parameters from
sparse data".
"""

from dataclasses import replace

import numpy as np

from thence.array_types import Float, Float32, Int64, Integer, Num
from thence.mapped import Columns, pieces, release
from thence.models.ngram.gathering import BLOCK, Gathered
from thence.models.ngram.smoothing import OrderTable, context_blocks, new_columns
from thence.models.ngram.sorting import OrderCounts, find
from thence.tokens import TokenStore

BUCKETS = 32
"""Number of buckets of context counts, by power of two; the last one has no upper bound."""
ITERATIONS = 50
"""Iterations of expectation maximisation for each order."""


def interpolate(
    counts: list[OrderCounts],
    vocabulary_size: int,
    dev: TokenStore,
    carry_context: bool,
    memory: int | None = None,
) -> tuple[list[OrderTable], list[Float[np.ndarray, " buckets"]]]:
    """Return the tables of a model with weights learned on dev, and the weights of each order.

    Args:
        counts: The counts of orders 1 to N.
        vocabulary_size: Number of ids (V).
        dev: Tokens that were not counted.
        carry_context: Whether context reaches across documents.
        memory: About how many bytes to work in besides dev, with the tables on disk; None: no
            bound.
    """
    column = new_columns(memory)
    tables: list[OrderTable] = []
    weights = []
    lower = np.full(1, 1 / vocabulary_size)
    words = dev.targets.astype(np.int64)
    contexts = np.zeros(len(words), np.int64)  # Index of the context before each dev target.
    dev_lower = np.full(len(words), 1 / vocabulary_size)
    reach = None if carry_context else dev.places
    for level, order in enumerate(counts):
        totals = _totals(order, len(lower), vocabulary_size, column)
        found = words if level == 0 else find(order.keys, contexts, words, vocabulary_size)
        of_context = _at(totals, contexts)
        known = of_context > 0
        dev_shares = _at(order.counts, found) / np.maximum(of_context, 1)
        which = bucket(of_context)
        weight = learn(dev_shares[known], dev_lower[known], which[known])
        weights.append(weight)
        dev_trust = np.where(known, weight[which], 0.0)
        dev_lower = dev_trust * dev_shares + (1 - dev_trust) * dev_lower
        lower, table, backoffs = _mix_order(order, totals, lower, weight, vocabulary_size, memory)
        if tables:
            tables[-1] = replace(tables[-1], log_backoffs=backoffs)
        tables.append(table)
        numbers = dev.ids[:-1].astype(np.int64) if level == 0 else np.append(-1, found[:-1])
        contexts = numbers if reach is None else np.where(reach >= level, numbers, -1)
    return tables, weights


def _totals(
    order: OrderCounts, contexts: int, vocabulary_size: int, column: Columns
) -> Float[np.ndarray, " contexts"]:
    """Return the count of each context, C(h)."""
    totals = column(np.float64, contexts)
    for ngrams, some in context_blocks(order.keys, contexts, vocabulary_size):
        prefixes = order.keys[ngrams] // vocabulary_size - some.start
        totals.append(np.bincount(prefixes, order.counts[ngrams], some.stop - some.start))
        release(order.keys, order.counts)
    return totals.array()


def _at(
    values: Num[np.ndarray, " values"], numbers: Int64[np.ndarray, " targets"]
) -> Float[np.ndarray, " targets"]:
    """Return values by index, and 0 for index -1."""
    found = np.zeros(len(numbers))
    for start, stop in pieces(0, len(numbers), BLOCK):
        some = numbers[start:stop]
        known = np.flatnonzero(some >= 0)  # An order may have no n-grams at all.
        found[start + known] = values[some[known]]
        release(values)
    return found


def _mix_order(
    order: OrderCounts,
    totals: Float[np.ndarray, " shorter"],
    lower: Float[np.ndarray, " shorter"],
    weight: Float[np.ndarray, " buckets"],
    vocabulary_size: int,
    memory: int | None,
) -> tuple[Float[np.ndarray, " ngrams"], OrderTable, Float32[np.ndarray, " shorter"]]:
    """Interpolate one order with learned weights; returns the same as ``_smooth_order``."""
    column = new_columns(memory)
    probabilities, log_probs = (
        column(dtype, len(order.keys)) for dtype in (np.float64, np.float32)
    )
    backoffs = column(np.float32, len(lower))
    shorter = Gathered(lower, order.suffixes, memory)
    for ngrams, contexts in context_blocks(order.keys, len(lower), vocabulary_size):
        prefixes = order.keys[ngrams] // vocabulary_size - contexts.start
        total = totals[contexts]
        shares = order.counts[ngrams] / np.maximum(total, 1)[prefixes]
        trust = np.where(total > 0, weight[bucket(total)], 0.0)
        seen = trust[prefixes] * shares + (1 - trust[prefixes]) * shorter[ngrams]
        probabilities.append(seen)
        log_probs.append(np.log(np.maximum(seen, 1e-300)))
        backoffs.append(np.log(np.maximum(1 - trust, 1e-30)))
        release(order.keys, order.counts, order.suffixes, totals)
        shorter.release()
    table = OrderTable(order.keys, log_probs.array(), np.zeros(0, np.float32))
    release(lower)
    return probabilities.array(), table, backoffs.array()


def bucket(totals: Float[np.ndarray, " contexts"]) -> Integer[np.ndarray, " contexts"]:
    """Return the bucket of each context: the base-2 logarithm of its count, rounded down."""
    powers: Integer[np.ndarray, " contexts"] = np.log2(np.maximum(totals, 1)).astype(np.int64)
    powers[powers >= BUCKETS] = BUCKETS - 1
    return powers


def learn(
    shares: Float[np.ndarray, " targets"],
    lower: Float[np.ndarray, " targets"],
    which: Int64[np.ndarray, " targets"],
) -> Float[np.ndarray, " buckets"]:
    """Return the weight of the longer context in each bucket, by expectation maximisation.

    Args:
        shares: c / C of each dev target in its context.
        lower: The probability of each dev target by the orders below.
        which: The bucket of each dev target's context.
    """
    weight = np.full(BUCKETS, 0.5)
    # One pseudo-target for each order keeps the weights of rare buckets away from 0 and 1.
    sizes = np.bincount(which, minlength=BUCKETS) + 2
    for _ in range(ITERATIONS):
        longer = weight[which] * shares
        credit = longer / (longer + (1 - weight[which]) * lower)
        weight = (np.bincount(which, credit, BUCKETS) + 1) / sizes
    return weight
