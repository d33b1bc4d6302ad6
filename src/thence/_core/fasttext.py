"""fastText's features of texts and sums of rows, by the compiled core: see ``fasttext.c``."""

import ctypes
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence._core.words import Table
from thence.array_types import Float32, Int32, Int64, UInt8


class Dictionary(ctypes.Structure):
    """Words and labels that features are looked up in: ``Dictionary`` of ``fasttext.c``."""

    _fields_ = (
        ("words", Table), ("rows", Table), ("pruned", ctypes.c_int32), ("minn", ctypes.c_int32),
        ("maxn", ctypes.c_int32), ("word_ngrams", ctypes.c_int32), ("num_words", Size),
        ("buckets", Size),
    )  # fmt: skip
    kept: tuple[Any, ...]
    """The tables, whose arrays must live as long as this."""

    @classmethod
    def of(
        cls,
        words: Table,
        rows: Table | None,
        num_words: int,
        buckets: int,
        lengths: tuple[int, int],
        word_ngrams: int,
    ) -> "Dictionary":
        """Return a dictionary.

        Args:
            words: Ids of words and labels.
            rows: Rows of the hash buckets that are kept after pruning; None if all are kept.
            num_words: Number of words; larger ids are labels.
            buckets: Number of hash buckets.
            lengths: Shortest and longest character n-gram (minn, maxn).
            word_ngrams: Longest word n-gram.
        """
        table = Table() if rows is None else rows
        found = cls(words, table, rows is not None, *lengths, word_ngrams, num_words, buckets)
        found.kept = (words, rows)
        return found


class Matrix(ctypes.Structure):
    """A dense or a product-quantised matrix: the struct ``Matrix`` of ``fasttext.c``."""

    _fields_ = (
        ("values", Pointer), ("codes", Pointer), ("centroids", Pointer), ("norms", Pointer),
        ("norm_codes", Pointer), ("rows", Size), ("dim", Size), ("parts", Size),
        ("part_size", Size),
    )  # fmt: skip
    kept: tuple[Any, ...]
    """The arrays, which must live as long as this."""

    @classmethod
    def dense(cls, values: Float32[np.ndarray, "rows dim"]) -> "Matrix":
        """Return a dense matrix; its data need not be aligned, as in a mapped file."""
        if values.dtype != np.float32 or not values.flags.c_contiguous:
            raise TypeError("the core reads single-precision numbers in a row")
        rows, dim = values.shape
        found = cls(values.ctypes.data, None, None, None, None, rows, dim, 0, 0)
        found.kept = (values,)
        return found

    @classmethod
    def coded(
        cls,
        codes: UInt8[np.ndarray, "rows parts"],
        centroids: Float32[np.ndarray, " centroids"],
        dim: int,
        part_size: int,
        norm_codes: UInt8[np.ndarray, " rows"] | None,
        norms: Float32[np.ndarray, " 256"] | None,
    ) -> "Matrix":
        """Return a product-quantised matrix, with or without quantised norms of its rows."""
        if norm_codes is None or norms is None:
            norm_codes, norms = np.zeros(len(codes), np.uint8), np.ones(256, np.float32)
        if (len(centroids), len(norms), len(norm_codes)) != (256 * dim, 256, len(codes)):
            raise TypeError("the centroids do not fit the matrix")
        found = cls(
            None, address(codes, np.uint8), address(centroids, np.float32),
            address(norms, np.float32), address(norm_codes, np.uint8),
            len(codes), dim, codes.shape[1], part_size,
        )  # fmt: skip
        found.kept = (codes, centroids, norm_codes, norms)
        return found


@cache
def _features() -> Callable[..., int]:
    found: Callable[..., int] = function(
        "fasttext_features", Pointer, Pointer, Size, Pointer, Size, Pointer, Pointer, Size, Pointer,
        result=Size,
    )  # fmt: skip
    return found


@cache
def _sums() -> Callable[..., int]:
    found: Callable[..., int] = function(
        "fasttext_sums", Pointer, Pointer, Size, Pointer, Size, Pointer
    )
    return found


@cache
def _scores() -> Callable[..., int]:
    found: Callable[..., int] = function(
        "fasttext_scores", Pointer, Size, Size, Pointer, Size, Pointer
    )
    return found


def features(
    dictionary: Dictionary,
    text: UInt8[np.ndarray, " bytes"],
    ends: Int64[np.ndarray, " documents"],
    room: int,
) -> tuple[Int32[np.ndarray, " features"], Int64[np.ndarray, " documents"]]:
    """Return the features of all documents, concatenated, and the number of each document.

    Args:
        dictionary: The words, labels and n-grams of the model.
        text: The bytes of all documents.
        ends: End of each document in ``text``.
        room: Maximum number of features in total.

    Raises:
        ValueError: If the ends are out of range, or there are more features than ``room``.
    """
    text, ends = np.ascontiguousarray(text), np.ascontiguousarray(ends, np.int64)
    hashes, counts = np.empty(len(text) + 1, np.uint64), np.empty(len(ends), np.int64)
    found = np.empty(room, np.int32)
    size = _features()(
        ctypes.byref(dictionary), address(text, np.uint8), len(text), address(ends, np.int64),
        len(ends), hashes.ctypes.data, found.ctypes.data, room, counts.ctypes.data,
    )  # fmt: skip
    if size < 0:
        raise ValueError("the documents do not fit the text, or their features the room")
    return found[:size].copy(), counts


def sums(
    matrix: Matrix, rows: Int32[np.ndarray, " chosen"], offsets: Int64[np.ndarray, " bounds"]
) -> Float32[np.ndarray, "bags dim"]:
    """Return the sum of the rows of each bag, added from left to right as fastText does.

    Raises:
        ValueError: If a row or an offset is out of range.
    """
    found = np.empty((len(offsets) - 1, matrix.dim), np.float32)
    if _sums()(
        ctypes.byref(matrix), address(rows, np.int32), len(rows), address(offsets, np.int64),
        len(found), found.ctypes.data,
    ):  # fmt: skip
        raise ValueError("the rows or offsets do not fit the matrix")
    return found


def scores(
    table: Float32[np.ndarray, "dim labels"], vectors: Float32[np.ndarray, "lines dim"]
) -> Float32[np.ndarray, "lines labels"]:
    """Return the matrix product of vectors and table, each sum added from first to last."""
    found = np.empty((len(vectors), table.shape[1]), np.float32)
    if vectors.shape[1] != len(table) or _scores()(
        address(table, np.float32), *table.shape, address(vectors, np.float32), len(vectors),
        found.ctypes.data,
    ):  # fmt: skip
        raise ValueError("the vectors do not fit the table")
    return found


SPARE = 1000
"""Smallest size of a thread's buffers, in bytes of text."""


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
    """Computes the mean embedding of single texts with little overhead; safe for threads.

    Args:
        dictionary: The words and n-grams of the model.
        matrix: Their embeddings.
        most: Returns the maximum number of features for a text of a number of bytes.
    """

    def __init__(self, dictionary: Dictionary, matrix: Matrix, most: Callable[[int], int]) -> None:
        self._kept = dictionary, matrix
        self._dictionary, self._matrix = ctypes.byref(dictionary), ctypes.byref(matrix)
        self._dim, self._most, self._rooms = int(matrix.dim), most, threading.local()
        self._features, self._sums = _features(), _sums()

    def mean(self, text: bytes) -> tuple[Float32[np.ndarray, " dim"], int]:
        """Return the mean embedding of a text (zeros without features), and the feature count."""
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
