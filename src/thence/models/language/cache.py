"""The cache model: symbols that occurred recently are likely to occur again.

    p(w | history) = c_L(h, w) / n_L(h)      h the last N - 1 symbols (``order`` N)

with c_L(h, w) how often w followed h among the last L symbols (``length``), and n_L(h) their sum.
If h is not among them the distribution is uniform. With a ``discount`` D every order backs off to
the one below, and the lowest to the uniform distribution:

    p_N(w | h) = (max(c_L(h, w) - D, 0) + D d_L(h) p_(N-1)(w | h')) / n_L(h)

with d_L(h) how many different symbols followed h, and h' without its first symbol. A cache learns
nothing from the train text; it is useful on running text, mixed with a model that does.

Sources: R. Kuhn and R. De Mori 1990, "A cache-based natural language model for speech recognition";
H. Ney, U. Essen and R. Kneser 1994, "On structuring probabilistic dependences in stochastic
language modelling" for the discount. Adaptive n-grams that back off are the models of prediction by
partial matching: J. Cleary and I. Witten 1984.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from thence.array_types import Float, Int64, Integer
from thence.deadline import check_deadline
from thence.models.base import Array
from thence.models.memory_guard import check_memory
from thence.settings import PositiveInt, Range, Settings
from thence.tokens import TokenStore

Known = Int64[np.ndarray, "batch 3"]
"""Statistics of a context: the highest order in which it was seen, and n and d of that order."""
Recent = tuple[Int64[np.ndarray, "batch length"], Known]
"""State: the last ids of each row (-1: none yet), and the statistics of its current context."""
Places = Int64[np.ndarray, " places"]
"""Positions of targets in a store."""


@dataclass(frozen=True)
class CacheOptions(Settings):
    """Settings of the ``cache`` model."""

    length: PositiveInt = 500
    """Length of the history in symbols (L)."""
    order: Annotated[int, Range(ge=1, le=16)] = 1
    """Order of the n-grams that are counted: 1 counts symbols, N what followed the last N - 1."""
    discount: Annotated[float, Range(gt=0, lt=1)] | None = None
    """Subtracted from each count in favour of the order below (D); without it, no back-off."""


class CacheBase:
    """Base class of caches, which have no parameters."""

    adapting: tuple[str, ...] = ("cache",)
    """Names of the parts that adapt to the scored text (see ``Adapts``)."""

    def static(self) -> None:
        """Return None: a cache is nothing but what adapts."""

    def tensors(self) -> dict[str, Array]:
        """Return no tensors."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Check that there are no tensors."""
        if tensors:
            raise ValueError(f"a cache has no tensors, but found {', '.join(sorted(tensors))}")

    def num_parameters(self) -> int:
        """Return zero; the network of a neural cache counts as a member of its own."""
        return 0


