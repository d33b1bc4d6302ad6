"""Counts of the train text for a few contexts, computed on demand.

A saved n-gram model holds probabilities and not counts, and counting the whole text again would
take as long as training. Instead, an inverted index from tokens to positions is built once, and a
longer context is searched for only at the positions of a shorter one.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from thence.array_types import Int64, Integer
from thence.errors import DownloadError, TextError
from thence.runs.run import Run
from thence.tokens import TokenStore

Context = tuple[int, ...]
Places = Int64[np.ndarray, " places"]

MOST_TOKENS = 1 << 27
"""Longest train text, in tokens: the index takes seconds to build and 4 bytes per token."""
MOST_KEPT = 1 << 24
"""Positions of n-grams that are cached (128 MB); beyond that the cache is emptied."""
MOST_CONTEXTS = 4096
"""Contexts whose counts are cached."""
MOST_CELLS = 1 << 16
"""Size of a table of pairs that is always faster than sorting, however few pairs there are."""
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Followers:
    """The tokens that follow a context in the train text.

    Attributes:
        words: Ids of the distinct tokens, sorted.
        counts: Number of occurrences of each.
    """

    words: Int64[np.ndarray, " words"]
    counts: Int64[np.ndarray, " words"]

    def count(self, word: int) -> int:
        """Return the number of times that a token follows."""
        place = int(np.searchsorted(self.words, word))
        found = place < len(self.words) and self.words[place] == word
        return int(self.counts[place]) if found else 0

    @cached_property
    def total(self) -> int:
        """Number of occurrences of the context before any token."""
        return int(self.counts.sum())

    def __len__(self) -> int:
        return len(self.words)


class TrainCounts:
    """N-gram counts of a train text, computed on demand and cached.

    Args:
        store: The tokens of the text.
        vocabulary_size: Number of ids (V).
        carries: Whether contexts reach across document boundaries.
    """

    def __init__(self, store: TokenStore, vocabulary_size: int, carries: bool) -> None:
        self.store, self.vocabulary_size, self.carries = store, vocabulary_size, carries
        self._ends: dict[Context, Places] = {}
        self._kept = 0
        self._followers: dict[Context, Followers] = {}
        self._continuations: dict[Context, Followers] = {}
        self._before: dict[int, int] = {}

    @cached_property
    def _sorted(self) -> tuple[Integer[np.ndarray, " positions"], Int64[np.ndarray, " bounds"]]:
        """The inverted index: positions sorted by id, and the bounds of each id's positions."""
        ids = self.store.ids
        order = np.argsort(ids, kind="stable").astype(np.uint32)
        sizes = np.bincount(ids, minlength=self.vocabulary_size)
        return order, np.append(0, np.cumsum(sizes))

    def ends(self, ngram: Context) -> Places:
        """Return the positions in the store at which an n-gram ends."""
        if (known := self._ends.get(ngram)) is not None:
            return known
        size = len(ngram)
        if size == 1:
            order, bounds = self._sorted
            found = order[bounds[ngram[0]] : bounds[ngram[0] + 1]].astype(np.int64)
        else:
            shorter = self.ends(ngram[1:])
            reached = shorter[shorter >= size - 1]
            found = reached[self.store.ids[reached - size + 1] == ngram[0]]
        if self._kept + len(found) > MOST_KEPT:
            self._ends.clear()
            self._kept = 0
        self._ends[ngram] = found
        self._kept += len(found)
        return found

    def places(self, context: Context) -> Places:
        """Return the positions in the store of the targets after a context of at least one id."""
        found = self.ends(context) + 1
        return found[found < len(self.store.ids)]

    def followers(self, context: Context) -> Followers:
        """Return the tokens that follow a context, with their counts."""
        if not context:
            return self.unigrams
        if (known := self._followers.get(context)) is None:
            known = _counted(self.store.ids[self.places(context)], self.vocabulary_size)
            _remember(self._followers, context, known)
        return known

    @cached_property
    def unigrams(self) -> Followers:
        """The distinct tokens of the text, with their counts."""
        counts = self.store.id_counts(self.vocabulary_size)
        words = np.flatnonzero(counts)
        return Followers(words, counts[words])

    def continuations(self, context: Context) -> Followers:
        """Return the continuation counts (Kneser-Ney) of the n-grams that begin with a context.

        The continuation count of an n-gram is the number of distinct tokens that precede it. An
        n-gram that opens the text has no preceding token, and keeps its plain count: see
        ``adjusted_counts`` in ``models/ngram/smoothing.py``.

        Args:
            context: At least one id.
        """
        if (known := self._continuations.get(context)) is None:
            known = self._find_continuations(context)
            _remember(self._continuations, context, known)
        return known

    def _find_continuations(self, context: Context) -> Followers:
        """Compute ``continuations``: the distinct pairs (token before, last token) are counted."""
        plain, ids, size = self.followers(context), self.store.ids, len(context) + 1
        if not self.carries and context[0] == self.store.boundary_id:
            return plain
        places = self.places(context)
        before = places[places >= size]
        different = self._pairs(ids[before - size], ids[before]) % self.vocabulary_size
        found = _counted(different, self.vocabulary_size)
        if len(found) == len(plain):
            return found
        # An n-gram that occurs only at the very beginning of the text keeps its plain count.
        counts = plain.counts.copy()
        counts[np.searchsorted(plain.words, found.words)] = found.counts
        return Followers(plain.words, counts)

    def _pairs(
        self, before: Integer[np.ndarray, " places"], after: Integer[np.ndarray, " places"]
    ) -> Int64[np.ndarray, " pairs"]:
        """Return the distinct pairs of ids, each encoded as before * V + after."""
        pairs = before.astype(np.int64) * self.vocabulary_size + after
        if self.vocabulary_size**2 <= max(MOST_CELLS, len(pairs)):
            return np.asarray(np.flatnonzero(np.bincount(pairs)))
        pairs.sort()
        return np.asarray(pairs[np.flatnonzero(np.diff(pairs, prepend=-1))])

    def before(self, word: int) -> int:
        """Return the number of distinct tokens that precede a token."""
        if (known := self._before.get(word)) is None:
            places = self.ends((word,))
            known = len(_counted(self.store.ids[places[places > 0] - 1], self.vocabulary_size))
            _remember(self._before, word, known)
        return known


