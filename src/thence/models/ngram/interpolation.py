"""Jelinek-Mercer smoothing: interpolation with weights learned on text held out.

    p(w | h) = l c(h w) / C(h) + (1 - l) p(w | h')

with l one weight per order and bucket of C(h), how often the context was seen (in powers of two):
the more often, the more it is trusted. The weights are learned order by order, from the shortest,
each by expectation maximisation on dev with the shorter contexts held fixed.

Source: F. Jelinek and R. Mercer 1980, "Interpolated estimation of Markov source parameters from
sparse data"; the trigram baseline of Bengio et al. 2003.
"""

import numpy as np
from jaxtyping import Float, Int64, Integer

from thence.models.ngram.counting import OrderCounts, find
from thence.models.ngram.smoothing import OrderTable
from thence.tokens import TokenStore

BUCKETS = 32
ITERATIONS = 50


def interpolate(
    counts: list[OrderCounts], vocabulary_size: int, dev: TokenStore, carry_context: bool
) -> tuple[list[OrderTable], list[Float[np.ndarray, " buckets"]]]:
    """Return the tables of a model whose weights fit dev best, and those weights.

    Args:
        counts: The counts of orders 1 to N.
        vocabulary_size: Number of ids (V).
        dev: Tokens that the counts have not seen.
        carry_context: Whether context reaches across documents.
    """
    tables: list[OrderTable] = []
    weights = []
    lower = np.full(1, 1 / vocabulary_size)
    words = dev.targets.astype(np.int64)
    contexts = np.zeros(len(words), np.int64)  # number of the context before each dev target
    dev_lower = np.full(len(words), 1 / vocabulary_size)
    reach = None if carry_context else dev.places
    for level, order in enumerate(counts):
        prefixes = order.prefixes(vocabulary_size)
        totals = np.bincount(prefixes, order.counts, len(lower) if level else 1)
        shares = order.counts / np.maximum(totals, 1)[prefixes]
        found = words if level == 0 else find(order.keys, contexts, words, vocabulary_size)
        known = contexts >= 0
        known[known] = totals[contexts[known]] > 0
        dev_shares = np.zeros(len(words))
        dev_shares[found >= 0] = shares[found[found >= 0]]
        which = bucket(totals)
        weight = learn(dev_shares[known], dev_lower[known], which[contexts[known]])
        weights.append(weight)
        trust = np.where(totals > 0, weight[which], 0.0)
        dev_trust = np.zeros(len(words))
        dev_trust[known] = trust[contexts[known]]
        dev_lower = dev_trust * dev_shares + (1 - dev_trust) * dev_lower
        seen = trust[prefixes] * shares + (1 - trust[prefixes]) * lower[order.suffixes]
        if tables:
            left = np.log(np.maximum(1 - trust, 1e-30)).astype(np.float32)
            tables[-1] = OrderTable(tables[-1].keys, tables[-1].log_probs, left)
        log_probs = np.log(np.maximum(seen, 1e-300)).astype(np.float32)
        tables.append(OrderTable(order.keys, log_probs, np.zeros(0, np.float32)))
        lower = seen
        numbers = dev.ids[:-1].astype(np.int64) if level == 0 else np.append(-1, found[:-1])
        contexts = numbers if reach is None else np.where(reach >= level, numbers, -1)
    return tables, weights


def bucket(totals: Float[np.ndarray, " contexts"]) -> Integer[np.ndarray, " contexts"]:
    """Return the power of two below how often each context was seen."""
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
        lower: Its probability in the shorter context.
        which: The bucket of its context.
    """
    weight = np.full(BUCKETS, 0.5)
    # One imagined target on either side keeps the weights of rare buckets off 0 and 1.
    sizes = np.bincount(which, minlength=BUCKETS) + 2
    for _ in range(ITERATIONS):
        longer = weight[which] * shares
        credit = longer / (longer + (1 - weight[which]) * lower)
        weight = (np.bincount(which, credit, BUCKETS) + 1) / sizes
    return weight
