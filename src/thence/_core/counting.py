"""Counting n-grams by the compiled core; ``counting.c`` says how."""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Int32, Int64


@cache
def _c(name: str) -> Callable[..., int]:
    """Return a function of ``counting.c``."""
    long_result = {"result": ctypes.c_int64} if name == "count_longer" else {}
    arguments: dict[str, tuple[Any, ...]] = {
        "count_longer": (
            Pointer, Pointer, Size, Size, Pointer, Pointer, Pointer, Size, Size, Size, Size,
            Pointer, Pointer, Pointer, Size, Pointer,
        ),
        "add_by_number": (Pointer, Pointer, Size, Pointer, Size),
        "place_words": (Pointer, Size, Pointer, Size, Pointer),
        "sort_places": (Pointer, Pointer, Size, ctypes.c_int32, Pointer, Pointer),
    }  # fmt: skip
    found: Callable[..., int] = function(name, *arguments[name], **long_result)
    return found


Longer = tuple[
    Int64[np.ndarray, " ngrams"], Int64[np.ndarray, " ngrams"], Int32[np.ndarray, " ngrams"]
]
"""Keys (number of the prefix * V + last word), counts, and suffixes (the n-gram without its first
word, as a number of its own order) of n-grams."""


def count_longer(
    which: Int32[np.ndarray, " occurrences"],
    places: Int32[np.ndarray, " occurrences"],
    part: slice,
    written: int,
    followers: Int32[np.ndarray, " positions"],
    numbers: Int32[np.ndarray, " positions"],
    vocabulary_size: int,
    first: int,
    following: int,
) -> tuple[Longer, int]:
    """Count the n-grams that extend those of a part by one word.

    The occurrences of the longer n-grams overwrite ``which`` and ``places``, from ``written`` on.

    Args:
        which: Number of the n-gram of each occurrence, ascending.
        places: Position of the last word of each occurrence.
        part: The occurrences to extend; must not begin within the occurrences of one n-gram.
        written: Index at which to write the longer occurrences.
        followers: The word after each position, or -1.
        numbers: Number of the n-gram that ends at each position; overwritten by the longer one's.
        vocabulary_size: Number of ids (V).
        first: Occurrences at positions before this one are not counted.
        following: Number to give to the first of the longer n-grams.

    Returns:
        The longer n-grams, and the index after the last written occurrence.
    """
    size = part.stop - part.start
    if not 0 <= part.start <= part.stop <= min(len(which), len(places)):
        raise ValueError("there are no such occurrences")
    if len(followers) != len(numbers):
        raise TypeError("the arrays of the positions differ in length")
    # A single n-gram, however frequent, has at most V distinct followers.
    is_single = size > 0 and which[part.start] == which[part.stop - 1]
    most = min(size, vocabulary_size) if is_single else size
    keys, counts = np.empty(most, np.int64), np.empty(most, np.int64)
    suffixes, spare = np.empty(most, np.int32), np.empty(2 * size, np.uint64)
    end = ctypes.c_int64(written)
    found = _c("count_longer")(
        address(which, np.int32), address(places, np.int32), part.start, part.stop,
        ctypes.byref(end), address(followers, np.int32), address(numbers, np.int32),
        len(numbers), vocabulary_size, first, following, keys.ctypes.data, counts.ctypes.data,
        suffixes.ctypes.data, most, spare.ctypes.data,
    )  # fmt: skip
    if found < 0:
        raise ValueError("numbers, positions or words are out of range")
    return (keys[:found], counts[:found], suffixes[:found]), end.value


def add_by_number(
    numbers: Int32[np.ndarray, " numbers"],
    weights: Int64[np.ndarray, " numbers"] | None,
    size: int,
) -> Int64[np.ndarray, " size"]:
    """Return the sum of weights (None: 1 each) for each number, like ``np.bincount``.

    Raises:
        ValueError: If a number is not from 0 to below ``size``.
    """
    sums = np.zeros(size, np.int64)
    if weights is not None and len(weights) != len(numbers):
        raise TypeError("there is not a weight for each number")
    if _c("add_by_number")(
        address(numbers, np.int32), None if weights is None else address(weights, np.int64),
        len(numbers), sums.ctypes.data, size,
    ):  # fmt: skip
        raise ValueError("a number is out of range")
    return sums


def place_words(
    ids: Int32[np.ndarray, " positions"], vocabulary_size: int
) -> Int32[np.ndarray, " positions"]:
    """Return the positions of all words, in order of id: a stable ``np.argsort``."""
    starts = np.zeros(vocabulary_size + 1, np.int64)
    np.cumsum(add_by_number(ids, None, vocabulary_size), out=starts[1:])
    places = np.empty(len(ids), np.int32)
    if _c("place_words")(
        address(ids, np.int32), len(ids), starts.ctypes.data, vocabulary_size, places.ctypes.data
    ):
        raise ValueError("ids are out of range")
    return places


def sort_with_places(
    keys: Int64[np.ndarray, " keys"],
) -> tuple[Int64[np.ndarray, " keys"], Int32[np.ndarray, " keys"]]:
    """Return non-negative keys in ascending order, and the old index of each: a stable sort."""
    ordered, places = keys.copy(), np.empty(len(keys), np.int32)
    spare, spare_places = np.empty_like(ordered), np.empty_like(places)
    bits = int(keys.max(initial=0)).bit_length()
    if _c("sort_places")(
        address(ordered, np.int64), places.ctypes.data, len(keys), bits, spare.ctypes.data,
        spare_places.ctypes.data,
    ):  # fmt: skip
        raise ValueError("a key is negative")
    return ordered, places
