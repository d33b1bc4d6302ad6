"""Static interpolation: several back-off models as one, over the union of their n-grams and words.

    p(w | h) = l_1 p_1(w | h) + ... + l_M p_M(w | h)        of every n-gram that a model lists

The back-off weight of each context h is what makes its distribution sum to one, and gives all
other words their probability. For those the mixture is not exact: dynamic interpolation mixes the
probabilities of every word in every context. A model gives no probability to a word that only
others know. In a context it reads such a word as ``<unk>`` or, if it has none, as one that it has
never seen.

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
"""What is left to other words where those that are listed add up to more than one: small beside any
probability, large beside the rounding of their sum."""
Keys = Int64[np.ndarray, " ngrams"]


@dataclass(frozen=True)
class Backoff:
    """A back-off model and how it reads the ids of another vocabulary.

    Attributes:
        tables: Its tables, over its own vocabulary.
        size: Its own number of ids.
        targets: Its id for each id of the other vocabulary, -1 where it does not know it.
        contexts: The same for what stands in a context: ``<unk>`` where it does not know it.
        unknown: The id of ``<unk>`` in the other vocabulary.
        lacking: The probability of all words that the other vocabulary lacks after each context of
            0, 1, ... words; None if it lacks none. It goes to ``<unk>``; without that, the
            probabilities of single words grow in proportion.
    """

    tables: list[OrderTable]
    size: int
    targets: Int64[np.ndarray, " vocab"]
    contexts: Int64[np.ndarray, " vocab"]
    unknown: int | None
    lacking: list[Float64[np.ndarray, " contexts"]] | None = None

    @classmethod
    def within(cls, tables: list[OrderTable], own: Vocabulary, other: Vocabulary) -> "Backoff":
        """Return a model as it reads the ids of another vocabulary."""
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
            ngrams: The keys of each order over the other vocabulary; of order 1 all ids.
        """
        size, tables = len(self.targets), self.tables
        known, unigrams = self.targets >= 0, self.tables[0].log_probs.astype(np.float64)
        unigrams = np.where(known, unigrams[self.targets], -np.inf)
        if self.lacking is not None and self.unknown is None:
            unigrams -= np.log1p(-self.lacking[0])
        yield self._with_lacking(unigrams, np.arange(size), np.zeros((size, 0), np.int64))
        # The numbers of the model's n-grams that each n-gram ends with, shortest first.
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
        """Add to n-grams that end in ``<unk>`` what the vocabulary lacks after their contexts."""
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
    """Return the words of all vocabularies in order of appearance, ``<unk>`` if one has it."""
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
        models: All read the same vocabulary.
        weights: Of each, above 0; they sum to one.
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
    """Return tables with the back-off weights that make every context sum to one.

    Args:
        tables: Probabilities; the weights are not read.
        suffixes: The number of each n-gram without its first word, as ``close`` gives it.
        size: Number of ids (V).
        share: Prune n-grams without which the perplexity rises by less than this share.
    """
    none = np.zeros(0, np.int64)
    counts = [OrderCounts(t.keys, none, s) for t, s in zip(tables, suffixes, strict=True)]
    tables = renormalized(tables, counts, size)
    return tables if share is None else prune(tables, counts, size, share=share)


def renormalize_tables(tables: list[OrderTable], vocabulary: Vocabulary) -> list[OrderTable]:
    """Return a model whose probabilities add up to one after every context.

    Single words are scaled to add up to one, and what is listed after a context so as not to add up
    to more; then the back-off weights are computed anew.
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
    """Return the keys of what any model lists, of words that the common vocabulary has.

    A word that it lacks is ``<unk>`` at the end of an n-gram; in a context it leaves none.
    """
    size = len(models[0].targets)
    found = [np.arange(size)]
    common = [np.full(model.size, -1) for model in models]
    for ids, model in zip(common, models, strict=True):
        known = np.flatnonzero(model.targets >= 0)
        ids[model.targets[known]] = known
    numbers = list(common)  # of each n-gram among those that were found; -1 where it is not
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
    """Add the n-grams that others end with, where they are missing.

    Args:
        ngrams: The keys of each order; what begins an n-gram is among those of the order below.
        size: Number of ids (V).

    Returns:
        The keys of each order, and the number of each n-gram without its first word.
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
    """Return the keys of all n-grams and of their suffixes."""
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
    """Return distinct keys in order; ``np.unique`` hashes them, which takes longer."""
    keys = np.sort(keys)
    found: Keys = keys[number_sorted(keys)[0][:-1]]
    return found
