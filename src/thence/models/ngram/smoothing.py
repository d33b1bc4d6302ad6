"""Smoothing: from counts to probabilities and back-off weights, order by order.

Every method here has the same form (Chen and Goodman 1999, equation 2.12)

    p(w | h) = f(w | h) + g(h) p(w | h')       h' is h without its first word

where f is the discounted estimate from the counts after h, zero for words not seen after h, and
g(h) the probability reserved for the shorter context. Below the unigrams is the uniform
distribution 1 / V. So a model has, for each order, one log-probability per n-gram and one
log-weight g per context, whatever the method.

    mle                 f = c / C                    g = 0
    add-k               f = c / (C + k V)            g = k V / (C + k V), and h' is uniform
    witten-bell         f = c / (C + T)              g = T / (C + T)
    jelinek-mercer      f = l(C) c / C               g = 1 - l(C), learned on dev
    absolute            f = max(c - D, 0) / C        g = D T / C
    kneser-ney          the same with continuation counts below the highest order
    modified-kneser-ney f = max(c - D_c, 0) / C      g = (D_1 N_1 + D_2 N_2 + D_3 N_3+) / C
    stupid-backoff      f = c / C where c > 0, else 0.4 times the shorter context's (no probability)

with c the count of the n-gram, C the sum of c over the words seen after h, T the number of
different words among them, and N_j the number of them with count j.

Sources: S. Chen and J. Goodman 1999, "An empirical study of smoothing techniques for language
modeling"; the trigram baseline of Bengio et al. 2003; T. Brants et al. 2007, "Large language
models in machine translation" (stupid back-off).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np

from thence.array_types import Float, Float32, Int64, Integer
from thence.deadline import check_deadline
from thence.mapped import Columns, MemoryColumn, Spool, pieces, release, search, strided
from thence.models.ngram.gathering import BLOCK, Gathered, blocks, sum_by_number
from thence.models.ngram.sorting import OrderCounts

Smoothing = Literal[
    "modified-kneser-ney",
    "kneser-ney",
    "absolute",
    "witten-bell",
    "jelinek-mercer",
    "add-k",
    "mle",
    "stupid-backoff",
]
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Discounts of counts 1, 2 and 3 or more if they cannot be estimated, as in KenLM's lmplz."""
STUPID_WEIGHT = 0.4
"""Back-off weight of stupid back-off (Brants et al. 2007)."""


@dataclass(frozen=True)
class OrderTable:
    """One order of a smoothed model.

    Attributes:
        keys: ``prefix * V + word`` of each n-gram, sorted; the prefix by its index.
        log_probs: log p(word | prefix) of each n-gram, in nats.
        log_backoffs: log g of each n-gram as a context; zero if nothing was seen after it.
    """

    keys: Int64[np.ndarray, " ngrams"]
    log_probs: Float[np.ndarray, " ngrams"]
    log_backoffs: Float[np.ndarray, " contexts"]


@dataclass(frozen=True)
class Discounts:
    """The discounts of one order.

    Attributes:
        order: The order of the n-grams.
        counts_of_counts: Number of n-grams with count 1, 2, 3 and 4.
        values: Discounts of counts 1, 2, and 3 or more.
        fallback: Whether they are the fallback, since the counts of counts give no estimate.
    """

    order: int
    counts_of_counts: tuple[int, int, int, int]
    values: tuple[float, float, float]
    fallback: bool

    def to_row(self) -> list[float]:
        """Return all fields as numbers, for the weights file."""
        return [self.order, *self.counts_of_counts, *self.values, float(self.fallback)]

    @classmethod
    def from_row(cls, row: Sequence[float]) -> "Discounts":
        """Return the discounts of a row of ``to_row``."""
        n1, n2, n3, n4 = (int(count) for count in row[1:5])
        return cls(int(row[0]), (n1, n2, n3, n4), (row[5], row[6], row[7]), bool(row[8]))


