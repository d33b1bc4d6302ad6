"""The lines of an ARPA file by the compiled core; ``arpa.c`` says how."""

import ctypes
from typing import Any

import numpy as np

from thence._core import Pointer, Size, function
from thence._core.hashed import Slots, slots_of
from thence.array_types import Float64, Int32, UInt8

Lines = tuple[
    Float64[np.ndarray, " lines"], Int32[np.ndarray, "lines order"], Float64[np.ndarray, " lines"]
]
"""Numbers before the words of each line, the words, numbers after them (0 where there is none)."""


def read_lines(
    text: bytes, order: int, most: int, words: tuple[UInt8[np.ndarray, " bytes"], int, int]
) -> tuple[Lines, int]:
    """Read n-grams of an order as far as the lines look as they mostly do.

    Args:
        text: Whole lines.
        order: Words in each.
        most: Lines at most.
        words: Hashes of the words and their places: the bytes of the slots, how many buckets,
            bytes per slot.

    Returns:
        What was read, and how many bytes of the text it is.
    """
    most = min(most, text.count(b"\n"))
    log_probs, backoffs = np.empty(most), np.empty(most)
    places, used = np.empty((most, order), np.int32), Size()
    call: Any = function(
        "arpa_lines", ctypes.c_char_p, Size, ctypes.c_int32, Size, Pointer, Pointer, Pointer,
        Pointer, Pointer, result=Size,
    )  # fmt: skip
    table: Slots = slots_of(words)
    arrays = log_probs.ctypes.data, places.ctypes.data, backoffs.ctypes.data
    count = call(text, len(text), order, most, ctypes.byref(table), *arrays, ctypes.byref(used))
    if count < 0:
        raise ValueError("the order or the table of words does not fit")
    return (log_probs[:count], places[:count], backoffs[:count]), used.value
