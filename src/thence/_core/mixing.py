"""Context mixing by the compiled core; ``mixing.c`` says how."""

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Float32, Float64, Int32, Int64

N = ctypes.c_int32
ARRAYS: Mapping[str, type] = {
    "starts": np.int32, "nodes": np.int32, "bits": np.uint8, "children": np.int32,
    "ranges": np.int32, "ranks": np.int32, "next": np.uint8, "evidence": np.uint8,
    "separators": np.uint8, "slots": np.uint8, "probs": np.float32, "counts": np.float32,
    "places": np.int32, "match_probs": np.float32, "match_counts": np.float32,
    "weights": np.float32, "final_weights": np.float32, "maps": np.float32, "learned": np.int64,
}  # fmt: skip
"""The arrays of a model and their dtypes, in the order of the struct."""


class Mixing(ctypes.Structure):
    """A model: the struct ``Mixing`` of ``mixing.h``."""

    _fields_ = (
        *((name, N) for name in ("symbols", "models", "inputs")),
        *((name, N) for name in ("slot_bits", "match_bits", "map_bits")),
        *((name, Pointer) for name in ARRAYS),
    )


@cache
def _c(name: str) -> Callable[..., int]:
    """Return a function of ``mixing.c``."""
    arguments: dict[str, tuple[Any, ...]] = {
        "mixing_read": (
            Pointer, Pointer, Size, Size, Size, Pointer, Size, N, Pointer, Pointer,
        ),
        "mixing_next": (Pointer, Pointer, Size, Pointer, Size, Pointer, Pointer),
        "mixing_log_odds": (
            Pointer, Pointer, Pointer, Size, Pointer, Size, Pointer, Pointer,
        ),
    }  # fmt: skip
    found: Callable[..., int] = function(name, *arguments[name])
    return found


class MixingCore:
    """The arrays of a context-mixing model in C, which change when it learns.

    Args:
        arrays: All of ``ARRAYS``, with the shapes that ``mixing.h`` gives.
        models: Number of other models whose predictions are inputs (M).
    """

    def __init__(self, arrays: Mapping[str, Any], models: int) -> None:
        self.arrays = {name: arrays[name] for name in ARRAYS}
        inputs = arrays["weights"].shape[1]
        sizes = (arrays["slots"], arrays["places"][0], arrays["maps"][0])
        bits = [len(array).bit_length() - 1 for array in sizes]
        places = [address(self.arrays[name], dtype) for name, dtype in ARRAYS.items()]
        self.symbols = len(arrays["ranks"])
        self.model = Mixing(self.symbols, models, inputs, *bits, *places)
        self._address = ctypes.addressof(self.model)

    def read(
        self,
        text: Int32[np.ndarray, " symbols"],
        begin: int,
        end: int,
        carry_context: bool,
        history: Int32[np.ndarray, " history"],
        learn: bool,
        others: Float32[np.ndarray, " decisions*models"],
    ) -> Float64[np.ndarray, " targets"]:
        """Return the log-probabilities of ``text[begin:end]``, in nats.

        Args:
            text: Symbols; those before ``begin`` are context.
            begin: Index of the first target, 1 or later.
            end: Index after the last target.
            carry_context: Whether context reaches across boundaries.
            history: The text that the match model points into; for learning, ``text`` itself.
            learn: Whether to learn from each symbol after it was scored.
            others: Log-odds of bit 1 by each other model, for each binary decision of each target.
        """
        starts, read = self.arrays["starts"], text[begin:end]
        if len(others) != self.model.models * int((starts[read + 1] - starts[read]).sum()):
            raise ValueError("the other models say too little, or too much")
        found = np.empty(end - begin)
        low = 0 if carry_context else -1
        arguments = (address(text, np.int32), begin, end, low)
        past = (address(history, np.int32), len(history))
        odds = address(others, np.float32)
        if _c("mixing_read")(self._address, *arguments, *past, learn, odds, found.ctypes.data):
            raise ValueError("symbols are out of range, or arrays of other sizes")
        return found

    def next(
        self,
        text: Int32[np.ndarray, " symbols"],
        history: Int32[np.ndarray, " history"],
        sums: Float64[np.ndarray, "models vocab+1"],
    ) -> Float64[np.ndarray, " vocab"]:
        """Return the log-probability of every symbol after a text; see ``mixing_next``."""
        if sums.shape != (self.model.models, self.symbols + 1):
            raise ValueError("the other models say too little, or too much")
        found = np.empty(self.symbols)
        past = (address(history, np.int32), len(history))
        given = (address(text, np.int32), len(text), *past, address(sums, np.float64))
        if _c("mixing_next")(self._address, *given, found.ctypes.data):
            raise ValueError("symbols are out of range, or arrays of other sizes")
        return found

    def log_odds(
        self,
        log_probs: Float32[np.ndarray, "rows vocab"],
        targets: Int32[np.ndarray, " rows"],
        offsets: Int64[np.ndarray, " rows"],
        log_odds: Float32[np.ndarray, " decisions*models"],
        models: int,
        number: int,
    ) -> None:
        """Write a model's log-odds of each binary decision of some targets into ``log_odds``.

        Args:
            log_probs: The model's distribution over symbols at each target, in nats.
            targets: The symbols that came.
            offsets: Index of the first decision of each target.
            log_odds: The log-odds of all models for all decisions; this model's column is written.
            models: Number of models.
            number: Index of this model.
        """
        sums = np.empty(self.symbols + 1)
        given = (address(log_probs, np.float32), address(targets, np.int32), len(targets))
        there = (address(offsets, np.int64), models, sums.ctypes.data)
        place = address(log_odds, np.float32) + 4 * number
        if _c("mixing_log_odds")(self._address, *given, *there, place):
            raise ValueError("symbols are out of range")
