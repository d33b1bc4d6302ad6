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
"""The log10 probability, the word ids and the log10 back-off weight (0 if missing) of each line."""


def read_lines(
    text: bytes, order: int, most: int, words: tuple[UInt8[np.ndarray, " bytes"], int, int]
) -> tuple[Lines, int]:
    """Parse the n-grams of one order, up to the first line that is not in the usual form.

    Args:
        text: Complete lines of an ARPA file.
        order: Number of words per n-gram.
        most: Maximum number of lines.
        words: Hash table from words to ids: the bytes of its slots, the number of buckets, and the
            bytes per slot.

    Returns:
        The parsed lines, and the number of bytes that were read.
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
