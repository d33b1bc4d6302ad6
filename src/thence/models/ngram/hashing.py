"""Building KenLM's hash tables from the n-grams of a file or a run.

Suffixes of n-grams that are not listed themselves (SRILM prunes them) are added with the
probabilities that backing off gives them, since a query reaches longer n-grams through their
suffixes. Sign bits mark n-grams that are prefixes or suffixes of longer ones; see
``_core/hashed.c``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from thence.array_types import Float, Int64, Integer, UInt64
from thence.models.ngram.hashed import A, B, HashedNGrams, HashTable, murmur

NO_UNKNOWN = -100.0
"""The log10 probability of an unknown word if the model has none, as in KenLM."""
UNKNOWN_NAMES = (b"<unk>", b"<UNK>")
"""Words that KenLM reads as the unknown word."""
NEVER_CONTEXT = np.float32(-0.0)
"""The back-off weight that marks an n-gram that is no context of longer ones; a weight of zero of a
context is +0.0."""


@dataclass(frozen=True)
class Listed:
    """The n-grams of one order of a model, unsorted.

    Attributes:
        places: The words of each n-gram, as indexes of a list of words.
        log_probs: log10 probabilities.
        backoffs: log10 back-off weights; not read for the highest order.
    """

    places: Integer[np.ndarray, "ngrams order"]
    log_probs: Float[np.ndarray, " ngrams"]
    backoffs: Float[np.ndarray, " ngrams"]


WEIGHTS = [("log_prob", np.float32), ("backoff", np.float32)]
"""Fields of the values in a slot (a structured dtype)."""


@dataclass
class _Order:
    """The n-grams of one order while the tables are built."""

    ids: Integer[np.ndarray, "ngrams order"]
    log_probs: Float[np.ndarray, " ngrams"]
    backoffs: Float[np.ndarray, " ngrams"]
    is_last: bool

    def keys(self, first: int = 0, last: int | None = None) -> UInt64[np.ndarray, " ngrams"]:
        """Return KenLM's hash of a slice of each n-gram's words, by default of all."""
        columns = self.ids[:, first:last].T.astype(np.uint64)
        found: UInt64[np.ndarray, " ngrams"] = columns[-1]
        for column in columns[-2::-1]:
            found = found * A ^ (column + np.uint64(1)) * B
        return found

    @cached_property
    def table(self) -> HashTable:
        """Their hash table."""
        weights = {} if self.is_last else {"backoff": self.backoffs}
        return HashTable.of(self.keys(), log_prob=self.log_probs, **weights)

    @cached_property
    def slots(self) -> np.ndarray[Any, Any]:
        """The values of each n-gram, as a structured view of the table's slots; unigrams by id."""
        if self.ids.shape[1] == 1:
            slots = np.empty(len(self.ids), WEIGHTS)
            slots["log_prob"], slots["backoff"] = self.log_probs, self.backoffs
            return slots
        fields = [("key", np.uint64), *WEIGHTS]
        return self.table.slots.view(fields[:2] if self.is_last else fields)

    def numbers(self, keys: UInt64[np.ndarray, " keys"]) -> Int64[np.ndarray, " keys"]:
        """Return the slot index of each hash; -1 if there is no such n-gram."""
        return keys.astype(np.int64) if self.ids.shape[1] == 1 else self.table.numbers(keys)

    def add(self, ids: Integer[np.ndarray, "ngrams order"]) -> None:
        """Add n-grams, whose probabilities are computed later."""
        self.ids = np.concatenate([self.ids, ids])
        self.log_probs = np.append(self.log_probs, np.zeros(len(ids), np.float32))
        self.backoffs = np.append(self.backoffs, np.full(len(ids), NEVER_CONTEXT))
        self.__dict__.pop("table", None)


