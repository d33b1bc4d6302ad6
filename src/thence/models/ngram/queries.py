"""Queries of the tables of a smoothed n-gram model: scores, states and distributions.

The log-probability of a word is that of the longest known n-gram that ends with it, plus the log
back-off weights of all longer contexts (Katz 1987). It is computed from the shortest context up:

    l = log p(w);  for each length k = 1 .. N-1 whose context is known:
        l += log backoff(context of length k);  if the n-gram with w is known: l = its log p

The compiled core goes through a text target by target, NumPy order by order over all targets, with
the same results to the bit.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np

from thence._core import library
from thence._core.ngram import NGramTables
from thence._core.text import TextScorer
from thence.array_types import Float, Int64, Integer
from thence.mapped import release
from thence.models.base import Array, TextScore
from thence.models.memory_guard import fits_into_memory
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.sorting import find
from thence.tokens import Tokenizer, TokenStore
from thence.tokens.characters import CharacterTokenizer
from thence.tokens.parallel import in_threads
from thence.tokens.tokenizer import normalize
from thence.tokens.words import WordTokenizer

Numbers = Int64[np.ndarray, "batch order-1"]
"""The index of the n-gram of each length 1 to N-1 that ends at the last word; -1: not seen."""


BYTES_PER_NGRAM = 44
"""Upper bound of the bytes of an n-gram: 16 in arrays, 16 in the core, 12 in its hash tables."""
MOST_NGRAMS = (1 << 32) - 2
"""Largest number of n-grams of one order in the compiled core, whose indexes have 32 bits."""
TARGETS_AT_ONCE = 1 << 17
"""Targets per part, in whole documents, that a thread scores at once: it bounds the memory."""


class Queries:
    """Scores, states and distributions by a model's tables, which must not change afterwards.

    Args:
        tables: The tables of orders 1 to N.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, tables: Sequence[OrderTable], vocabulary_size: int) -> None:
        self.tables, self.vocabulary_size = tables, vocabulary_size
        self.core: NGramTables | None = None
        """The tables in the compiled core; None without it, or if it cannot read these arrays."""
        size = sum(len(table.keys) for table in tables) * BYTES_PER_NGRAM
        is_readable = all(_is_readable(table) for table in tables)
        if library() is not None and is_readable and fits_into_memory(size):
            arrays = [(table.keys, table.log_probs, table.log_backoffs) for table in tables]
            self.core = NGramTables(arrays, vocabulary_size)

    def score(self, store: TokenStore, carry_context: bool) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        core = self.core
        if core is not None:
            parts = in_threads(lambda part: core.score(*part)[0], _parts(store, carry_context))
            return np.concatenate([np.zeros(0), *parts])
        words = store.targets.astype(np.int64)
        log_probs = self.tables[0].log_probs.astype(np.float64)[words]
        walk = self.walk(store, carry_context)
        for shorter, table, (contexts, found) in zip(
            self.tables, self.tables[1:], walk, strict=False
        ):
            known = contexts >= 0
            log_probs[known] += shorter.log_backoffs[contexts[known]]
            seen = found >= 0
            log_probs[seen] = table.log_probs[found[seen]]
            release(shorter.log_backoffs, table.keys, table.log_probs)
        return log_probs

    def text_scorer(self, tokenizer: Tokenizer) -> Callable[[str], TextScore | None] | None:
        """Return a function that scores one text in the compiled core; None if there is none.

        It returns None for a text with a symbol without an id, and for a long text.
        """
        core, level, vocabulary = self.core, tokenizer.level, tokenizer.vocabulary
        if core is None or not isinstance(level, WordTokenizer | CharacterTokenizer):
            return None
        special = vocabulary.unknown_id, vocabulary.boundary_id

        @cache
        def scorer_of(ascii_only: bool) -> Callable[[bytes], TextScore | None]:
            if isinstance(level, WordTokenizer):
                return TextScorer(core, *special, words=level.core_words(ascii_only)).score
            return TextScorer(core, *special, characters=level.table).score

        options = tokenizer.options
        is_changed = options.lowercase or options.nfc

        def score(text: str) -> TextScore | None:
            if is_changed:
                text = normalize(text, options)
            try:
                return scorer_of(text.isascii())(text.encode("utf-8"))
            except UnicodeEncodeError:  # Scoring by a token store raises the proper error.
                return None

        return score

    def contexts(
        self, store: TokenStore, carry_context: bool
    ) -> Int64[np.ndarray, "targets order-1"]:
        """Return the indexes of the contexts before each target."""
        if self.core is not None:
            parts = [
                self.core.score(*part, contexts=True)[1] for part in _parts(store, carry_context)
            ]
            return np.concatenate([np.zeros((0, len(self.tables) - 1), np.int64), *parts])
        found = [contexts for contexts, _ in self.walk(store, carry_context)]
        return np.stack(found, axis=1) if found else np.zeros((store.num_targets, 0), np.int64)

    def walk(
        self, store: TokenStore, carry_context: bool
    ) -> Iterator[tuple[Int64[np.ndarray, " targets"], Int64[np.ndarray, " targets"]]]:
        """Yield, for contexts of 1, 2, ... symbols, two indexes per target; -1: not seen.

        The first is that of the context before the target, the second that of the n-gram of context
        and target.
        """
        words = store.targets.astype(np.int64)
        reach = None if carry_context else store.places
        contexts = store.ids[:-1].astype(np.int64)
        for level in range(1, len(self.tables)):
            found = find(self.tables[level].keys, contexts, words, self.vocabulary_size)
            yield contexts, found
            contexts = np.full_like(found, -1)
            contexts[1:] = found[:-1]
            if reach is not None:
                contexts[reach < level] = -1

    def advance(self, ids: Integer[np.ndarray, "batch time"], states: Numbers) -> Numbers:
        """Return the states after reading ids (batch, time)."""
        if self.core is not None:
            return self.core.advance(ids, states)
        for column in ids.T:
            numbers = np.full_like(states, -1)
            for level in range(len(self.tables) - 1):
                if level == 0:
                    numbers[:, 0] = column
                else:
                    keys = self.tables[level].keys
                    numbers[:, level] = find(
                        keys, states[:, level - 1], column, self.vocabulary_size
                    )
            states = numbers
        return states

    def read(
        self, ids: Integer[np.ndarray, " batch"], states: Numbers
    ) -> tuple[Float[np.ndarray, " batch"], Numbers]:
        """Return the log-probability of one id after each state, and the states after it."""
        if self.core is not None:
            return self.core.read(ids.astype(np.int64, copy=False), states)
        log_probs = self.tables[0].log_probs[ids].astype(np.float64)
        after = np.full_like(states, -1)
        after[:, :1] = ids[:, None]
        for level, shorter in enumerate(self.tables[:-1], start=1):
            contexts, longer = states[:, level - 1], self.tables[level]
            known = contexts >= 0
            log_probs[known] += shorter.log_backoffs[contexts[known]]
            found = find(longer.keys, contexts, ids, self.vocabulary_size)
            seen = found >= 0
            log_probs[seen] = longer.log_probs[found[seen]]
            after[:, level:][:, :1] = found[:, None]
        return log_probs, after

    def distributions(self, states: Numbers) -> Float[np.ndarray, "batch vocab"]:
        """Return the log-probabilities of the next word after each state."""
        if self.core is not None:
            return self.core.distributions(states)
        log_probs = np.tile(self.tables[0].log_probs.astype(np.float64), (len(states), 1))
        for level in range(len(self.tables) - 1):
            self._extend(log_probs, level, states[:, level])
        for table in self.tables:
            release(table.keys, table.log_probs, table.log_backoffs)
        return log_probs

    def _extend(self, log_probs: Array, level: int, contexts: Int64[np.ndarray, " batch"]) -> None:
        """Update, in place, log-probabilities by shorter contexts to those by one order more."""
        table, longer = self.tables[level], self.tables[level + 1]
        size = self.vocabulary_size
        starts = np.searchsorted(longer.keys, contexts * size)
        ends = np.searchsorted(longer.keys, (contexts + 1) * size)
        for row in np.flatnonzero(contexts >= 0):
            log_probs[row] += table.log_backoffs[contexts[row]]
            seen = slice(starts[row], ends[row])
            log_probs[row, longer.keys[seen] % size] = longer.log_probs[seen]


def _is_readable(table: OrderTable) -> bool:
    """Return whether the compiled core can read a table: dtypes, layout and size."""
    if len(table.keys) > MOST_NGRAMS:
        return False
    arrays = ((table.keys, "int64"), (table.log_probs, "float32"), (table.log_backoffs, "float32"))
    return all(array.dtype == dtype and array.flags.c_contiguous for array, dtype in arrays)


def _parts(
    store: TokenStore, carry_context: bool
) -> Iterator[tuple[Integer[np.ndarray, " positions"], Int64[np.ndarray, " _"]]]:
    """Yield the ids of groups of documents, and the offsets of their first targets.

    With carried context the store is a single document.
    """
    offsets = np.array([1, len(store.ids)]) if carry_context else store.offsets.astype(np.int64)
    first = 0
    while first < len(offsets) - 1:
        last = max(int(np.searchsorted(offsets, offsets[first] + TARGETS_AT_ONCE)), first + 1)
        places = offsets[first : last + 1]
        yield store.ids[places[0] - 1 : places[-1]].astype(np.int32), places - places[0] + 1
        first = min(last, len(offsets) - 1)
