"""Splitting texts into words and counting them by the compiled core; see ``words.c``."""

import ctypes
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Int32, Int64, UInt8, UInt64

BY_SPACE, BY_ASCII_SPACE, APART, APART_WITH_SYMBOLS = range(4)
"""The rules by which words are found, as ``core.h`` numbers them."""

MOST_KEPT = 1 << 18
"""Largest number of words for which a thread keeps its buffers (6 MB): more than most chunks
have."""


class Rules(ctypes.Structure):
    """The rules that split a text into words: the struct ``Rules`` of ``core.h``.

    For each code point below a bound they have its class (letter, white space and so on) and a
    random number, from which the hash of a word is computed.
    """

    _fields_ = (
        ("classes", Pointer), ("scramble", Pointer), ("points", Size),
        ("multiplier", ctypes.c_uint64), ("rule", ctypes.c_int32),
    )  # fmt: skip
    kept: tuple[Any, ...]
    """The arrays, which must live as long as this."""

    @classmethod
    def of(
        cls,
        classes: UInt8[np.ndarray, " points"],
        scramble: UInt64[np.ndarray, " points"],
        multiplier: int,
        rule: int,
    ) -> "Rules":
        """Return rules from the class and the random number of each code point."""
        if len(classes) != len(scramble):
            raise TypeError("the tables differ in length")
        rules = cls(
            address(classes, np.uint8), address(scramble, np.uint64), len(classes), multiplier, rule
        )
        rules.kept = (classes, scramble)
        return rules


class Table(ctypes.Structure):
    """An open-addressing hash table of 2^bits slots, from hashes of words to numbers."""

    _fields_ = (("hashes", Pointer), ("numbers", Pointer), ("bits", ctypes.c_int32))
    kept: tuple[Any, ...]
    """The arrays, which must live as long as this."""

    @classmethod
    def of(
        cls, hashes: UInt64[np.ndarray, " slots"], numbers: Int32[np.ndarray, " slots"]
    ) -> "Table":
        """Return a table with these two arrays as its slots; a number of -1 marks a free slot."""
        bits = len(hashes).bit_length() - 1
        if len(hashes) != len(numbers) or len(hashes) != 1 << bits:
            raise TypeError("a table has a power of two of slots")
        table = cls(address(hashes, np.uint64), address(numbers, np.int32), bits)
        table.kept = (hashes, numbers)
        return table


@cache
def _find() -> Callable[..., int]:
    arrays = (Pointer, Pointer, Pointer, Pointer)
    found: Callable[..., int] = function(
        "words_find", Pointer, Pointer, Size, Pointer, Size, Size, *arrays, result=Size
    )
    return found


@cache
def _numbers() -> Callable[..., int]:
    found: Callable[..., int] = function("words_numbers", Pointer, Pointer, Size, Pointer)
    return found


@cache
def _count() -> Callable[..., int]:
    found: Callable[..., int] = function("characters_count", Pointer, Size, Pointer, Size, Pointer)
    return found


def count_characters(
    text: UInt8[np.ndarray, " bytes"], ends: Int64[np.ndarray, " documents"]
) -> Int64[np.ndarray, " documents"]:
    """Return the number of characters of each document; arguments as in ``find_words``."""
    text, ends = np.ascontiguousarray(text), np.ascontiguousarray(ends, np.int64)
    counts = np.empty(len(ends), np.int64)
    data = address(text, np.uint8), len(text), address(ends, np.int64), len(ends)
    if _count()(*data, counts.ctypes.data):
        raise ValueError("the documents do not fit the text")
    return counts


_kept_scratch = threading.local()


def _scratch(size: int) -> tuple[Any, Any, Any]:
    """Return buffers for the positions and hashes of ``size`` words, reused by each thread.

    Allocating fresh memory for each chunk would take longer than finding its words.
    """
    kept: list[Any] = getattr(_kept_scratch, "arrays", [])
    if not kept or len(kept[0]) < size:
        kept = [np.empty(size, dtype) for dtype in (np.int64, np.int64, np.uint64)]
        if size <= MOST_KEPT:
            _kept_scratch.arrays = kept
    return kept[0], kept[1], kept[2]