def hashed_ngrams(hashes: UInt64[np.ndarray, " words"], listed: Sequence[Listed]) -> HashedNGrams:
    """Build the hash tables of a model.

    Args:
        hashes: The hash of each word of the list that n-grams index.
        listed: The n-grams of orders 1 to N; those of order 1 are all words, in the list's order.

    Raises:
        ValueError: If ``<s>`` or ``</s>`` is not among the words, or an n-gram's prefix is not
            listed.
    """
    is_unknown = np.isin(hashes, np.array([murmur(name) for name in UNKNOWN_NAMES], np.uint64))
    ids = np.where(is_unknown, 0, np.cumsum(~is_unknown))
    for name in (b"<s>", b"</s>"):
        if murmur(name) not in hashes:
            raise ValueError(f"the word {name.decode()} is not among the 1-grams")
    unigrams = np.zeros((2, int(ids.max(initial=0)) + 1), np.float32)
    unigrams[:, 0] = NO_UNKNOWN, 0
    unigrams[:, ids] = listed[0].log_probs, _never_contexts(listed[0].backoffs)
    orders = [_Order(np.arange(unigrams.shape[1])[:, None], unigrams[0], unigrams[1], False)]
    for k, some in enumerate(listed[1:], 2):
        log_probs, backoffs = some.log_probs.astype(np.float32), _never_contexts(some.backoffs)
        orders.append(_Order(ids[some.places], log_probs, backoffs, k == len(listed)))
    _add_endings(orders)
    for order, longer in pairwise(orders):
        _mark(order, longer)
    words = HashTable.of(hashes[~is_unknown], id=ids[~is_unknown].astype(np.uint32))
    slots = orders[0].slots
    tables = [order.table for order in orders[1:]]
    return HashedNGrams(words, slots.view(np.uint8), slots.itemsize, tables)


def _never_contexts(backoffs: Float[np.ndarray, " ngrams"]) -> Float[np.ndarray, " ngrams"]:
    """Return weights in single precision, with -0.0 in place of every 0."""
    found = backoffs.astype(np.float32)
    found[found == 0] = NEVER_CONTEXT
    return found


def _add_endings(orders: list[_Order]) -> None:
    """Add suffixes of n-grams that are not listed, from the highest order down.

    Their probability is that of backing off:  p(w1 .. wk) = backoff(w1 .. wk-1) p(w2 .. wk).
    """
    added = []
    for k in range(len(orders) - 1, 1, -1):
        keys = orders[k].keys(1)
        missing = np.flatnonzero(orders[k - 1].numbers(keys) < 0)
        if len(missing):
            missing = missing[np.unique(keys[missing], return_index=True)[1]]
            orders[k - 1].add(orders[k].ids[missing, 1:])
            added.append((k - 1, len(missing)))
    for k, count in reversed(added):
        order, shorter = orders[k], orders[k - 1]
        new = order.numbers(order.keys()[-count:])
        endings, contexts = (
            shorter.numbers(order.keys(*some)[-count:]) for some in ((1, None), (0, -1))
        )
        weights = np.where(contexts < 0, 0, shorter.slots["backoff"][contexts])
        order.slots["log_prob"][new] = shorter.slots["log_prob"][endings] + weights


def _mark(order: _Order, longer: _Order) -> None:
    """Mark the n-grams that are prefixes or suffixes of longer ones, by signs (see ``hashed.c``).

    Raises:
        ValueError: If the prefix of a longer one is not listed.
    """
    contexts, endings = order.numbers(longer.keys(0, -1)), order.numbers(longer.keys(1))
    if contexts.min(initial=0) < 0:
        raise ValueError("an n-gram is listed whose beginning is not listed one order below")
    log_probs, backoffs = order.slots["log_prob"], order.slots["backoff"]
    np.copysign(log_probs, -1, out=log_probs)
    log_probs[endings] = np.abs(log_probs[endings])
    weights = backoffs[contexts]
    backoffs[contexts] = np.where(weights == 0, np.float32(0), weights)
