"""Bigram counts with add-k smoothing: how often each symbol followed each other one.

    P(w | v) = (c(v, w) + k) / (c(v) + k V)

with c(v, w) how often w came right after v (``counts`` at key v V + w), c(v) its sum over w
(``totals``), and V the vocabulary size. With k = 0 this is the maximum-likelihood estimate: an
unseen pair has probability zero, so its log-probability is minus infinity; after an unseen context
each symbol has probability 1 / V. The larger k, the more uniform.

Source: G. Lidstone 1920 (add k); P. S. Laplace 1812 (k = 1). See S. Chen and J. Goodman 1999, "An
empirical study of smoothing techniques for language modeling", section 2.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thence.array_types import Float, Integer
from thence.models.base import Array
from thence.settings import NonNegativeFloat, Settings
from thence.tokens import TokenStore


@dataclass(frozen=True)
class BigramCountsOptions(Settings):
    """Settings of the ``bigram-counts`` model."""

    add_k: NonNegativeFloat = 1.0
    """Number added to every count: with 0 unseen pairs are impossible, larger is more uniform."""


class BigramCounts:
    """Counts of symbol pairs, stored sparsely so that vocabularies of words fit.

    Args:
        options: The smoothing.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: BigramCountsOptions, vocabulary_size: int) -> None:
        self.options = options
        self.vocabulary_size = vocabulary_size
        self._set_counts(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def _set_counts(
        self, keys: Integer[np.ndarray, " pairs"], counts: Integer[np.ndarray, " pairs"]
    ) -> None:
        self._keys, self._counts = keys, counts
        contexts = keys // self.vocabulary_size
        self._totals = np.bincount(contexts, counts, self.vocabulary_size)
        self._row_starts = np.searchsorted(contexts, np.arange(self.vocabulary_size + 1))

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Count every pair of neighbouring symbols.

        ``carry_context`` makes no difference: the context of a document's first symbol is the
        boundary, whatever is before it.
        """
        keys, counts = np.unique(self._pairs(store), return_counts=True)
        self._set_counts(keys, counts)
        return None

    def _pairs(self, store: TokenStore) -> Integer[np.ndarray, " targets"]:
        contexts = store.ids[:-1].astype(np.int64)
        pairs: Integer[np.ndarray, " targets"] = contexts * self.vocabulary_size + store.targets
        return pairs

    def start(self, batch_size: int) -> None:
        """Return the empty state: the id passed to ``step`` is the whole context."""
        return

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: None
    ) -> tuple[Float[np.ndarray, "batch vocab"], None]:
        """Return the log-probabilities of the next symbol after each id."""
        counts = np.zeros((len(ids), self.vocabulary_size))
        for row, index in enumerate(ids.tolist()):
            pairs = slice(self._row_starts[index], self._row_starts[index + 1])
            counts[row, self._keys[pairs] % self.vocabulary_size] = self._counts[pairs]
        return self._log_probability(counts, self._totals[ids][:, None]), None

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        pairs = self._pairs(store)
        place = np.minimum(np.searchsorted(self._keys, pairs), max(len(self._keys) - 1, 0))
        counts = np.zeros(len(pairs))
        if len(self._keys):
            counts = np.where(self._keys[place] == pairs, self._counts[place], 0)
        return self._log_probability(counts, self._totals[store.ids[:-1]])

    def counts_after(self, context: int, word: int) -> tuple[int, int, int]:
        """Return the counts c(v, w) and c(v), and how many different symbols followed v."""
        first, last = self._row_starts[context : context + 2].tolist()
        pair = context * self.vocabulary_size + word
        place = first + int(np.searchsorted(self._keys[first:last], pair))
        seen = place < last and int(self._keys[place]) == pair
        count = int(self._counts[place]) if seen else 0
        return count, int(self._totals[context]), last - first

    def _log_probability(self, counts: Array, totals: Array) -> Array:
        k, size = self.options.add_k, self.vocabulary_size
        if k == 0:  # An unseen context has the uniform distribution.
            counts, totals = np.where(totals > 0, counts, 1), np.where(totals > 0, totals, size)
        with np.errstate(divide="ignore"):
            return np.log(counts + k) - np.log(totals + k * size)

    def tensors(self) -> dict[str, Array]:
        """Return the pair keys (context id x V + next id) and their counts."""
        return {"keys": self._keys, "counts": self._counts}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set the keys and counts; see ``tensors``."""
        if set(tensors) != {"keys", "counts"}:
            raise ValueError(f"expected keys and counts, found {', '.join(sorted(tensors))}")
        keys, counts = tensors["keys"], tensors["counts"]
        if any(array.dtype.kind != "i" or array.ndim != 1 for array in (keys, counts)):
            raise ValueError("keys and counts are not rows of integers")
        ascending = bool(np.all(np.diff(keys, prepend=-1) > 0))
        if not ascending or (len(keys) and keys[-1] >= self.vocabulary_size**2):
            raise ValueError("the keys do not fit the vocabulary")
        if keys.shape != counts.shape or np.any(counts < 1):
            raise ValueError("the counts do not fit the keys")
        self._set_counts(keys, counts)

    def num_parameters(self) -> int:
        """Return the number of distinct pairs seen."""
        return len(self._keys)