class Cache(CacheBase):
    """N-gram counts of the last ``length`` symbols.

    Args:
        options: Its settings.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: CacheOptions, vocabulary_size: int) -> None:
        self.options = options
        self.vocabulary_size = vocabulary_size
        # The last result of ``_read``: a mixture calls both ``score`` and ``contexts``.
        self._last: tuple[TokenStore, bool, Array, Known] | None = None

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Do nothing: a cache has no parameters."""
        return None

    def start(self, batch_size: int) -> Recent:
        """Return the state before any text.

        Raises:
            SettingError: If the history of so many rows does not fit into memory.
        """
        options = self.options
        width = options.length + max(options.order - 1, 1)
        size = 8 * batch_size * width
        check_memory(size, f"The last {options.length:,} symbols", "Use a shorter `length`.")
        return np.full((batch_size, width), -1), np.zeros((batch_size, 3), np.int64)

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: Recent
    ) -> tuple[Float[np.ndarray, "batch vocab"], Recent]:
        """Read one id per row; return the log-probabilities of the next and the new state."""
        recent = np.concatenate([state[0][:, 1:], ids[:, None].astype(np.int64)], axis=1)
        rows = [self.distribution(past[np.argmax(past >= 0) :]) for past in recent]
        probs, known = np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])
        return self._log(probs, known), (recent, known)

    def log_probs_at(
        self, store: TokenStore, place: int, carry_context: bool
    ) -> Float[np.ndarray, " vocab"]:
        """Return the log-probabilities of all symbols at the position of a target."""
        probs, known = self.distribution(self.history(store, place, carry_context))
        log_probs: Array = self._log(probs[None], known[None])[0]
        return log_probs

    def history(
        self, store: TokenStore, place: int, carry_context: bool
    ) -> Int64[np.ndarray, " read"]:
        """Return the ids before a target on which its probability depends, in order."""
        begin = 0 if carry_context else place - int(store.places[place])
        width = self.options.length + max(self.options.order - 1, 1)
        return store.ids[max(begin, place + 1 - width) : place + 1].astype(np.int64)

    def distribution(self, past: Int64[np.ndarray, " read"]) -> tuple[Array, Array]:
        """Return the probability of each symbol after some ids, and the context's statistics."""
        probs = np.full(self.vocabulary_size, 1 / self.vocabulary_size)
        known = np.zeros(3, np.int64)
        # ``places`` are the positions in the history where the last ``level`` ids occurred before.
        # The boundary that begins the text is context only: it is not counted as a symbol.
        places = np.arange(max(1, len(past) - self.options.length), len(past))
        for level in range(min(self.options.order, len(past) + 1)):
            if level:
                places = places[places >= level]
                places = places[past[places - level] == past[-level]]
            if not len(places):
                break
            counts = np.bincount(past[places], minlength=self.vocabulary_size)
            known[:] = level + 1, len(places), np.count_nonzero(counts)
            probs = self._shares(counts, known[1], known[2], probs)
        return probs, known

    def _log(self, probs: Array, known: Known) -> Array:
        """Return log-probabilities: uniform where the context was not seen in all orders needed."""
        orders = self.options.order if self.options.discount is None else 1
        with np.errstate(divide="ignore"):
            logs = np.asarray(np.log(probs))
        logs[known[:, 0] < orders] = -np.log(self.vocabulary_size)
        return logs

    def _shares(self, count: Array, total: Array, followers: Array, lower: Array) -> Array:
        """Return the probability by the counts of one order, given that by the order below."""
        discount = self.options.discount
        if discount is None:
            return np.asarray(count / total)
        left = discount * followers * lower
        return np.asarray((np.maximum(count - discount, 0) + left) / total)

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        return self._read(store, carry_context)[0].copy()

    def contexts(self, store: TokenStore, carry_context: bool = False) -> Known:
        """Return the statistics of every target's context, as in the state of ``step``."""
        return self._read(store, carry_context)[1]

    @property
    def num_context_features(self) -> int:
        """Number of columns that ``context_features`` returns."""
        return self.options.order + 1

    def context_features(self, known: Known) -> Float[np.ndarray, "batch features"]:
        """Return the features of contexts for the gate of a mixture.

        One feature per length 1 to ``order`` - 1 of the context: 1 if it was seen before, else 0;
        then ln n and ln d of the highest order seen, or 0.
        """
        seen = known[:, :1] > np.arange(1, self.options.order)
        return np.concatenate([seen, np.log(np.maximum(known[:, 1:], 1))], axis=1)

    def _read(self, store: TokenStore, carry_context: bool) -> tuple[Array, Known]:
        """Return the log-probability of every target, and the statistics of its context."""
        last = self._last
        if last is not None and last[0] is store and last[1] == carry_context:
            return last[2], last[3]
        probs = np.full(store.num_targets, 1 / self.vocabulary_size)
        known = np.zeros((store.num_targets, 3), np.int64)
        for level, (places, *counts) in enumerate(self._counts(store, carry_context), 1):
            count, total, followers = counts
            if self.options.discount is not None or level == self.options.order:
                probs[places] = self._shares(count, total, followers, probs[places])
            known[places] = np.stack([np.full(len(places), level), total, followers], axis=1)
        scores = self._log(probs, known)
        self._last = store, carry_context, scores, known
        return scores, known

    def _counts(
        self, store: TokenStore, carry_context: bool
    ) -> Iterator[tuple[Places, Places, Places, Places]]:
        """Yield, for each order, the targets whose contexts were seen before, and c, n and d.

        Vectorised over all targets: contexts and pairs are numbered so that equal ones have equal
        numbers, and counting equal numbers within a window of positions is a search in a sorted
        array of (number, position).
        """
        targets, ids = store.targets.astype(np.int64), store.ids.astype(np.int64)
        size, length = len(targets), self.options.length
        places = np.arange(size)
        begins, ends = np.zeros(size, np.int64), np.full(size, size)
        if not carry_context:
            begins = np.repeat(store.offsets[:-1] - 1, store.target_counts)
            ends = np.repeat(store.offsets[1:] - 2, store.target_counts)
        oldest, until = np.maximum(places - length, begins), np.minimum(places + length, ends)
        contexts = np.zeros(size, np.int64)
        for level in range(self.options.order):
            check_deadline()
            if level:
                # A context that occurs only once was never seen before; nor were longer ones.
                kept = np.flatnonzero(np.bincount(contexts, minlength=1)[contexts] > 1)
                kept = kept[places[kept] - level + 1 >= begins[places[kept]]]
                longer = contexts[kept] * self.vocabulary_size + ids[places[kept] - level + 1]
                places, contexts = places[kept], _numbered(longer)
            pairs = _numbered(contexts * self.vocabulary_size + targets[places])
            total = _earlier_equals(contexts, places, oldest[places], size)
            count = _earlier_equals(pairs, places, oldest[places], size)
            # d counts distinct pairs in the window: each pair counts from its position until it
            # leaves the window, or until the next equal pair, which then counts in its place.
            counted_until = np.minimum(until[places], _next_equal(pairs, places, size))
            keys = contexts * (size + 1) + places
            gone = np.searchsorted(np.sort(contexts * (size + 1) + counted_until), keys)
            followers = np.searchsorted(np.sort(keys), keys) - gone
            seen = np.flatnonzero(total)
            yield places[seen], count[seen], total[seen], followers[seen]


def _numbered(values: Places) -> Places:
    """Return a number from 0 on for each value, equal for equal values."""
    numbers: Places = np.unique(values, return_inverse=True)[1]
    return numbers


def _earlier_equals(values: Places, places: Places, oldest: Places, size: int) -> Places:
    """Return, for each value, how many equal ones are at positions from ``oldest`` to its own.

    Args:
        values: Non-negative numbers, small enough to be multiplied by ``size`` in 64 bits.
        places: The position of each value, ascending.
        oldest: The first position that counts for each value.
        size: A number above all positions.
    """
    keys = values * (size + 1) + places
    ordered = np.sort(keys)  # By value, then by position.
    before_oldest = np.searchsorted(ordered, values * (size + 1) + oldest)
    equals: Places = np.searchsorted(ordered, keys) - before_oldest
    return equals


def _next_equal(values: Places, places: Places, size: int) -> Places:
    """Return the position of the next equal value after each; ``size`` if there is none."""
    order = np.argsort(values, kind="stable")
    following = np.full(len(values), size)
    same = values[order[:-1]] == values[order[1:]]
    following[order[:-1][same]] = places[order[1:]][same]
    return following