def counts_of_counts(counts: Integer[np.ndarray, " ngrams"]) -> tuple[int, int, int, int]:
    """Return the number of n-grams with count 1, 2, 3 and 4."""
    found = np.zeros(6, np.int64)
    for block in blocks(counts):
        found += np.bincount(np.minimum(block, 5), minlength=6)
    n1, n2, n3, n4 = found[1:5].tolist()
    return n1, n2, n3, n4


def modified_discounts(order: int, counts: Integer[np.ndarray, " ngrams"]) -> Discounts:
    """Estimate the three discounts of modified Kneser-Ney (Chen and Goodman 1999, equation 26).

    Y = n1 / (n1 + 2 n2),  D_j = j - (j + 1) Y n_{j+1} / n_j  for j = 1, 2, 3+.
    """
    n1, n2, n3, n4 = found = counts_of_counts(counts)
    if min(n1, n2, n3) > 0:
        y = n1 / (n1 + 2 * n2)
        values = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 <= value <= times for value, times in zip(values, (1, 2, 3), strict=True)):
            return Discounts(order, found, values, False)
    return Discounts(order, found, FALLBACK_DISCOUNTS, True)


def single_discount(order: int, counts: Integer[np.ndarray, " ngrams"]) -> Discounts:
    """Estimate one discount, D = n1 / (n1 + 2 n2) (Ney, Essen and Kneser 1994)."""
    n1, n2, *_ = found = counts_of_counts(counts)
    fallback = n1 == 0 or n2 == 0
    value = 0.5 if fallback else n1 / (n1 + 2 * n2)
    return Discounts(order, found, (value, value, value), fallback)


def adjusted_counts(
    counts: list[OrderCounts], level: int, memory: int | None = None
) -> Int64[np.ndarray, " ngrams"]:
    """Return the continuation count of each n-gram: the number of different words that precede it.

    An n-gram that no word precedes begins the text or a document; it keeps its own count. (Chen and
    Goodman 1999, section 3; Heafield et al. 2013, "Scalable modified Kneser-Ney language model
    estimation", section 3.2.)

    Args:
        counts: The counts of orders 1 to N.
        level: One less than the order, which must be below N.
        memory: About how many bytes to work in; None: no bound.
    """
    below = counts[level].counts
    preceding = sum_by_number(counts[level + 1].suffixes, None, len(below), memory)
    if memory is None:
        np.copyto(preceding, below, where=preceding == 0)
        return preceding
    adjusted = Spool(np.int64)
    for some, own in zip(blocks(preceding), blocks(below), strict=True):
        adjusted.append(np.where(some > 0, some, own))
    return adjusted.array()


def smooth(
    counts: list[OrderCounts],
    vocabulary_size: int,
    method: Smoothing,
    add_k: float = 1.0,
    carry_context: bool = False,
    memory: int | None = None,
) -> tuple[list[OrderTable], list[Discounts]]:
    """Turn counts into a smoothed model.

    Args:
        counts: The counts of orders 1 to N.
        vocabulary_size: Number of ids (V).
        method: The smoothing method.
        add_k: k of ``add-k``.
        carry_context: Whether the n-grams were counted across documents.
        memory: About how many bytes to work in, with the tables on disk; None: no bound.

    Returns:
        One table per order, and the discounts if the method has them.
    """
    if method == "add-k":
        return _add_k_tables(counts, vocabulary_size, add_k, carry_context, memory), []
    tables: list[OrderTable] = []
    discounts: list[Discounts] = []
    lower = np.full(1, 1 / vocabulary_size)  # p of the order below; before the unigrams, uniform.
    for level, order in enumerate(counts):
        used = order.counts
        if method in ("kneser-ney", "modified-kneser-ney") and level + 1 < len(counts):
            used = adjusted_counts(counts, level, memory)
        if method in ("absolute", "kneser-ney"):
            discounts.append(single_discount(level + 1, used))
        elif method == "modified-kneser-ney":
            discounts.append(modified_discounts(level + 1, used))
        taken = discounts[-1].values if discounts else (0.0, 0.0, 0.0)
        given = OrderCounts(order.keys, used, order.suffixes)
        lower, table, backoffs = _smooth_order(
            given, lower, vocabulary_size, method, taken, level + 1 < len(counts), memory
        )
        if tables:
            tables[-1] = replace(tables[-1], log_backoffs=backoffs)
        tables.append(table)
    return tables, discounts


