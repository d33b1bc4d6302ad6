"""fastText's features of one text and their mean, without what many texts at once need."""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from thence._core.fasttext import Dictionary, Matrix, _features, _sums
from thence.array_types import Float32

SPARE = 1000
"""Bytes of text for which there is room at least."""


class _Room:
    """Buffers of one thread, for texts of up to ``size`` bytes."""

    def __init__(self, size: int, features: int, dim: int) -> None:
        self.size, self.features = size, features
        self.end, self.count = ctypes.c_int64(), ctypes.c_int64()
        self.offsets = (ctypes.c_int64 * 2)()
        self.hashes = (ctypes.c_uint64 * (size + 1))()
        self.rows = (ctypes.c_int32 * features)()
        self.sums = (ctypes.c_float * dim)()
        self.vector = np.ctypeslib.as_array(self.sums)


class OneText:
    """Finds the mean of the rows of a text's features; several threads may ask.

    Args:
        dictionary: What features are found by.
        matrix: The rows.
        most: Returns how many features a text of so many bytes has at most.
    """

    def __init__(self, dictionary: Dictionary, matrix: Matrix, most: Callable[[int], int]) -> None:
        self._kept = dictionary, matrix
        self._dictionary, self._matrix = ctypes.byref(dictionary), ctypes.byref(matrix)
        self._dim, self._most, self._rooms = int(matrix.dim), most, threading.local()
        self._features, self._sums = _features(), _sums()

    def mean(self, text: bytes) -> tuple[Float32[np.ndarray, " dim"], int]:
        """Return the mean of the rows of a text, zeros if it has none; and how many it has."""
        room = self._room(len(text))
        room.end.value = len(text)
        found = self._features(
            self._dictionary, text, len(text), ctypes.byref(room.end), 1, room.hashes, room.rows,
            room.features, ctypes.byref(room.count),
        )  # fmt: skip
        room.offsets[1] = found
        if found < 0 or self._sums(
            self._matrix, room.rows, found, room.offsets, 1, room.sums
        ):  # fmt: skip
            raise ValueError("the features do not fit the room or the matrix")
        mean: Any = room.vector * np.float32(1 / max(found, 1))
        return mean, found

    def _room(self, size: int) -> _Room:
        room: _Room | None = getattr(self._rooms, "room", None)
        if room is None or room.size < size:
            size = max(2 * size, SPARE)
            room = self._rooms.room = _Room(size, self._most(size), self._dim)
        return room
