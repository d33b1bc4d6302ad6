"""The cache: what was said lately is likely to be said again.

    p(w | history) = c_L(h, w) / n_L(h)      h the last N - 1 symbols (``order`` N)

with c_L(h, w) how often w followed h among the last L symbols (``length``), and n_L(h) their sum.
Where they say nothing (no history yet, or h is not in it) the distribution is uniform. With a
``discount`` D every order backs off to the one below, and the lowest to the uniform distribution:

    p_N(w | h) = (max(c_L(h, w) - D, 0) + D d_L(h) p_(N-1)(w | h')) / n_L(h)

with d_L(h) how many different symbols followed h, and h' without its first symbol. A cache learns
nothing from the train text and is of use only mixed with a model that does, on running text.

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
"""What is known of a context: how many orders it was seen in, and n and d of the highest one."""
Recent = tuple[Int64[np.ndarray, "batch length"], Known]
Places = Int64[np.ndarray, " places"]


@dataclass(frozen=True)
class CacheOptions(Settings):
    """Settings of the ``cache`` model."""

    length: PositiveInt = 500
    """Symbols that are remembered (L)."""
    order: Annotated[int, Range(ge=1, le=16)] = 1
    """1 counts symbols, 2 counts what followed the last symbol, N what followed the last N - 1."""
    discount: Annotated[float, Range(gt=0, lt=1)] | None = None
    """What each count gives up to the order below (D); without it there is no back-off."""


class LearnsNothing:
    """What all caches have in common: they have learned nothing, and consist of what they read."""

    adapting: tuple[str, ...] = ("cache",)
    """The parts that adapt, by name: the cache itself."""

    def static(self) -> None:
        """Return None: without the text that it remembers nothing is left of a cache."""

    def tensors(self) -> dict[str, Array]:
        """Return nothing: nothing is learned."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Check that there is nothing to set."""
        if tensors:
            raise ValueError(f"a cache has no tensors, but found {', '.join(sorted(tensors))}")

    def num_parameters(self) -> int:
        """Return zero; a network whose states are remembered is a member of its own."""
        return 0


class Cache(LearnsNothing):
    """Counts of the recent past.

    Args:
        options: How far back, and of what.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: CacheOptions, vocabulary_size: int) -> None:
        self.options = options
        self.vocabulary_size = vocabulary_size
        # The last text read, since a mixture asks for its scores and its contexts.
        self._last: tuple[TokenStore, bool, Array, Known] | None = None

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Learn nothing: a cache knows only the text that it reads."""
        return None

    def start(self, batch_size: int) -> Recent:
        """Return the state before any text: no ids were read (-1), and nothing is known."""
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
        rows = [self.after(past[np.argmax(past >= 0) :]) for past in recent]
        probs, known = np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])
        return self._log(probs, known), (recent, known)

    def log_probs_at(
        self, store: TokenStore, place: int, carry_context: bool
    ) -> Float[np.ndarray, " vocab"]:
        """Return the log-probability of all that could stand at a target's place."""
        probs, known = self.after(self.past(store, place, carry_context))
        log_probs: Array = self._log(probs[None], known[None])[0]
        return log_probs

    def past(
        self, store: TokenStore, place: int, carry_context: bool
    ) -> Int64[np.ndarray, " read"]:
        """Return the ids before a target that matter to it, the last one last."""
        begin = 0 if carry_context else place - int(store.places[place])
        width = self.options.length + max(self.options.order - 1, 1)
        return store.ids[max(begin, place + 1 - width) : place + 1].astype(np.int64)

    def after(self, past: Int64[np.ndarray, " read"]) -> tuple[Array, Array]:
        """Return the probability of each symbol after those read, and what is known of them."""
        probs = np.full(self.vocabulary_size, 1 / self.vocabulary_size)
        known = np.zeros(3, np.int64)
        # The boundary before the text follows nothing: it is context, and not counted.
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
        """Return the logarithms of probabilities, uniform where the counts say nothing."""
        orders = self.options.order if self.options.discount is None else 1
        with np.errstate(divide="ignore"):
            logs = np.asarray(np.log(probs))
        logs[known[:, 0] < orders] = -np.log(self.vocabulary_size)
        return logs

    def _shares(self, count: Array, total: Array, followers: Array, lower: Array) -> Array:
        """Return the probability in one order, from that in the order below."""
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
        """Return what is known of the context of every target, as in the state of ``step``."""
        return self._read(store, carry_context)[1]

    @property
    def num_context_features(self) -> int:
        """Return how many numbers ``context_features`` gives of each context."""
        return self.options.order + 1

    def context_features(self, known: Known) -> Float[np.ndarray, "batch features"]:
        """Return what a gate sees of each context.

        It is 1 for each number of last symbols, from one on, that was seen before, and the
        logarithms of n and d of the highest order seen; all zero where nothing was read.
        """
        seen = known[:, :1] > np.arange(1, self.options.order)
        return np.concatenate([seen, np.log(np.maximum(known[:, 1:], 1))], axis=1)

    def _read(self, store: TokenStore, carry_context: bool) -> tuple[Array, Known]:
        """Return the score of every target, and what is known of its context."""
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
        """Yield by order the places whose contexts were seen before, and their c, n and d."""
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
                # What occurs only once cannot have been seen before, nor can what contains it.
                kept = np.flatnonzero(np.bincount(contexts, minlength=1)[contexts] > 1)
                kept = kept[places[kept] - level + 1 >= begins[places[kept]]]
                longer = contexts[kept] * self.vocabulary_size + ids[places[kept] - level + 1]
                places, contexts = places[kept], _numbered(longer)
            pairs = _numbered(contexts * self.vocabulary_size + targets[places])
            total = _earlier_equals(contexts, places, oldest[places], size)
            count = _earlier_equals(pairs, places, oldest[places], size)
            # Of several pairs that are equal, each is counted until the next one is read.
            counted_until = np.minimum(until[places], _next_equal(pairs, places, size))
            keys = contexts * (size + 1) + places
            gone = np.searchsorted(np.sort(contexts * (size + 1) + counted_until), keys)
            followers = np.searchsorted(np.sort(keys), keys) - gone
            seen = np.flatnonzero(total)
            yield places[seen], count[seen], total[seen], followers[seen]


def _numbered(values: Places) -> Places:
    """Return numbers from 0 on, equal where the values are."""
    numbers: Places = np.unique(values, return_inverse=True)[1]
    return numbers


def _earlier_equals(values: Places, places: Places, oldest: Places, size: int) -> Places:
    """Return how many of the values at places from ``oldest`` to before each place equal it.

    Args:
        values: Small numbers.
        places: Where they stand, in order.
        oldest: The first place that counts, for each.
        size: More than the largest place.
    """
    keys = values * (size + 1) + places
    ordered = np.sort(keys)  # Each value's places in order.
    before_oldest = np.searchsorted(ordered, values * (size + 1) + oldest)
    equals: Places = np.searchsorted(ordered, keys) - before_oldest
    return equals


def _next_equal(values: Places, places: Places, size: int) -> Places:
    """Return the place of the next equal value after each; ``size`` where there is none."""
    order = np.argsort(values, kind="stable")
    following = np.full(len(values), size)
    same = values[order[:-1]] == values[order[1:]]
    following[order[:-1][same]] = places[order[1:]][same]
    return following
