"""The cache: what was said lately is likely to be said again.

    order 1:  p(w | history) = c_L(w) / sum_v c_L(v)
    order 2:  p(w | history) = c_L(u, w) / sum_v c_L(u, v)      u the last symbol

with c_L the counts among the last L symbols (``length``). Where they say nothing (no history yet,
or the last symbol is not in it) the distribution is uniform. A cache learns nothing from the train
text and is of use only mixed with a model that does, on running text.

Source: R. Kuhn and R. De Mori 1990, "A cache-based natural language model for speech recognition".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from thence.array_types import Float, Int64, Integer
from thence.models.base import Array
from thence.models.memory_guard import check_memory
from thence.settings import PositiveInt, Settings
from thence.tokens import TokenStore

Recent = Int64[np.ndarray, "batch length"]


@dataclass(frozen=True)
class CacheOptions(Settings):
    """Settings of the ``cache`` model."""

    length: PositiveInt = 500
    """Symbols that are remembered (L)."""
    order: Literal[1, 2] = 1
    """1 counts symbols, 2 counts what followed the last symbol."""


class Cache:
    """Counts of the recent past.

    Args:
        options: How far back, and of what.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: CacheOptions, vocabulary_size: int) -> None:
        self.options = options
        self.vocabulary_size = vocabulary_size

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Learn nothing: a cache knows only the text that it reads."""
        return None

    def start(self, batch_size: int) -> Recent:
        """Return the state before any text: the last L + 1 ids read, -1 where there was none."""
        size = 8 * batch_size * (self.options.length + 1)
        check_memory(size, f"The last {self.options.length:,} symbols", "Use a shorter `length`.")
        return np.full((batch_size, self.options.length + 1), -1)

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: Recent
    ) -> tuple[Float[np.ndarray, "batch vocab"], Recent]:
        """Read one id per row; return the log-probabilities of the next and the new state."""
        recent = np.concatenate([state[:, 1:], ids[:, None].astype(np.int64)], axis=1)
        counts = np.zeros((len(ids), self.vocabulary_size))
        for row, past in enumerate(recent):
            # The boundary before the text follows nothing: it is context, and not counted.
            counted = past[:-1] >= 0 if self.options.order == 1 else past[:-1] == past[-1]
            counts[row] = np.bincount(past[1:][counted], minlength=self.vocabulary_size)
        return self._log_shares(counts, counts.sum(axis=1, keepdims=True)), recent

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        targets = store.targets.astype(np.int64)
        places = np.arange(len(targets))
        oldest = np.maximum(places - self.options.length, 0)
        if not carry_context:
            begins = np.repeat(store.offsets[:-1] - 1, store.target_counts)
            oldest = np.maximum(oldest, begins)
        if self.options.order == 1:
            return self._log_shares(_earlier_equals(targets, oldest), places - oldest)
        contexts = store.ids[:-1].astype(np.int64)
        pairs = contexts * self.vocabulary_size + targets
        return self._log_shares(_earlier_equals(pairs, oldest), _earlier_equals(contexts, oldest))

    def _log_shares(self, counts: Array, totals: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.asarray(np.log(counts / totals))
        shares[np.broadcast_to(totals == 0, shares.shape)] = -np.log(self.vocabulary_size)
        return shares

    @property
    def adapting(self) -> tuple[str, ...]:
        """Its name: it is made of what it reads."""
        return ("cache",)

    def static(self) -> None:
        """Return nothing: a cache that remembers no text says nothing."""

    def tensors(self) -> dict[str, Array]:
        """Return nothing: nothing is learned."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Check that there is nothing to set."""
        if tensors:
            raise ValueError(f"a cache has no tensors, but found {', '.join(sorted(tensors))}")

    def num_parameters(self) -> int:
        """Return zero."""
        return 0


def _earlier_equals(
    values: Int64[np.ndarray, " targets"], oldest: Int64[np.ndarray, " targets"]
) -> Int64[np.ndarray, " targets"]:
    """Return how many of the values from ``oldest`` up to each place, itself apart, equal it."""
    size = len(values)
    _, which = np.unique(values, return_inverse=True)
    keys = which * size + np.arange(size)  # Sorted: each value's places in order.
    ordered = np.sort(keys)
    before_oldest = np.searchsorted(ordered, which * size + oldest)
    equals: Int64[np.ndarray, " targets"] = np.searchsorted(ordered, keys) - before_oldest
    return equals