def find_words(
    rules: Rules, text: UInt8[np.ndarray, " bytes"], ends: Int64[np.ndarray, " documents"]
) -> tuple[
    Int64[np.ndarray, " words"],
    Int64[np.ndarray, " words"],
    UInt64[np.ndarray, " words"],
    Int64[np.ndarray, " documents"],
]:
    """Return start, end (in characters) and hash of each word, and the word count per document.

    Args:
        rules: The splitting rules.
        text: The documents in valid UTF-8, concatenated.
        ends: End of each document, in bytes.
    """
    text, ends = np.ascontiguousarray(text), np.ascontiguousarray(ends, np.int64)
    starts, stops, hashes = _scratch(len(text))
    lengths = np.empty(len(ends), np.int64)
    found = _find()(
        ctypes.byref(rules), address(text, np.uint8), len(text), address(ends, np.int64), len(ends),
        len(text), starts.ctypes.data, stops.ctypes.data, hashes.ctypes.data, lengths.ctypes.data,
    )  # fmt: skip
    if found < 0:
        raise ValueError("the documents do not fit the text")
    return starts[:found].copy(), stops[:found].copy(), hashes[:found].copy(), lengths


def find_numbers(
    table: Table, hashes: UInt64[np.ndarray, " hashes"]
) -> Int32[np.ndarray, " hashes"]:
    """Return the number of each hash in the table; -1 for those that are not in it."""
    hashes = np.ascontiguousarray(hashes, np.uint64)
    numbers = np.empty(len(hashes), np.int32)
    if _numbers()(ctypes.byref(table), hashes.ctypes.data, len(hashes), numbers.ctypes.data):
        raise ValueError("the table does not fit")
    return numbers


@cache
def _c(name: str) -> Callable[..., int]:
    arrays = (Pointer, Size, Pointer, Pointer, Pointer)
    arguments: dict[str, tuple[Any, ...]] = {
        "documents_copy": (Pointer, Size, Pointer, Pointer, Size, Pointer, Size),
        "words_count": (Pointer, Pointer, ctypes.c_int32, Pointer, *arrays),
        "words_sort": (Pointer, Size, Pointer, Pointer, Size, Pointer, Size, Pointer),
    }
    result = Size if name == "words_count" else ctypes.c_int32
    found: Callable[..., int] = function(name, *arguments[name], result=result)
    return found


def copy_documents(
    text: UInt8[np.ndarray, " bytes"],
    starts: Int64[np.ndarray, " documents"],
    ends: Int64[np.ndarray, " documents"],
) -> UInt8[np.ndarray, " copied"]:
    """Return the concatenated bytes of documents, given the start and end of each in a text."""
    copy = np.empty(int((ends - starts).sum()), np.uint8)
    if len(starts) != len(ends) or _c("documents_copy")(
        address(text, np.uint8), len(text), address(starts, np.int64), address(ends, np.int64),
        len(starts), copy.ctypes.data, len(copy),
    ):  # fmt: skip
        raise ValueError("the documents do not fit the text")
    return copy


def count_words(
    table: Table,
    known: int,
    hashes: UInt64[np.ndarray, " hashes"],
    counts: Int64[np.ndarray, " counts"],
    numbers: Int32[np.ndarray, " hashes"],
) -> tuple[int, Int64[np.ndarray, " fresh"]]:
    """Count words and number new ones, until the table is half full.

    Args:
        table: Numbers by hash; new hashes are added.
        known: Number of hashes in the table.
        hashes: The hashes of the words to count.
        counts: Count of each number, changed; half as long as the table.
        numbers: Output: the number of each word.

    Returns:
        How many of the words were counted, and the indices of those that are new.
    """
    if len(counts) < 1 << (table.bits - 1) or len(numbers) != len(hashes) or known < 0:
        raise ValueError("the table does not fit")
    size, fresh = Size(known), np.empty(len(hashes), np.int64)
    done = _c("words_count")(
        table.hashes, table.numbers, table.bits, ctypes.byref(size), address(hashes, np.uint64),
        len(hashes), address(numbers, np.int32), address(counts, np.int64), fresh.ctypes.data,
    )  # fmt: skip
    if done < 0:
        raise ValueError("the table does not fit")
    return done, fresh[: size.value - known].copy()


def sort_words(
    text: UInt8[np.ndarray, " bytes"],
    ends: Int64[np.ndarray, " words"],
    numbers: Int32[np.ndarray, " chosen"],
    counts: Int64[np.ndarray, " words"] | None = None,
) -> Int32[np.ndarray, " chosen"]:
    """Return numbers of words sorted by descending count, and by their bytes for equal counts.

    Args:
        text: The words in UTF-8, concatenated.
        ends: End of each word, in bytes.
        numbers: The words to sort.
        counts: Counts of all words; None sorts by bytes alone.
    """
    if counts is not None and len(counts) != len(ends):
        raise ValueError("there is not a count for each word")
    ordered, room = np.array(numbers, np.int32), np.empty(len(numbers), np.int32)
    if _c("words_sort")(
        address(text, np.uint8), len(text), address(ends, np.int64),
        None if counts is None else address(counts, np.int64), len(ends),
        ordered.ctypes.data, len(ordered), room.ctypes.data,
    ):  # fmt: skip
        raise ValueError("the words do not fit")
    return ordered
