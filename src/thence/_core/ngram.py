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
"""Keys, log-probabilities and log back-off weights of an order."""


class Order(ctypes.Structure):
    """One order of a model, as ``core.h`` has it."""

    _fields_ = (
        ("keys", Pointer), ("log_probs", Pointer), ("log_backoffs", Pointer), ("starts", Pointer),
        ("size", Size),
    )  # fmt: skip


@cache
def _c(name: str) -> Callable[..., int]:
    """Return a function of ``ngram.c``."""
    model = (Pointer, N, Size)
    arguments: dict[str, tuple[Any, ...]] = {
        "ngram_index": (Pointer, Size, Size, Size, Pointer),
        "ngram_score": (*model, Pointer, Size, Pointer, Size, Pointer, Pointer),
        "ngram_advance": (*model, Pointer, Size, Size, Pointer),
        "ngram_distributions": (*model, Pointer, Size, Pointer),
    }
    found: Callable[..., int] = function(name, *arguments[name])
    return found


class NGramTables:
    """The tables of a model and where what follows each context begins.

    Args:
        tables: Of orders 1 to N; the keys of order 1 are all V ids.
        vocabulary_size: Number of ids (V).

    Raises:
        TypeError: If arrays are of other types or lengths.
        ValueError: If keys do not ascend, or are out of range.
    """

    def __init__(self, tables: Sequence[Table], vocabulary_size: int) -> None:
        self.order, self.vocabulary_size = len(tables), vocabulary_size
        self.orders = (Order * len(tables))()
        self._kept: list[Any] = [tables]
        contexts = 1
        for level, (keys, log_probs, log_backoffs) in enumerate(tables):
            is_last = level == len(tables) - 1
            sizes = (len(log_probs), len(log_backoffs))
            if sizes != (len(keys), 0 if is_last else len(keys)):
                raise TypeError("the arrays of an order differ in length")
            order = self.orders[level]
            order.keys, order.size = address(keys, np.int64), len(keys)
            order.log_probs = address(log_probs, np.float32)
            order.log_backoffs = address(log_backoffs, np.float32)
            starts = np.empty(contexts + 1, np.uint32)
            self._kept.append(starts)
            if _c("ngram_index")(
                order.keys, len(keys), contexts, vocabulary_size, starts.ctypes.data
            ):
                raise ValueError(f"the keys of order {level + 1} do not fit")
            if level:
                self.orders[level - 1].starts = starts.ctypes.data
            contexts = len(keys)
        self._model = (ctypes.addressof(self.orders), self.order, vocabulary_size)

    def score(
        self,
        ids: Int32[np.ndarray, " positions"],
        offsets: Int64[np.ndarray, " _"] | None,
        contexts: bool = False,
    ) -> tuple[Float64[np.ndarray, " targets"], Int64[np.ndarray, "targets order-1"] | None]:
        """Return the log-probability of every target, and the state before each if asked for.

        Args:
            ids: The text; all but the first are targets.
            offsets: Place of the first target of each document, and one past the last; None:
                context is carried over the whole text.
            contexts: Whether to return the states too.
        """
        places = np.zeros(1, np.int64) if offsets is None else offsets
        if not len(ids) or not len(places):
            raise ValueError("there is a symbol before the first target")
        log_probs = np.empty(len(ids) - 1)
        states = np.empty((len(ids) - 1, self.order - 1), np.int64) if contexts else None
        self._call(
            "ngram_score",
            address(ids, np.int32),
            len(ids),
            address(places, np.int64),
            len(places) - 1,
            log_probs.ctypes.data,
            None if states is None else states.ctypes.data,
        )
        return log_probs, states

    def advance(
        self, ids: Int64[np.ndarray, "batch time"], states: Int64[np.ndarray, "batch order-1"]
    ) -> Int64[np.ndarray, "batch order-1"]:
        """Return the states after reading ids one after another."""
        ids, after = np.ascontiguousarray(ids, np.int64), np.array(states, np.int64, order="C")
        if ids.shape[:1] != after.shape[:1] or after.shape[1:] != (self.order - 1,):
            raise ValueError("there is a state for each row of ids")
        self._call("ngram_advance", ids.ctypes.data, *ids.shape, after.ctypes.data)
        return after

    def distributions(
        self, states: Int64[np.ndarray, "batch order-1"]
    ) -> Float64[np.ndarray, "batch vocab"]:
        """Return the log-probabilities of the next word after each state."""
        states = np.ascontiguousarray(states, np.int64)
        if states.shape[1:] != (self.order - 1,):
            raise ValueError("a state has a number for each length of context")
        log_probs = np.empty((len(states), self.vocabulary_size))
        self._call("ngram_distributions", states.ctypes.data, len(states), log_probs.ctypes.data)
        return log_probs

    def _call(self, name: str, *arguments: Any) -> None:
        if _c(name)(*self._model, *arguments):
            raise ValueError("ids or states are out of range")