def new_columns(memory: int | None) -> Columns:
    """Return the class of new columns: in memory, or on disk if the memory is bounded."""
    return MemoryColumn if memory is None else Spool


def _smooth_order(
    order: OrderCounts,
    lower: Float[np.ndarray, " shorter"],
    vocabulary_size: int,
    method: Smoothing,
    discounts: tuple[float, float, float],
    is_context: bool,
    memory: int | None,
) -> tuple[Float[np.ndarray, " ngrams"], OrderTable, Float32[np.ndarray, " shorter"]]:
    """Smooth one order, a block at a time, so that hardly more than the results is in memory.

    Args:
        order: Its n-grams, with their (continuation) counts.
        lower: The probabilities of the order below, whose n-grams are the contexts.
        vocabulary_size: Number of ids (V).
        method: The smoothing method.
        discounts: Discounts of counts 1, 2, and 3 or more.
        is_context: Whether there is a higher order, which needs the probabilities.
        memory: About how many bytes to work in; None: no bound.

    Returns:
        The probabilities of the n-grams if ``is_context`` (else empty), their table, and the
        log-weights of the contexts.
    """
    column = new_columns(memory)
    probabilities, log_probs = (
        column(dtype, len(order.keys)) for dtype in (np.float64, np.float32)
    )
    backoffs = column(np.float32, len(lower))
    shorter = Gathered(lower, order.suffixes, memory)
    for ngrams, contexts in context_blocks(order.keys, len(lower), vocabulary_size):
        check_deadline()
        read = partial(_read, order, contexts.start, vocabulary_size, method, discounts)
        parts = [slice(*part) for part in pieces(ngrams.start, ngrams.stop, 2 * BLOCK)]
        # What follows a single context may be more than a block: it is read twice then.
        kept = [read(parts[0])] if len(parts) == 1 else None
        sums = np.zeros((2, contexts.stop - contexts.start))
        for some in kept or map(read, parts):
            for of_contexts, values in zip(sums, (some.counts, some.left), strict=True):
                if kept is None:  # In order, so that rounding does not depend on the parts.
                    np.add.at(of_contexts, some.prefixes, values.astype(np.float64))
                else:
                    of_contexts[:] = np.bincount(some.prefixes, values, len(of_contexts))
        share = _shares(method, *sums)
        for part, some in zip(parts, kept or map(read, parts), strict=True):
            seen = (some.counts - some.taken) / share.divisors[some.prefixes]
            found = seen + share.left[some.prefixes] * shorter[part]
            if is_context:
                probabilities.append(found)
            with np.errstate(divide="ignore"):
                log_probs.append(np.log(found))
            release(order.keys, order.counts, order.suffixes)
            shorter.release()
        left = share.left
        if method == "stupid-backoff":  # Seen n-grams are not interpolated: f = c / C.
            left = np.where(sums[0] > 0, STUPID_WEIGHT, 1.0)
        with np.errstate(divide="ignore"):
            backoffs.append(np.log(left))
    table = OrderTable(order.keys, log_probs.array(), np.zeros(0, np.float32))
    release(lower)
    return probabilities.array(), table, backoffs.array()


