"""Static interpolation: several back-off models as one, over the union of their n-grams and words.

    p(w | h) = l_1 p_1(w | h) + ... + l_M p_M(w | h)        for every n-gram that any model lists

The back-off weight of each context h is such that its distribution sums to one. For words that no
model lists after h the mixture is therefore not exact, unlike dynamic interpolation, which mixes
the probabilities of every word in every context. A model gives probability zero to a word that only
others know. In a context it reads such a word as ``<unk>`` or, if it has none, as an unseen one.

Source: A. Stolcke 2002, "SRILM - an extensible language modeling toolkit", section 3.3
(``ngram -mix-lm``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from thence.array_types import Float, Float64, Int64, Integer
from thence.models.ngram.pruning import LEAST, prune, renormalized, spell, sums
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.sorting import OrderCounts, find, number_sorted
from thence.tokens.vocabulary import Vocabulary

REST = 1e-6
"""Probability of unlisted words after a context whose listed words sum to more than one: far below
any probability, far above the rounding of the sum."""
Keys = Int64[np.ndarray, " ngrams"]
"""Sorted keys of one order; see ``OrderTable``."""


@dataclass(frozen=True)
class Backoff:
    """A back-off model with a mapping of its ids to those of another vocabulary.

    Attributes:
        tables: Its tables, over its own vocabulary.
        size: Its own number of ids.
        targets: Its id for each id of the other vocabulary as a target; -1: unknown to it.
        contexts: The same for ids in a context, where ``<unk>`` stands for unknown ones.
        unknown: The id of ``<unk>`` in the other vocabulary.
        lacking: The probability of all words that are not in the other vocabulary, after each
            context of 0, 1, ... words; None if there are none. It is added to ``<unk>``; without
            ``<unk>`` the unigram probabilities are scaled up.
    """

    tables: list[OrderTable]
    size: int
    targets: Int64[np.ndarray, " vocab"]
    contexts: Int64[np.ndarray, " vocab"]
    unknown: int | None
    lacking: list[Float64[np.ndarray, " contexts"]] | None = None

    @classmethod
    def within(cls, tables: list[OrderTable], own: Vocabulary, other: Vocabulary) -> "Backoff":
        """Map a model of one vocabulary (``own``) to another."""
        if own == other:
            targets = np.arange(len(own))
        else:
            ids = {symbol: index for index, symbol in enumerate(own.symbols)}
            found = [ids.get(symbol, -1) for symbol in other.symbols]
            if other.unknown_id is not None:
                found.append(-1 if own.unknown_id is None else own.unknown_id)
            targets = np.array([*found, own.boundary_id])
        unknown = -1 if own.unknown_id is None else own.unknown_id
        contexts = np.where(targets < 0, unknown, targets)
        lacks = np.ones(len(own), bool)
        lacks[targets[targets >= 0]] = False
        lacking = [some.totals for some in sums(tables, len(own), lacks)] if lacks.any() else None
        return cls(tables, len(own), targets, contexts, other.unknown_id, lacking)

    def log_probs(self, ngrams: Sequence[Keys]) -> Iterator[Float64[np.ndarray, " ngrams"]]:
        """Yield log p(w | h) of the n-grams of each order, in nats, by the model.

        Args:
            ngrams: The keys of each order over the other vocabulary; all ids for order 1.
        """
        size, tables = len(self.targets), self.tables
        known, unigrams = self.targets >= 0, self.tables[0].log_probs.astype(np.float64)
        unigrams = np.where(known, unigrams[self.targets], -np.inf)
        if self.lacking is not None and self.unknown is None:
            unigrams -= np.log1p(-self.lacking[0])
        yield self._with_lacking(unigrams, np.arange(size), np.zeros((size, 0), np.int64))
        # The indexes of the model's own n-grams that are suffixes of each n-gram, shortest first.
        numbers = self.contexts[:, None]
        for keys in ngrams[1:]:
            prefixes, words = np.divmod(keys, size)
            own, is_known = self.contexts[words], known[words]
            log_probs, after = unigrams[words], [own]
            for shorter, table, contexts in zip(tables, tables[1:], numbers.T, strict=False):
                contexts = contexts[prefixes]
                found = find(table.keys, np.where(own < 0, -1, contexts), own, self.size)
                backs_off, seen = contexts >= 0, (found >= 0) & is_known
                log_probs[backs_off] += shorter.log_backoffs[contexts[backs_off]]
                log_probs[seen] = table.log_probs[found[seen]]
                after.append(found)
            yield self._with_lacking(log_probs, words, numbers[prefixes])
            numbers = np.stack(after[: len(tables)], axis=1)

    def _with_lacking(
        self,
        log_probs: Float64[np.ndarray, " ngrams"],
        words: Int64[np.ndarray, " ngrams"],
        contexts: Int64[np.ndarray, "ngrams lengths"],
    ) -> Float64[np.ndarray, " ngrams"]:
        """Add the probability in ``lacking`` to n-grams that end in ``<unk>``."""
        if self.lacking is None or self.unknown is None:
            return log_probs
        places = np.flatnonzero(words == self.unknown)
        more = np.full(len(places), self.lacking[0][0])
        for lacking, numbers in zip(self.lacking[1:], contexts[places].T, strict=False):
            more[numbers >= 0] = lacking[numbers[numbers >= 0]]
        found = log_probs.copy()
        found[places] = np.log(np.exp(log_probs[places]) + np.maximum(more, 0))
        return found


def union(vocabularies: Sequence[Vocabulary]) -> Vocabulary:
    """Return the union of vocabularies, in order of appearance, with ``<unk>`` if one has it."""
    symbols = dict.fromkeys(symbol for one in vocabularies for symbol in one.symbols)
    unknown = {one.unknown for one in vocabularies}
    unknown.discard("refuse")
    return Vocabulary(tuple(symbols), next(iter(unknown), "refuse"))


def interpolate(
    models: Sequence[Backoff],
    weights: Float[np.ndarray, " models"],
    share: float | None = None,
) -> list[OrderTable]:
    """Return the static interpolation of models, over their common vocabulary.

    Args:
        models: The models, all mapped to the same vocabulary.
        weights: The weight of each, above 0; they sum to one.
        share: Prune n-grams without which the perplexity rises by less than this share.
    """
    size = len(models[0].targets)
    keys, suffixes = close(_all_ngrams(models), size)
    probs = [np.zeros(len(order)) for order in keys]
    for model, weight in zip(models, weights.tolist(), strict=True):
        for total, log_probs in zip(probs, model.log_probs(keys), strict=True):
            total += weight * np.exp(log_probs)
    with np.errstate(divide="ignore"):
        logs = [np.log(total).astype(np.float32) for total in probs]
    nothing = np.zeros(0, np.float32)
    tables = [OrderTable(*order, nothing) for order in zip(keys, logs, strict=True)]
    return normalized(tables, suffixes, size, share)


def normalized(
    tables: list[OrderTable],
    suffixes: Sequence[Integer[np.ndarray, " ngrams"]],
    size: int,
    share: float | None = None,
) -> list[OrderTable]:
    """Return tables with back-off weights with which every distribution sums to one.

    Args:
        tables: The probabilities; back-off weights in them are ignored.
        suffixes: The suffix indexes, as ``close`` returns them.
        size: Number of ids (V).
        share: Prune n-grams without which the perplexity rises by less than this share.
    """
    none = np.zeros(0, np.int64)
    counts = [OrderCounts(t.keys, none, s) for t, s in zip(tables, suffixes, strict=True)]
    tables = renormalized(tables, counts, size)
    return tables if share is None else prune(tables, counts, size, share=share)


def renormalize_tables(tables: list[OrderTable], vocabulary: Vocabulary) -> list[OrderTable]:
    """Return a model whose probabilities sum to one after every context.

    Unigrams are scaled to sum to one, and the words listed after a context so that they do not sum
    to more; then the back-off weights are recomputed.
    """
    scaled, contexts = [], 1
    for order, table in enumerate(tables):
        prefixes = table.keys // len(vocabulary)
        log_probs = table.log_probs.astype(np.float64)
        totals = np.bincount(prefixes, np.exp(log_probs), contexts)
        totals = totals if order == 0 else np.maximum(totals / (1 - REST), 1)
        log_probs -= np.log(np.maximum(totals, LEAST))[prefixes]
        scaled.append(replace(table, log_probs=log_probs.astype(np.float32)))
        contexts = len(table.keys)
    return interpolate([Backoff.within(scaled, vocabulary, vocabulary)], np.ones(1))


def _all_ngrams(models: Sequence[Backoff]) -> list[Keys]:
    """Return the keys, in the common vocabulary, of all n-grams that any model lists.

    A word that is not in it becomes ``<unk>`` at the end of an n-gram; n-grams with such a word in
    the context are left out.
    """
    size = len(models[0].targets)
    found = [np.arange(size)]
    common = [np.full(model.size, -1) for model in models]
    for ids, model in zip(common, models, strict=True):
        known = np.flatnonzero(model.targets >= 0)
        ids[model.targets[known]] = known
    numbers = list(common)  # Index of each model's n-gram in ``found``; -1: not in it.
    for level in range(1, max(len(model.tables) for model in models)):
        translated = {}
        for index, model in enumerate(models):
            if level < len(model.tables):
                prefixes, words = np.divmod(model.tables[level].keys, model.size)
                prefixes, words = numbers[index][prefixes], common[index][words]
                lacks = words < 0
                if model.unknown is not None:
                    words[lacks] = model.unknown
                keys = np.where((prefixes < 0) | (words < 0), -1, prefixes * size + words)
                translated[index] = keys, (keys < 0) | lacks
        every = np.concatenate([keys for keys, _ in translated.values()])
        found.append(_distinct(every[every >= 0]))
        for index, (keys, ends) in translated.items():
            numbers[index] = np.where(ends, -1, np.searchsorted(found[-1], keys))
    return found


def close(ngrams: list[Keys], size: int) -> tuple[list[Keys], list[Integer[np.ndarray, " ngrams"]]]:
    """Add missing suffixes of n-grams, so that every suffix is listed.

    Args:
        ngrams: The keys of each order; every prefix is listed in the order below.
        size: Number of ids (V).

    Returns:
        The keys of each order, and the index of each n-gram without its first word.
    """
    suffixes: list[Integer[np.ndarray, " ngrams"]] = [np.zeros(size, np.int64)]
    for order, keys in enumerate(ngrams[1:], start=2):
        prefixes, words = np.divmod(keys, size)
        found = words
        if order > 2:
            found = find(ngrams[order - 2], suffixes[-1][prefixes], words, size)
        if (found < 0).any():
            return close(_with_suffixes(ngrams, size), size)
        suffixes.append(found)
    return ngrams, suffixes


def _with_suffixes(ngrams: list[Keys], size: int) -> list[Keys]:
    """Return the keys of all n-grams and of all their suffixes."""
    tables = [OrderTable(keys, keys, keys) for keys in ngrams]
    spelled = [spell(tables, level, size) for level in range(len(ngrams))]
    for level in range(len(ngrams) - 1, 1, -1):
        both = np.concatenate([spelled[level - 1], spelled[level][:, 1:]])
        spelled[level - 1] = np.unique(both, axis=0)
    found = [ngrams[0]]
    for words in spelled[1:]:
        numbers = words[:, 0]
        for keys, word in zip(found[1:], words.T[1:-1], strict=True):
            numbers = find(keys, numbers, word, size)
        found.append(_distinct(numbers * size + words[:, -1]))
    return found


def _distinct(keys: Keys) -> Keys:
    """Return the distinct keys, sorted; faster than ``np.unique``, which hashes them."""
    keys = np.sort(keys)
    found: Keys = keys[number_sorted(keys)[0][:-1]]
    return found