def _remember(known: dict[Key, Value], key: Key, value: Value) -> None:
    """Add a value to a cache, which is emptied first if it is full."""
    if len(known) >= MOST_CONTEXTS:
        known.clear()
    known[key] = value


def _counted(ids: Integer[np.ndarray, " ids"], vocabulary_size: int) -> Followers:
    """Count ids: by a table of size V, or by sorting if there are few."""
    if len(ids) * 8 < vocabulary_size:
        words, counts = np.unique(ids.astype(np.int64), return_counts=True)
        return Followers(words, counts)
    table = np.bincount(ids, minlength=vocabulary_size)
    words = np.flatnonzero(table)
    return Followers(words, table[words])


_stores: WeakKeyDictionary[Run, TokenStore | None] = WeakKeyDictionary()
_counts: WeakKeyDictionary[Run, dict[bool, TrainCounts | None]] = WeakKeyDictionary()


def train_store(run: Run) -> TokenStore | None:
    """Return the tokens of a run's train text, cached; None if it is missing or too long."""
    if run not in _stores:
        found = None
        with suppress(TextError, DownloadError):
            if run.has_text and run.has_train_text:
                found = run.store("train")
        _stores[run] = found if found is not None and len(found.ids) <= MOST_TOKENS else None
    return _stores[run]


def train_counts(run: Run, carries: bool | None = None) -> TrainCounts | None:
    """Return the counts of a run's train text, cached; None if it is missing or too long.

    Args:
        run: The run.
        carries: Whether contexts reach across document boundaries (default: as in the run's
            training); a member of a mixture may differ from it.
    """
    carries = run.recipe.training.carry_context if carries is None else carries
    known = _counts.setdefault(run, {})
    if carries not in known:
        store, size = train_store(run), len(run.tokenizer.vocabulary)
        known[carries] = None if store is None else TrainCounts(store, size, carries)
    return known[carries]
