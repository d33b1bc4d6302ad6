"""The n-gram model: the tables of a smoothed model, asked."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int64, Integer

from thence.errors import SettingError
from thence.models.interface import Array
from thence.models.ngram.counting import count_ngrams, depths, find
from thence.models.ngram.interpolation import interpolate
from thence.models.ngram.options import NGramOptions
from thence.models.ngram.smoothing import OrderTable, smooth
from thence.tokens import TokenStore

Numbers = Int64[np.ndarray, "batch order-1"]


class NGram:
    """A smoothed n-gram model.

    Args:
        options: Order and smoothing.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: NGramOptions, vocabulary_size: int) -> None:
        self.options = options
        self.vocabulary_size = vocabulary_size
        uniform = np.full(vocabulary_size, -np.log(vocabulary_size), np.float32)
        nothing = np.zeros(vocabulary_size, np.float32)
        self.tables = [OrderTable(np.arange(vocabulary_size), uniform, nothing)]

    @property
    def is_probability(self) -> bool:
        """Whether the scores sum to one; those of stupid back-off do not."""
        return self.options.smoothing != "stupid-backoff"

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> None:
        """Count a store and smooth the counts.

        Raises:
            SettingError: If the smoothing learns from dev and there is none.
        """
        options, size = self.options, self.vocabulary_size
        counts = count_ngrams(store, options.order, size, carry_context)
        if options.smoothing != "jelinek-mercer":
            self.tables, self.discounts = smooth(
                counts, size, options.smoothing, options.add_k, carry_context
            )
        elif dev is None:
            raise SettingError(
                "Jelinek-Mercer smoothing learns its weights on the dev split, which is empty; "
                "use another --split or another --smoothing."
            )
        else:
            self.tables, _ = interpolate(counts, size, dev, carry_context)

    def start(self, batch_size: int) -> Numbers:
        """Return the state before any text: no n-gram ends there."""
        return np.full((batch_size, len(self.tables) - 1), -1)

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: Numbers
    ) -> tuple[Float[np.ndarray, "batch vocab"], Numbers]:
        """Read one id per row; return the log-probabilities of the next and the new state.

        The state holds the number of the n-gram of each order that ends at the last id, or -1.
        """
        numbers = np.full_like(state, -1)
        log_probs = np.tile(self.tables[0].log_probs.astype(np.float64), (len(ids), 1))
        for level in range(len(self.tables) - 1):
            if level == 0:
                numbers[:, 0] = ids
            else:
                keys = self.tables[level].keys
                numbers[:, level] = find(keys, state[:, level - 1], ids, self.vocabulary_size)
            self._extend(log_probs, level, numbers[:, level])
        return log_probs, numbers

    def _extend(self, log_probs: Array, level: int, contexts: Int64[np.ndarray, " batch"]) -> None:
        """Let the contexts of one order overrule the shorter ones, in place."""
        table, longer = self.tables[level], self.tables[level + 1]
        size = self.vocabulary_size
        starts = np.searchsorted(longer.keys, contexts * size)
        ends = np.searchsorted(longer.keys, (contexts + 1) * size)
        for row in np.flatnonzero(contexts >= 0):
            log_probs[row] += table.log_backoffs[contexts[row]]
            seen = slice(starts[row], ends[row])
            log_probs[row, longer.keys[seen] % size] = longer.log_probs[seen]

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        words = store.ids[1:].astype(np.int64)
        reach = None if carry_context else depths(store)
        contexts = store.ids[:-1].astype(np.int64)  # the number of the context ending before each
        log_probs = self.tables[0].log_probs.astype(np.float64)[words]
        for level in range(1, len(self.tables)):
            found = find(self.tables[level].keys, contexts, words, self.vocabulary_size)
            backed = np.where(contexts >= 0, self.tables[level - 1].log_backoffs[contexts], 0)
            seen = found >= 0
            log_probs += backed
            log_probs[seen] = self.tables[level].log_probs[found[seen]]
            contexts = np.concatenate([[-1], found[:-1]])
            if reach is not None:
                contexts[reach[:-1] < level] = -1
        return log_probs

    def tensors(self) -> dict[str, Array]:
        """Return keys, log-probabilities and back-off weights of each order."""
        named: dict[str, Array] = {}
        for number, table in enumerate(self.tables, start=1):
            named[f"{number}.keys"] = table.keys
            named[f"{number}.log_probs"] = table.log_probs
            named[f"{number}.log_backoffs"] = table.log_backoffs
        return named

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Take back the tables."""
        parts = ("keys", "log_probs", "log_backoffs")
        orders = range(1, self.options.order + 1)
        if set(tensors) != {f"{order}.{part}" for order in orders for part in parts}:
            raise ValueError(
                f"found {', '.join(sorted(tensors))} for a model of order {orders[-1]}"
            )
        tables = [OrderTable(*(tensors[f"{order}.{part}"] for part in parts)) for order in orders]
        contexts = 1
        for order, table in zip(orders, tables, strict=True):
            _check_table(order, table, contexts * self.vocabulary_size, order == orders[-1])
            contexts = len(table.keys)
        self.tables = tables

    def num_parameters(self) -> int:
        """Return how many n-grams the model holds."""
        return sum(len(table.keys) for table in self.tables)


def _check_table(order: int, table: OrderTable, key_limit: int, is_last: bool) -> None:
    """Refuse arrays that are not one order of a model.

    Raises:
        ValueError: If types, lengths or keys do not fit.
    """
    kinds = [array.dtype.kind for array in (table.keys, table.log_probs, table.log_backoffs)]
    shapes = [table.keys.shape, table.log_probs.shape, table.log_backoffs.shape]
    size = len(table.keys)
    if kinds != ["i", "f", "f"] or shapes != [(size,), (size,), (0 if is_last else size,)]:
        raise ValueError(f"the arrays of order {order} differ in type or length")
    ascending = bool(np.all(np.diff(table.keys, prepend=-1) > 0))
    if not ascending or (size and table.keys[-1] >= key_limit):
        raise ValueError(f"the keys of order {order} do not fit the vocabulary")
