"""Queries of n-gram models in hash tables by the compiled core; ``hashed.c`` says how."""

import ctypes
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Int64, UInt8, UInt64

END = 1
"""``</s>`` follows the words of a text; as ``hashed.c`` has it."""
FOUND, FOUND_BYTES = "fiI", 12
"""Format of ``struct`` for the score of a word: log10 probability, n-gram order, id."""
STEP = struct.Struct("fiIi")
"""The same, and of how many words the context after it is."""


class Slots(ctypes.Structure):
    """An open hash table."""

    _fields_ = (
        ("slots", Pointer), ("buckets", ctypes.c_uint64), ("size", ctypes.c_uint64),
        ("stride", Size),
    )  # fmt: skip


class Hashed(ctypes.Structure):
    """A model."""

    _fields_ = (
        ("words", Slots), ("unigrams", Pointer), ("longer", Pointer), ("V", Size),
        ("unigram_stride", Size), ("N", ctypes.c_int32), ("end", ctypes.c_uint32),
    )  # fmt: skip


class HashedTables:
    """A model in hash tables, which stay where they are.

    Args:
        words: Hashes of words and their ids: the bytes of all slots, how many buckets, bytes per
            slot.
        unigrams: The bytes of log10 probabilities and back-off weights, ``stride`` for each id.
        longer: The n-grams of orders 2, 3 ..., as ``words``.
        stride: Bytes per id.
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
        self._room = ctypes.c_char * (STEP.size + 8 * len(longer))
        context, text = (Pointer, ctypes.c_char_p, Size), (ctypes.c_char_p, Size)
        flags = ctypes.c_int32
        self._score: Callable[..., float]
        self._score = function("hashed_score", *context, *text, flags, result=ctypes.c_float)
        self._words_of: Callable[..., int]
        self._words_of = function("hashed_words_of", *context, *text, flags, Pointer, Size)
        self._step: Callable[..., int] = function("hashed_step", *context, *text, Pointer)

    def score(self, context: bytes, text: bytes, flags: int) -> float:
        """Return the log10 probability of a text after a context.

        Raises:
            ValueError: If the context is of another model.
        """
        found = self._score(self.place, context, len(context) >> 3, text, len(text), flags)
        if found != found:
            raise ValueError("the context or a number of the model does not fit")
        return found

    def words_of(self, context: bytes, text: bytes, flags: int) -> bytes:
        """Return what is known of each word of a text, as ``FOUND``.

        Raises:
            ValueError: If the context is of another model.
        """
        words = len(text.split()) + (flags & END)
        founds = ctypes.create_string_buffer(FOUND_BYTES * words) if words else None
        length, size = len(context) >> 3, len(text)
        if self._words_of(self.place, context, length, text, size, flags, founds, words):
            raise ValueError("the context does not fit the model")
        return founds.raw if founds else b""

    def step(self, context: bytes, word: bytes) -> tuple[float, int, int, bytes]:
        """Return log10 probability, order and id of a word, and the context after it.

        Raises:
            ValueError: If the context is of another model.
        """
        room = self._room()
        if self._step(self.place, context, len(context) >> 3, word, len(word), room):
            raise ValueError("the context does not fit the model")
        written = room.raw
        log_prob, order, number, length = STEP.unpack_from(written)
        return log_prob, order, number, written[16 : 16 + 8 * length]


def slots_of(table: tuple[UInt8[np.ndarray, " bytes"], int, int]) -> Slots:
    """Return a table of the bytes of its slots, how many buckets it has and bytes per slot."""
    slots, buckets, stride = table
    return Slots(address(slots, np.uint8), buckets, len(slots) // stride, stride)


def hash_words(
    text: UInt8[np.ndarray, " bytes"], offsets: Int64[np.ndarray, " _"]
) -> UInt64[np.ndarray, " words"]:
    """Return the hashes of words that stand one after another, given where each begins."""
    hashes = np.empty(len(offsets) - 1, np.uint64)
    call: Any = function("hashed_words", Pointer, Size, Pointer, Size, Pointer)
    places = address(text, np.uint8), len(text), address(offsets, np.int64), len(hashes)
    if call(*places, hashes.ctypes.data):
        raise ValueError("the words lie outside of the text")
    return hashes
