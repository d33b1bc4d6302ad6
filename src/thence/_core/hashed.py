"""Queries of n-gram models in hash tables by the compiled core; ``hashed.c`` says how."""

import ctypes
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Int64, UInt8, UInt64

END = 1
"""Flag: score ``</s>`` after the words of a text; the same value as in ``hashed.c``."""
MAX_ORDER = 100
"""Largest order of a model; the same value as in ``core.h``."""
NO_FIT = "the context or a number of the model does not fit"


class Context(ctypes.Structure):
    """A model state: the last words, newest first, and the back-off weight of each context."""

    _fields_ = (
        ("length", ctypes.c_int32), ("words", ctypes.c_uint32 * MAX_ORDER),
        ("backoffs", ctypes.c_float * MAX_ORDER),
    )  # fmt: skip

    def become(self, other: "Context") -> None:
        """Copy another context into this one."""
        ctypes.memmove(ctypes.byref(self), ctypes.byref(other), ctypes.sizeof(Context))


class Found(ctypes.Structure):
    """The score of a word after a context: log10 probability, order of the n-gram, word id."""

    _fields_ = (("log_prob", ctypes.c_float), ("order", ctypes.c_int32), ("id", ctypes.c_uint32))
    FORM = "fiI"
    """The fields as a format of the module ``struct``, which unpacks many of them faster."""


Step = Callable[[Context, bytes, Context, Found | None], float]
"""See ``HashedNGrams.step``."""


class Slots(ctypes.Structure):
    """An open-addressing hash table: the struct ``Slots`` of ``slots.h``."""

    _fields_ = (
        ("slots", Pointer), ("buckets", ctypes.c_uint64), ("size", ctypes.c_uint64),
        ("stride", Size),
    )  # fmt: skip


class Hashed(ctypes.Structure):
    """A model: the struct ``Hashed`` of ``hashed.c``."""

    _fields_ = (
        ("words", Slots), ("unigrams", Pointer), ("longer", Pointer), ("V", Size),
        ("unigram_stride", Size), ("N", ctypes.c_int32), ("end", ctypes.c_uint32),
    )  # fmt: skip


class HashedTables:
    """A model in KenLM's hash tables, which are used in place, as in a mapped file.

    Args:
        words: Hash table from words to ids: the bytes of its slots, the number of buckets, and the
            bytes per slot.
        unigrams: The bytes of log10 probabilities and back-off weights, ``stride`` per id.
        longer: The tables of the n-grams of orders 2, 3 and so on, in the same form as ``words``.
        stride: Bytes per id in ``unigrams``.
        end: The id of ``</s>``.
    """

    def __init__(
        self,
        words: tuple[UInt8[np.ndarray, " bytes"], int, int],
        unigrams: UInt8[np.ndarray, " bytes"],
        longer: Sequence[tuple[UInt8[np.ndarray, " bytes"], int, int]],
        stride: int,
        end: int,
    ) -> None:
        self._longer = (Slots * len(longer))(*map(slots_of, longer))
        self._model = Hashed(
            slots_of(words), address(unigrams, np.uint8), ctypes.addressof(self._longer),
            len(unigrams) // stride, stride, len(longer) + 1, end,
        )  # fmt: skip
        self._kept = words, unigrams, longer
        self.place = ctypes.addressof(self._model)
        context, text = ctypes.POINTER(Context), (ctypes.c_char_p, Size, ctypes.c_int32)
        self._score: Callable[..., float]
        self._score = function("hashed_score", Pointer, context, *text, result=ctypes.c_float)
        self._words_of: Callable[..., int]
        self._words_of = function("hashed_words_of", Pointer, context, *text, Pointer, Size)
        places = Pointer, context, ctypes.c_char_p, context, ctypes.POINTER(Found)
        step = function("hashed_step", *places, result=ctypes.c_float)
        self.step: Step = partial(step, self.place)

    def score(self, context: Context, text: bytes, flags: int) -> float:
        """Return the log10 probability of a text after a context.

        Raises:
            ValueError: If the context is of another model.
        """
        found = self._score(self.place, context, text, len(text), flags)
        if found != found:
            raise ValueError(NO_FIT)
        return found

    def words_of(self, context: Context, text: bytes, flags: int) -> list[tuple[float, int, int]]:
        """Return log10 probability, order of the n-gram that was found and id of each word.

        Raises:
            ValueError: If the context is of another model.
        """
        founds = (Found * (len(text.split()) + (flags & END)))()
        if self._words_of(self.place, context, text, len(text), flags, founds, len(founds)):
            raise ValueError(NO_FIT)
        return list(struct.iter_unpack(Found.FORM, founds))


def slots_of(table: tuple[UInt8[np.ndarray, " bytes"], int, int]) -> Slots:
    """Return the C struct of a table: its bytes, number of buckets and bytes per slot."""
    slots, buckets, stride = table
    return Slots(address(slots, np.uint8), buckets, len(slots) // stride, stride)


def hash_words(
    text: UInt8[np.ndarray, " bytes"], offsets: Int64[np.ndarray, " _"]
) -> UInt64[np.ndarray, " words"]:
    """Return the hash of each word of a concatenation, given the start of each word."""
    hashes = np.empty(len(offsets) - 1, np.uint64)
    call: Any = function("hashed_words", Pointer, Size, Pointer, Size, Pointer)
    places = address(text, np.uint8), len(text), address(offsets, np.int64), len(hashes)
    if call(*places, hashes.ctypes.data):
        raise ValueError("the words lie outside of the text")
    return hashes
