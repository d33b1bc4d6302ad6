"""Pruning of n-grams, by counts or by relative entropy; and sums of a model's probabilities.

By counts: n-grams with a count up to a threshold are left out. By relative entropy: an n-gram is
left out if the perplexity on text drawn from the model would rise by less than a given share. With
p(h) the probability of its context,

    D = -p(h) { p(w|h) [log p(w|h') + log g' - log p(w|h)] + [log g' - log g] P(others | h) }

is the relative entropy of the models before and after, g and g' being the back-off weight of h
before and after, and P(others | h) the probability of all words not listed after h. Either way the
back-off weights are recomputed, so that every distribution still sums to one.

The sum of the probabilities of all words after each context h that a model lists is

    sum(h)  =  sum_w p(w | h)  +  backoff(h) (sum(h') - sum_w p(w | h'))

with w the words that are listed after h, and h' the context without its first word. Models that are
counted here sum to one by construction; files of other programs may not.

Source: A. Stolcke 1998, "Entropy-based pruning of backoff language models", equations 3 to 6.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from thence.array_types import Bool, Float, Int64
from thence.mapped import release
from thence.models.ngram.gathering import Gathered, blocks
from thence.models.ngram.smoothing import OrderTable, context_blocks, new_columns
from thence.models.ngram.sorting import OrderCounts, find

TOLERANCE = 0.01
"""Difference of a sum from one that is accepted; it changes a likelihood by at most 0.01 nats per
token. Files with few decimals stay within it, those of KenLM and SRILM far within."""
ROUNDING = 1e-5
"""Difference that is accepted besides, relative to the terms of the sum: files have about six
digits per number, and back-off weights can be large."""


@dataclass(frozen=True)
class Sums:
    """The sums of probabilities after the contexts of one length.

    Attributes:
        totals: The sum after each context; one number, for the empty context, at length 0.
        uncertain: The difference from one that rounding may cause, for each.
    """

    totals: Float[np.ndarray, " contexts"]
    uncertain: Float[np.ndarray, " contexts"]

    @property
    def above(self) -> Float[np.ndarray, " contexts"]:
        """The excess of each sum over one; 0 if it is within ``uncertain``."""
        over: Float[np.ndarray, " contexts"] = self.totals - 1
        return np.where(over > self.uncertain, over, 0)

    @property
    def below(self) -> Float[np.ndarray, " contexts"]:
        """The shortfall of each sum below one; 0 if it is within ``uncertain``."""
        under: Float[np.ndarray, " contexts"] = 1 - self.totals
        return np.where(under > self.uncertain, under, 0)


def sums(
    tables: list[OrderTable],
    vocabulary_size: int,
    words: Bool[np.ndarray, " vocab"] | None = None,
) -> list[Sums]:
    """Return the sums of probabilities after contexts of 0, 1, 2, ... words.

    Args:
        tables: The model.
        vocabulary_size: Number of ids (V).
        words: Sum the probabilities of these words only; None: of all.
    """
    words = np.ones(vocabulary_size, bool) if words is None else words
    empty = np.exp(tables[0].log_probs.astype(np.float64))[words].sum(keepdims=True)
    found = [Sums(empty, np.full(1, TOLERANCE))]
    for level in range(1, len(tables)):
        prefixes, last = np.divmod(tables[level].keys, vocabulary_size)
        backoffs = np.exp(tables[level - 1].log_backoffs.astype(np.float64))
        seen, shorter = (
            np.bincount(prefixes, np.exp(log_p.astype(np.float64)) * words[last], len(backoffs))
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
    """Return sum(h') for each context h of ``level`` words.

    If h' is not listed, it is the sum after the longest suffix of h' that is.
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
    """Return log p(w | h') of each n-gram (h, w) of an order, by the orders below."""
    spelled = spell(tables, level, vocabulary_size)
    words = spelled[:, -1]
    log_probs: Float[np.ndarray, " ngrams"] = tables[0].log_probs.astype(np.float64)[words]
    for length in range(1, level):  # The contexts of 1, 2, ... words, up to h'.
        contexts = _numbers(tables, spelled[:, level - length : level], vocabulary_size)
        found = find(tables[length].keys, contexts, words, vocabulary_size)
        known = contexts >= 0
        log_probs[known] += tables[length - 1].log_backoffs[contexts[known]]
        log_probs[found >= 0] = tables[length].log_probs[found[found >= 0]]
    return log_probs


def _numbers(
    tables: list[OrderTable], words: Int64[np.ndarray, "ngrams order"], vocabulary_size: int
) -> Int64[np.ndarray, " ngrams"]:
    """Return the index of each n-gram, given by its words; -1 if it is not listed."""
    numbers: Int64[np.ndarray, " ngrams"] = words[:, 0]
    for table, word in zip(tables[1:], words.T[1:], strict=False):
        numbers = find(table.keys, numbers, word, vocabulary_size)
    return numbers


def spell(
    tables: list[OrderTable], level: int, vocabulary_size: int
) -> Int64[np.ndarray, "ngrams order"]:
    """Return the words of all n-grams of an order."""
    return words_of(tables, level, np.arange(len(tables[level].keys)), vocabulary_size)


def words_of(
    tables: list[OrderTable],
    level: int,
    numbers: Int64[np.ndarray, " chosen"],
    vocabulary_size: int,
) -> Int64[np.ndarray, "chosen order"]:
    """Return the words of some n-grams of an order, given by their indexes."""
    words = []
    for table in reversed(tables[: level + 1]):
        words.append(table.keys[numbers] % vocabulary_size)
        numbers = table.keys[numbers] // vocabulary_size
    return np.stack(words[::-1], axis=1)


LEAST = 1e-12
"""Lower bound of differences of probabilities that rounding may make zero or negative."""


def prune(
    tables: list[OrderTable],
    counts: list[OrderCounts],
    vocabulary_size: int,
    thresholds: Sequence[int] = (),
    share: float | None = None,
    memory: int | None = None,
) -> list[OrderTable]:
    """Prune n-grams by counts, then by relative entropy.

    Unigrams always stay, and so do prefixes of n-grams that stay.

    Args:
        tables: A smoothed model.
        counts: The counts that it was made of.
        vocabulary_size: Number of ids (V).
        thresholds: For each order from 2 on, the highest count that is pruned. The last holds for
            all higher orders too; empty: no pruning by counts.
        share: Prune n-grams without which the perplexity rises by less than this share, such as
            1e-8; None: no pruning by relative entropy.
        memory: About how many bytes to work in, with the tables on disk; None: no bound.
    """
    pruner = _Pruner(tables, counts, vocabulary_size, memory)
    if thresholds:
        pruner.drop_rare(thresholds)
        pruner.mend_backoffs()
    if share is not None:
        pruner.drop_by_entropy(share)
        pruner.mend_backoffs()
    return pruner.kept_tables()


def renormalized(
    tables: list[OrderTable], counts: list[OrderCounts], vocabulary_size: int
) -> list[OrderTable]:
    """Return tables with back-off weights with which every distribution sums to one.

    Args:
        tables: The probabilities; back-off weights in them are ignored.
        counts: The keys and suffixes of the same n-grams; every suffix must be listed.
        vocabulary_size: Number of ids (V).
    """
    pruner = _Pruner(tables, counts, vocabulary_size, None)
    pruner.mend_backoffs()
    return pruner.kept_tables()


class _Pruner:
    """A model whose n-grams are marked as kept or not, and removed at the end.

    Args:
        tables: A smoothed model.
        counts: The counts that it was made of; every suffix of an n-gram is listed.
        vocabulary_size: Number of ids (V).
        memory: About how many bytes to work in; None: no bound.
    """

    def __init__(
        self,
        tables: list[OrderTable],
        counts: list[OrderCounts],
        vocabulary_size: int,
        memory: int | None,
    ) -> None:
        self._tables, self._counts, self._size = list(tables), counts, vocabulary_size
        self._memory, self._column = memory, new_columns(memory)
        self._kept = [np.ones(len(table.keys), bool) for table in tables[:1]]
        for table in tables[1:]:
            kept = self._column(bool, len(table.keys))
            for block in blocks(table.keys):
                kept.append(np.ones(len(block), bool))
            self._kept.append(kept.array())
        # log p(w | h) of each n-gram by the pruned model, also of those that are not kept.
        self._log_probs = [table.log_probs for table in tables]

    def drop_rare(self, thresholds: Sequence[int]) -> None:
        """Prune n-grams by their counts."""
        for level in range(len(self._tables) - 1, 0, -1):
            threshold = thresholds[min(level - 1, len(thresholds) - 1)]
            counts = self._counts[level].counts
            self._keep(level, (block > threshold for block in blocks(counts)))

    def drop_by_entropy(self, share: float) -> None:
        """Prune n-grams by relative entropy, from the highest order down."""
        # The probability of each n-gram's words in sequence, p(h) of the order above.
        probs = [np.exp(self._tables[0].log_probs.astype(np.float64))]
        for level, table in enumerate(self._tables[1:-1], 1):
            column = self._column(np.float64, len(table.keys))
            for ngrams, prefixes, contexts in self._blocks(level):
                own = np.exp(table.log_probs[ngrams].astype(np.float64))
                column.append(probs[-1][contexts][prefixes] * own)
                release(table.log_probs, probs[-1])
            probs.append(column.array())
        for level in range(len(self._tables) - 1, 0, -1):
            losses = self._losses(level, probs[level - 1])
            self._keep(level, (block >= np.log1p(share) for block in losses))

    def _blocks(self, level: int) -> Iterator[tuple[slice, Int64[np.ndarray, " ngrams"], slice]]:
        """Yield (n-grams, prefixes, contexts): slices, and prefixes relative to the contexts."""
        keys = self._tables[level].keys
        shorter = len(self._tables[level - 1].keys)
        for ngrams, contexts in context_blocks(keys, shorter, self._size):
            yield ngrams, keys[ngrams] // self._size - contexts.start, contexts
            release(keys)

    def _keep(self, level: int, kept: Iterable[Bool[np.ndarray, " block"]]) -> None:
        """Mark which n-grams of an order are kept; prefixes of longer ones that are kept stay."""
        begins = self._begins_longer(level)
        column, start = self._column(bool, len(self._kept[level])), 0
        for block in kept:
            part = slice(start, start := start + len(block))
            stays = block & self._kept[level][part]
            column.append(stays if begins is None else stays | begins[part])
            release(self._kept[level], *([] if begins is None else [begins]))
        self._kept[level] = column.array()

    def _begins_longer(self, level: int) -> Bool[np.ndarray, " ngrams"] | None:
        """Return which n-grams are prefixes of kept ones; None for the highest order."""
        if level + 1 == len(self._tables):
            return None
        column, longer = self._column(bool, len(self._kept[level])), self._kept[level + 1]
        for ngrams, prefixes, contexts in self._blocks(level + 1):
            column.append(_any(prefixes[longer[ngrams]], contexts))
            release(longer)
        return column.array()

    def _losses(
        self, level: int, context_probs: Float[np.ndarray, " contexts"]
    ) -> Iterator[Float[np.ndarray, " block"]]:
        """Yield D (see the module) of the n-grams of an order, in nats, block by block."""
        table, kept = self._tables[level], self._kept[level]
        lower = Gathered(self._log_probs[level - 1], self._counts[level].suffixes, self._memory)
        for ngrams, prefixes, contexts in self._blocks(level):
            log_p = table.log_probs[ngrams].astype(np.float64)
            log_lower = lower[ngrams].astype(np.float64)
            others, lower_others = _unlisted(prefixes, log_p, log_lower, kept[ngrams], contexts)
            weight = np.log(others) - np.log(lower_others)
            # log g': the context's weight if this n-gram were unlisted as well.
            after = np.log(others[prefixes] + np.exp(log_p)) - np.log(
                lower_others[prefixes] + np.exp(log_lower)
            )
            moved = np.exp(log_p) * (log_lower + after - log_p)
            rest = (after - weight[prefixes]) * others[prefixes]
            losses: Float[np.ndarray, " ngrams"]
            losses = -context_probs[contexts][prefixes] * (moved + rest)
            yield losses
            release(table.log_probs, kept, context_probs)
            lower.release()

    def mend_backoffs(self) -> None:
        """Recompute all back-off weights, so that every distribution sums to one."""
        for level in range(1, len(self._tables)):
            table, below = self._tables[level], self._tables[level - 1]
            suffixes, kept = self._counts[level].suffixes, self._kept[level]
            lower = Gathered(self._log_probs[level - 1], suffixes, self._memory)
            backoffs = self._column(np.float32, len(below.keys))
            found = self._column(np.float64, len(table.keys))
            for ngrams, prefixes, contexts in self._blocks(level):
                log_p = table.log_probs[ngrams].astype(np.float64)
                log_lower, stays = lower[ngrams].astype(np.float64), kept[ngrams]
                others, lower_others = _unlisted(prefixes, log_p, log_lower, stays, contexts)
                used = _any(prefixes[stays], contexts)
                weights = np.where(used, np.log(others) - np.log(lower_others), 0)
                weights = weights.astype(np.float32)
                backoffs.append(weights)
                found.append(np.where(stays, log_p, weights[prefixes] + log_lower))
                release(table.log_probs, kept)
                lower.release()
            self._tables[level - 1] = replace(below, log_backoffs=backoffs.array())
            if level + 1 < len(self._tables):  # The highest order's are never looked up.
                self._log_probs[level] = found.array()

    def kept_tables(self) -> list[OrderTable]:
        """Return the tables of the kept n-grams, with new indexes."""
        first, tables = self._tables[0], []
        tables.append(first)
        for level in range(1, len(self._tables)):
            table, kept = self._tables[level], self._kept[level]
            size = sum(int(np.count_nonzero(block)) for block in blocks(kept))
            keys = self._column(np.int64, size)
            log_probs, log_backoffs = (self._column(np.float32, size) for _ in range(2))
            before = 0
            for ngrams, prefixes, contexts in self._blocks(level):
                stays, is_there = kept[ngrams], self._kept[level - 1][contexts]
                numbers = before - 1 + np.cumsum(is_there)
                words = table.keys[ngrams] % self._size
                keys.append((numbers[prefixes] * self._size + words)[stays])
                log_probs.append(table.log_probs[ngrams][stays])
                if len(table.log_backoffs):
                    log_backoffs.append(table.log_backoffs[ngrams][stays])
                before += int(np.count_nonzero(is_there))
                release(kept, self._kept[level - 1], table.log_probs, table.log_backoffs)
            left = log_backoffs.array() if len(table.log_backoffs) else table.log_backoffs
            tables.append(OrderTable(keys.array(), log_probs.array(), left))
        return tables


def _any(prefixes: Int64[np.ndarray, " ngrams"], contexts: slice) -> Bool[np.ndarray, " contexts"]:
    """Return which contexts of a block occur among the prefixes."""
    found = np.zeros(contexts.stop - contexts.start, bool)
    found[prefixes] = True
    return found


def _unlisted(
    prefixes: Int64[np.ndarray, " ngrams"],
    log_p: Float[np.ndarray, " ngrams"],
    log_lower: Float[np.ndarray, " ngrams"],
    kept: Bool[np.ndarray, " ngrams"],
    contexts: slice,
) -> tuple[Float[np.ndarray, " contexts"], Float[np.ndarray, " contexts"]]:
    """Return the probability of unlisted words after each context h, by p(. | h) and p(. | h').

    Their ratio is the back-off weight of h.
    """
    size = contexts.stop - contexts.start
    left, lower_left = (
        1 - np.bincount(prefixes[kept], np.exp(log_p[kept]), size),
        1 - np.bincount(prefixes[kept], np.exp(log_lower[kept]), size),
    )
    return np.maximum(left, LEAST), np.maximum(lower_left, LEAST)
