"""Arrays and text as one string that the script of a page reads (``page/pack.js``).

    bytes of the header (4 bytes, the lowest first), header (JSON), arrays one after another, each
    at a multiple of 8 bytes; all compressed (zlib) and in base64

The header says of each array its type, its shape and where it begins. Numbers may stand for others:

    scales    row i of the array is scales[i] times the numbers; the lowest number is minus infinity
    values    each number is the place of a value in a list: where there are few different values

Rounding to a scale changes what was rounded before by the last bits of single precision only. So
what a page will say is known before it is written: the model with rounded weights says the same.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from thence.array_types import Float32, Integer
from thence.models.base import Array

Bits = Literal[8, 10, 12, 14, 16, 32]
"""Bits of each weight; 32: single precision, as in the run. Between 8 and 16, numbers of 16 bits
have a smaller range, which leaves more to compress."""

LOWEST = {"int8": -128, "int16": -32768}
"""What stands for minus infinity."""
ALIGNMENT = 8
"""Arrays begin at multiples of so many bytes, as JavaScript asks."""
MANY = 256
"""Numbers from which on it is worth listing their different values."""


class Pack:
    """Arrays and what is said of them, for one page."""

    def __init__(self) -> None:
        self._arrays: dict[str, dict[str, Any]] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, name: str, array: Array, bits: Bits = 32) -> str:
        """Hold an array, with rows of fewer bits if so asked; return its name."""
        array = np.asarray(array)
        about: dict[str, Any] = {"shape": array.shape}
        if array.dtype.kind in "iu":
            array = smallest(array)
        elif bits != 32 and array.size:
            codes, scales = scaled(array, bits)
            array, about["scales"] = codes, self.add(f"{name}/scales", scales)
        elif array.dtype == np.float32 and array.size >= MANY:
            values, places = np.unique(array, return_inverse=True)
            codes = smallest(places.reshape(-1))
            if codes.nbytes + values.nbytes < array.nbytes:
                array, about["values"] = codes, self.add(f"{name}/values", values)
        self._arrays[name] = {**about, "type": array.dtype.name, "at": self._size}
        self._parts.append(padded(np.ascontiguousarray(array).tobytes()))
        self._size += len(self._parts[-1])
        return name

    def to_base64(self, content: Mapping[str, Any]) -> str:
        """Return all arrays with what else a page needs to know, in characters of base64."""
        header = {**content, "arrays": self._arrays}
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        whole = b"".join([len(text).to_bytes(4, "little"), padded(text, before=4), *self._parts])
        return base64.b64encode(zlib.compress(whole, 9)).decode("ascii")


def padded(content: bytes, before: int = 0) -> bytes:
    """Return bytes that end at a multiple of the alignment, if so many come before them."""
    return content + bytes(-(len(content) + before) % ALIGNMENT)


def smallest(array: Integer[np.ndarray, "*shape"]) -> Integer[np.ndarray, "*shape"]:
    """Return integers in the smallest type that holds all, of at most 32 bits."""
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    return array.astype(np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high)))


def scaled(
    values: Float32[np.ndarray, "*shape"], bits: Bits
) -> tuple[Integer[np.ndarray, "*shape"], Float32[np.ndarray, " rows"]]:
    """Return integers of so many bits, and for each row along the last axis what 1 stands for."""
    dtype, most = np.dtype("int8" if bits == 8 else "int16"), 2 ** (bits - 1) - 1
    rows = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    is_finite = np.isfinite(rows)
    largest = np.abs(np.where(is_finite, rows, 0)).max(axis=1, initial=0)
    scales = np.maximum(largest / most, np.finfo(np.float32).tiny).astype(np.float32)
    codes = np.rint(np.where(is_finite, rows, 0) / scales[:, None]).astype(dtype)
    codes[~is_finite] = LOWEST[dtype.name]
    return codes.reshape(values.shape), scales


def rounded(values: Float32[np.ndarray, "*shape"], bits: Bits) -> Float32[np.ndarray, "*shape"]:
    """Return the numbers that a page makes of an array of so many bits."""
    if bits == 32 or not values.size:
        return values
    codes, scales = scaled(values, bits)
    rows = codes.reshape(len(scales), -1) * scales[:, None]
    rows[codes.reshape(rows.shape) == LOWEST[codes.dtype.name]] = -np.inf
    found: Float32[np.ndarray, "*shape"] = rows.reshape(values.shape)
    return found
