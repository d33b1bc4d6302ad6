"""Pruning: fewer n-grams for a little less likelihood.

By counts: n-grams seen no more often than a threshold are left out. By relative entropy: an n-gram
is left out if the perplexity on text like the model's own rises by less than a given share without
it. With p(h) the probability of its context,

    D = -p(h) { p(w|h) [log p(w|h') + log g' - log p(w|h)] + [log g' - log g] P(others | h) }

is what the model loses, g and g' being the weight of h's shorter context before and after, and
P(others | h) the probability of all words not listed after h. Either way the probability of what is
left out goes to the shorter context, so every distribution still sums to one.

Source: A. Stolcke 1998, "Entropy-based pruning of backoff language models", equations 3 to 6.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int64, Integer

from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.sums import shorter_log_probs

LEAST = 1e-12
"""What rounding leaves of a probability is held above this."""


def prune_by_counts(
    tables: list[OrderTable],
    counts: Sequence[Integer[np.ndarray, " ngrams"]],
    vocabulary_size: int,
    thresholds: Sequence[int],
) -> list[OrderTable]:
    """Leave out n-grams by how often they were seen; single symbols always stay.

    Args:
        tables: A smoothed model.
        counts: How often each n-gram of each order was seen.
        vocabulary_size: Number of ids (V).
        thresholds: One per order from 2; n-grams seen so often or less go. The last holds for all
            higher orders.
    """
    for level in range(len(tables) - 1, 0, -1):
        threshold = thresholds[min(level - 1, len(thresholds) - 1)]
        tables = _keep(tables, level, counts[level] > threshold, vocabulary_size)
    return mend_backoffs(tables, vocabulary_size)


def prune_by_entropy(
    tables: list[OrderTable], vocabulary_size: int, threshold: float
) -> list[OrderTable]:
    """Leave out the n-grams whose loss raises the perplexity by less than a share of it.

    Args:
        tables: A smoothed model.
        vocabulary_size: Number of ids (V).
        threshold: Largest relative rise of perplexity for each, such as 1e-8.
    """
    probs = [np.exp(tables[0].log_probs.astype(np.float64))]  # of each n-gram's words in a row
    for table in tables[1:]:
        own = np.exp(table.log_probs.astype(np.float64))
        probs.append(probs[-1][table.keys // vocabulary_size] * own)
    for level in range(len(tables) - 1, 0, -1):
        losses = _losses(tables, level, probs[level - 1], vocabulary_size)
        tables = _keep(tables, level, losses >= np.log1p(threshold), vocabulary_size)
    return mend_backoffs(tables, vocabulary_size)


def _losses(
    tables: list[OrderTable],
    level: int,
    context_probs: Float[np.ndarray, " contexts"],
    vocabulary_size: int,
) -> Float[np.ndarray, " ngrams"]:
    """Return D of each n-gram of an order, in nats."""
    prefixes = tables[level].keys // vocabulary_size
    log_p = tables[level].log_probs.astype(np.float64)
    log_lower = shorter_log_probs(tables, level, vocabulary_size)
    others, lower_others = _unlisted(prefixes, log_p, log_lower, len(context_probs))
    weight = np.log(others) - np.log(lower_others)
    after = np.log(others[prefixes] + np.exp(log_p)) - np.log(
        lower_others[prefixes] + np.exp(log_lower)
    )
    moved = np.exp(log_p) * (log_lower + after - log_p)
    rest = (after - weight[prefixes]) * others[prefixes]
    losses: Float[np.ndarray, " ngrams"] = -context_probs[prefixes] * (moved + rest)
    return losses


def mend_backoffs(tables: list[OrderTable], vocabulary_size: int) -> list[OrderTable]:
    """Set every back-off weight to what makes its context's distribution sum to one."""
    mended = [tables[0]]
    for level in range(1, len(tables)):
        shorter = mended[level - 1]
        prefixes = tables[level].keys // vocabulary_size
        log_p = tables[level].log_probs.astype(np.float64)
        log_lower = shorter_log_probs([*mended, tables[level]], level, vocabulary_size)
        others, lower_others = _unlisted(prefixes, log_p, log_lower, len(shorter.keys))
        weights = np.log(others) - np.log(lower_others)
        used = np.bincount(prefixes, minlength=len(shorter.keys)) > 0
        backoffs = np.where(used, weights, 0).astype(np.float32)
        mended[level - 1] = OrderTable(shorter.keys, shorter.log_probs, backoffs)
        mended.append(tables[level])
    return mended


def _unlisted(
    prefixes: Int64[np.ndarray, " ngrams"],
    log_p: Float[np.ndarray, " ngrams"],
    log_lower: Float[np.ndarray, " ngrams"],
    contexts: int,
) -> tuple[Float[np.ndarray, " contexts"], Float[np.ndarray, " contexts"]]:
    """Return what is left for unlisted words after each context, by it and by the shorter one."""
    left = 1 - np.bincount(prefixes, np.exp(log_p), contexts)
    lower_left = 1 - np.bincount(prefixes, np.exp(log_lower), contexts)
    return np.maximum(left, LEAST), np.maximum(lower_left, LEAST)


def _keep(
    tables: list[OrderTable], level: int, kept: Bool[np.ndarray, " ngrams"], vocabulary_size: int
) -> list[OrderTable]:
    """Keep some n-grams of an order, and those that begin a longer one that has stayed."""
    tables, table = list(tables), tables[level]
    if level + 1 < len(tables):
        longer = tables[level + 1]
        prefixes, words = longer.keys // vocabulary_size, longer.keys % vocabulary_size
        kept = kept.copy()
        kept[prefixes] = True
        renumbered = np.cumsum(kept) - 1
        keys = renumbered[prefixes] * vocabulary_size + words
        tables[level + 1] = OrderTable(keys, longer.log_probs, longer.log_backoffs)
    backoffs = table.log_backoffs[kept] if len(table.log_backoffs) else table.log_backoffs
    tables[level] = OrderTable(table.keys[kept], table.log_probs[kept], backoffs)
    return tables