def context_blocks(
    keys: Int64[np.ndarray, " ngrams"], contexts: int, vocabulary_size: int
) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of n-grams with the range of their contexts; no context is split.

    Args:
        keys: The keys of the n-grams.
        contexts: Number of contexts.
        vocabulary_size: Number of ids (V).
    """
    firsts = np.unique(strided(keys[BLOCK:], BLOCK) // vocabulary_size)
    cuts = search(keys, firsts * vocabulary_size)
    of_ngrams = pairwise([0, *cuts.tolist(), len(keys)])
    of_contexts = pairwise([0, *firsts.tolist(), contexts])
    for ngrams, some in zip(of_ngrams, of_contexts, strict=True):
        yield slice(*ngrams), slice(*some)


@dataclass(frozen=True)
class _Read:
    """Some n-grams of one order.

    Attributes:
        counts: How often each was seen.
        prefixes: Number of the context of each among those of a block.
        taken: What is taken off each count.
        left: What each adds to that which its context leaves to shorter ones.
    """

    counts: Int64[np.ndarray, " ngrams"]
    prefixes: Int64[np.ndarray, " ngrams"]
    taken: Float[np.ndarray, " ngrams"] | float
    left: Float[np.ndarray, " ngrams"]


def _read(
    order: OrderCounts,
    first: int,
    vocabulary_size: int,
    method: Smoothing,
    discounts: tuple[float, float, float],
    part: slice,
) -> _Read:
    counts, prefixes = order.counts[part], order.keys[part] // vocabulary_size - first
    if method in ("mle", "stupid-backoff"):
        return _Read(counts, prefixes, 0.0, np.zeros(len(counts)))
    if method == "witten-bell":
        return _Read(counts, prefixes, 0.0, (counts > 0).astype(np.float64))
    taken = np.array([0.0, *discounts])[np.minimum(counts, 3)]
    return _Read(counts, prefixes, taken, taken)


@dataclass(frozen=True)
class _Shares:
    """What the contexts of a block leave to shorter ones.

    Attributes:
        divisors: By what counts are divided.
        left: g of each context.
    """

    divisors: Float[np.ndarray, " contexts"]
    left: Float[np.ndarray, " contexts"]


def _shares(
    method: Smoothing, totals: Float[np.ndarray, " contexts"], left: Float[np.ndarray, " contexts"]
) -> _Shares:
    known = totals > 0
    divisors = np.where(known, totals + left if method == "witten-bell" else totals, 1.0)
    return _Shares(divisors, np.where(known, left / divisors, 1.0))


def _add_k_tables(
    counts: list[OrderCounts],
    vocabulary_size: int,
    add_k: float,
    carry_context: bool,
    memory: int | None,
) -> list[OrderTable]:
    """Return the tables of add-k smoothing, which uses full contexts only.

    A full context has N - 1 words or, near the beginning of a document, all words so far. Every
    other context, and one never seen, has the uniform distribution.
    """
    uniform = -np.log(vocabulary_size)
    boundary = vocabulary_size - 1
    column = new_columns(memory)
    tables: list[OrderTable] = []
    opens = np.zeros(1, bool)  # Whether each n-gram begins with the boundary.
    for level, order in enumerate(counts):
        log_probs, fulls = (column(dtype, len(order.keys)) for dtype in (np.float32, bool))
        backoffs = column(np.float32, len(opens))
        for ngrams, contexts in context_blocks(order.keys, len(opens), vocabulary_size):
            check_deadline()
            prefixes = order.keys[ngrams] // vocabulary_size - contexts.start
            seen = order.counts[ngrams]
            full = opens[contexts][prefixes] if level else np.zeros(len(seen), bool)
            if level == len(counts) - 1:
                full = np.ones(len(seen), bool)
            size = contexts.stop - contexts.start
            totals = np.bincount(prefixes, seen, size) + add_k * vocabulary_size
            with np.errstate(divide="ignore"):
                totals = np.log(np.maximum(totals, 1e-300))
                shares = np.log(seen + add_k) - totals[prefixes]
                left = np.log(add_k * vocabulary_size) - totals
            log_probs.append(np.where(full, shares, uniform))
            used = np.zeros(size, bool)
            used[prefixes[full]] = True
            backoffs.append(np.where(used, left, 0))
            fulls.append(full)
            release(order.keys, order.counts, opens)
        if tables:
            tables[-1] = replace(tables[-1], log_backoffs=backoffs.array())
        opens = fulls.array() if level else (order.keys == boundary) & (not carry_context)
        tables.append(OrderTable(order.keys, log_probs.array(), np.zeros(0, np.float32)))
    return tables
