"""Queries of n-gram models by the compiled core; ``ngram.c`` says how."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Float32, Float64, Int32, Int64

N = ctypes.c_int32
Table = tuple[
    Int64[np.ndarray, " ngrams"], Float32[np.ndarray, " ngrams"], Float32[np.ndarray, " contexts"]
]
"""Keys (number of the prefix * V + last word, ascending), log-probabilities and log back-off
weights (in nats) of one order."""


class Order(ctypes.Structure):
    """One order of a model: the struct ``Order`` of ``core.h``."""

    _fields_ = (
        ("nodes", Pointer), ("leaves", Pointer), ("size", Size), ("slots", Pointer), ("bits", N),
    )  # fmt: skip


@cache
def _c(name: str) -> Callable[..., int]:
    """Return a function of ``ngram.c``."""
    model = (Pointer, N, Size)
    arguments: dict[str, tuple[Any, ...]] = {
        "ngram_build": (Pointer, Pointer, Pointer, Size, Size, Size, Pointer, Pointer, Pointer),
        "ngram_many": (Pointer, Size),
        "ngram_index": (Pointer, Pointer, Size, Pointer),
        "ngram_score": (*model, Pointer, Size, Pointer, Size, Pointer, Pointer),
        "ngram_advance": (*model, Pointer, Size, Size, Pointer),
        "ngram_read": (*model, Pointer, Size, Pointer, Pointer),
        "ngram_distributions": (*model, Pointer, Size, Pointer),
    }
    result = Size if name == "ngram_many" else N
    found: Callable[..., int] = function(name, *arguments[name], result=result)
    return found


FREE = (1 << 32) - 1
"""The value of an empty slot of a hash table of n-grams."""
NODE, LEAF = np.dtype("u4, f4, f4, u4"), np.dtype("u4, f4")


class NGramTables:
    """An n-gram model as a trie in C, a copy of its tables.

    Args:
        tables: The tables of orders 1 to N; the keys of order 1 are all V ids.
        vocabulary_size: Number of ids (V).

    Raises:
        TypeError: If arrays have other dtypes or lengths.
        ValueError: If keys do not ascend or are out of range, or a logarithm is NaN.
    """

    def __init__(self, tables: Sequence[Table], vocabulary_size: int) -> None:
        self.order, self.vocabulary_size = len(tables), vocabulary_size
        self.orders = (Order * len(tables))()
        self._kept = []
        contexts, below = 1, None
        for level, (keys, log_probs, log_backoffs) in enumerate(tables):
            is_last = level == len(tables) - 1
            size = len(keys)
            if (len(log_probs), len(log_backoffs)) != (size, 0 if is_last else size):
                raise TypeError("the arrays of an order differ in length")
            has_leaves = is_last and level > 0
            made = np.zeros(size + 1, LEAF if has_leaves else NODE)
            place = made.ctypes.data
            nodes, leaves = (None, place) if has_leaves else (place, None)
            backoffs = None if is_last else address(log_backoffs, np.float32)
            arrays = address(keys, np.int64), address(log_probs, np.float32), backoffs
            if _c("ngram_build")(*arrays, size, contexts, vocabulary_size, below, nodes, leaves):
                raise ValueError(f"the table of order {level + 1} does not fit")
            self._kept.append(made)
            self.orders[level] = Order(nodes, leaves, size)
            if below is not None:
                self._index(self.orders[level], below, contexts)
            contexts, below = size, nodes
        self.model = (ctypes.addressof(self.orders), self.order, vocabulary_size)

    def _index(self, order: Order, below: int, contexts: int) -> None:
        """Add a hash table of the followers of contexts that have too many for a binary search."""
        many = _c("ngram_many")(below, contexts)
        if not many:
            return
        order.bits = (3 * many // 2).bit_length()
        slots = np.full(1 << order.bits, FREE, np.uint32)
        order.slots = slots.ctypes.data
        self._kept.append(slots)
        if _c("ngram_index")(ctypes.addressof(order), below, contexts, order.slots):
            raise ValueError("there are too many n-grams of an order")

    def score(
        self,
        ids: Int32[np.ndarray, " positions"],
        offsets: Int64[np.ndarray, " _"],
        contexts: bool = False,
    ) -> tuple[Float64[np.ndarray, " targets"], Int64[np.ndarray, "targets order-1"] | None]:
        """Return the log-probability of every target in nats, and optionally the state before each.

        Args:
            ids: The text; all ids but the first are targets.
            offsets: Index of the first target of each document, and one past the last; the
                documents must cover the whole text.
            contexts: Whether to return the states, too.
        """
        if not len(ids) or offsets[:1].tolist() != [1] or offsets[-1] != len(ids):
            raise ValueError("the documents are not the whole text")
        log_probs = np.empty(len(ids) - 1)
        states = np.empty((len(ids) - 1, self.order - 1), np.int64) if contexts else None
        self._call(
            "ngram_score",
            address(ids, np.int32),
            len(ids),
            address(offsets, np.int64),
            len(offsets) - 1,
            log_probs.ctypes.data,
            None if states is None else states.ctypes.data,
        )
        return log_probs, states

    def advance(
        self, ids: Int64[np.ndarray, "batch time"], states: Int64[np.ndarray, "batch order-1"]
    ) -> Int64[np.ndarray, "batch order-1"]:
        """Return the states after reading each row of ids from left to right."""
        ids, after = np.ascontiguousarray(ids, np.int64), np.array(states, np.int64, order="C")
        if ids.shape[:1] != after.shape[:1] or after.shape[1:] != (self.order - 1,):
            raise ValueError("there is a state for each row of ids")
        self._call("ngram_advance", ids.ctypes.data, *ids.shape, after.ctypes.data)
        return after

    def read(
        self, ids: Int64[np.ndarray, " batch"], states: Int64[np.ndarray, "batch order-1"]
    ) -> tuple[Float64[np.ndarray, " batch"], Int64[np.ndarray, "batch order-1"]]:
        """Return the log-probability of one id after each state, and the states after it."""
        ids, after = np.ascontiguousarray(ids, np.int64), np.array(states, np.int64, order="C")
        if after.shape != (len(ids), self.order - 1):
            raise ValueError("there is a state for each id")
        log_probs = np.empty(len(ids))
        self._call(
            "ngram_read", ids.ctypes.data, len(ids), after.ctypes.data, log_probs.ctypes.data
        )
        return log_probs, after

    def distributions(
        self, states: Int64[np.ndarray, "batch order-1"]
    ) -> Float64[np.ndarray, "batch vocab"]:
        """Return the log-probability of every word after each state, in nats."""
        states = np.ascontiguousarray(states, np.int64)
        if states.shape[1:] != (self.order - 1,):
            raise ValueError("a state has a number for each length of context")
        log_probs = np.empty((len(states), self.vocabulary_size))
        self._call("ngram_distributions", states.ctypes.data, len(states), log_probs.ctypes.data)
        return log_probs

    def _call(self, name: str, *arguments: Any) -> None:
        if _c(name)(*self.model, *arguments):
            raise ValueError("ids or states are out of range")
