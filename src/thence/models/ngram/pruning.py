"""Pruning: fewer n-grams for a little less likelihood; and sums of a model's probabilities.

By counts: n-grams seen no more often than a threshold are left out. By relative entropy: an n-gram
is left out if the perplexity on text like the model's own rises by less than a given share without
it. With p(h) the probability of its context,

    D = -p(h) { p(w|h) [log p(w|h') + log g' - log p(w|h)] + [log g' - log g] P(others | h) }

is what the model loses, g and g' being the weight of h's shorter context before and after, and
P(others | h) the probability of all words not listed after h. Either way the probability of what is
left out goes to the shorter context, so every distribution still sums to one.

The sum of the probabilities of all words after each context that a model knows is

    sum(h)  =  sum_w p(w | h)  +  backoff(h) (sum(h') - sum_w p(w | h'))

with w the words that are listed after h, and h' the context without its first word. The models that
are counted here sum to one by construction; files of other programs may hold anything.

Source: A. Stolcke 1998, "Entropy-based pruning of backoff language models", equations 3 to 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thence.array_types import Bool, Float, Int64, Integer
from thence.models.ngram.counting import find
from thence.models.ngram.smoothing import OrderTable

TOLERANCE = 0.01
"""A sum may be so far from one, which changes a likelihood by 0.01 nats per token at most: files
that were made with few decimals stay within it, and those of KenLM and SRILM far within."""
ROUNDING = 1e-5
"""And by so much of what was added and taken away: files hold about six digits of each number, and
where a context leaves next to nothing its back-off weight is large."""


@dataclass(frozen=True)
class Sums:
    """The sums of probabilities after the contexts of one length.

    Attributes:
        totals: The sum after each context; of the empty one alone for length 0.
        uncertain: How far each may be from one by rounding.
    """

    totals: Float[np.ndarray, " contexts"]
    uncertain: Float[np.ndarray, " contexts"]

    @property
    def above(self) -> Float[np.ndarray, " contexts"]:
        """How far each is above one, beyond what may be rounding; 0 where it is not."""
        over: Float[np.ndarray, " contexts"] = self.totals - 1
        return np.where(over > self.uncertain, over, 0)

    @property
    def below(self) -> Float[np.ndarray, " contexts"]:
        """How far each is below one, beyond what may be rounding; 0 where it is not."""
        under: Float[np.ndarray, " contexts"] = 1 - self.totals
        return np.where(under > self.uncertain, under, 0)


def sums(tables: list[OrderTable], vocabulary_size: int) -> list[Sums]:
    """Return the sums after contexts of 0, 1, 2, ... words, in order of their numbers."""
    empty = np.exp(tables[0].log_probs.astype(np.float64)).sum(keepdims=True)
    found = [Sums(empty, np.full(1, TOLERANCE))]
    for level in range(1, len(tables)):
        prefixes = tables[level].keys // vocabulary_size
        backoffs = np.exp(tables[level - 1].log_backoffs.astype(np.float64))
        seen, shorter = (
            np.bincount(prefixes, np.exp(log_p.astype(np.float64)), len(backoffs))
            for log_p in (
                tables[level].log_probs,
                shorter_log_probs(tables, level, vocabulary_size),
            )
        )
        below = _sums_below(tables, level, [sums.totals for sums in found], vocabulary_size)
        totals = seen + backoffs * (below - shorter)
        uncertain = TOLERANCE + ROUNDING * (seen + backoffs * (np.abs(below) + shorter))
        found.append(Sums(totals, uncertain))
    return found


def _sums_below(
    tables: list[OrderTable],
    level: int,
    totals: list[Float[np.ndarray, " contexts"]],
    vocabulary_size: int,
) -> Float[np.ndarray, " contexts"]:
    """Return the sum after the shorter context of each context of ``level`` words.

    One that is not listed backs off without a weight.
    """
    spelled = spell(tables, level - 1, vocabulary_size)
    below = np.full(len(spelled), totals[0][0])
    for length in range(1, level):
        numbers = _numbers(tables, spelled[:, level - length :], vocabulary_size)
        below[numbers >= 0] = totals[length][numbers[numbers >= 0]]
    return below


def shorter_log_probs(
    tables: list[OrderTable], level: int, vocabulary_size: int
) -> Float[np.ndarray, " ngrams"]:
    """Return log p(w | h') of each n-gram of an order, by the tables of the orders below."""
    spelled = spell(tables, level, vocabulary_size)
    words = spelled[:, -1]
    log_probs: Float[np.ndarray, " ngrams"] = tables[0].log_probs.astype(np.float64)[words]
    for length in range(1, level):  # contexts of 1, 2, ... words up to h'
        contexts = _numbers(tables, spelled[:, level - length : level], vocabulary_size)
        found = find(tables[length].keys, contexts, words, vocabulary_size)
        known = contexts >= 0
        log_probs[known] += tables[length - 1].log_backoffs[contexts[known]]
        log_probs[found >= 0] = tables[length].log_probs[found[found >= 0]]
    return log_probs


def _numbers(
    tables: list[OrderTable], words: Int64[np.ndarray, "ngrams order"], vocabulary_size: int
) -> Int64[np.ndarray, " ngrams"]:
    """Return the number of each n-gram, -1 where it is not listed."""
    numbers: Int64[np.ndarray, " ngrams"] = words[:, 0]
    for table, word in zip(tables[1:], words.T[1:], strict=False):
        numbers = find(table.keys, numbers, word, vocabulary_size)
    return numbers


def spell(
    tables: list[OrderTable], level: int, vocabulary_size: int
) -> Int64[np.ndarray, "ngrams order"]:
    """Return the words of each n-gram of an order."""
    return words_of(tables, level, np.arange(len(tables[level].keys)), vocabulary_size)


def words_of(
    tables: list[OrderTable],
    level: int,
    numbers: Int64[np.ndarray, " chosen"],
    vocabulary_size: int,
) -> Int64[np.ndarray, "chosen order"]:
    """Return the words of some n-grams of an order."""
    words = []
    for table in reversed(tables[: level + 1]):
        words.append(table.keys[numbers] % vocabulary_size)
        numbers = table.keys[numbers] // vocabulary_size
    return np.stack(words[::-1], axis=1)


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
