"""``Pack``: arrays and text as one string, which the script of a page decodes (``page/pack.js``).

    size of the header (4 bytes, little-endian), header (JSON), arrays, each aligned to 8 bytes;
    all compressed (zlib) and in base64

The header has the type, shape and offset of each array. Arrays may be encoded:

    scales    row i of the array is scales[i] times the integers; the lowest integer is -infinity
    values    each integer is an index into an array of the distinct values, if there are few

Quantising an array that was quantised before changes only the last bits of single precision. So the
predictions of a page are known before it is written: those of the model with rounded weights.
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
"""Bits of each weight; 32: single precision, as in the run. 10 to 14 bits are stored as 16-bit
integers of a smaller range, which compress better."""

LOWEST = {"int8": -128, "int16": -32768}
"""Integers that represent minus infinity."""
ALIGNMENT = 8
"""Alignment of arrays in bytes, as JavaScript's typed arrays need it."""
MANY = 256
"""Fewest numbers of an array for which encoding by distinct values is tried."""


class Pack:
    """The arrays of one page, encoded."""

    def __init__(self) -> None:
        self._arrays: dict[str, dict[str, Any]] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, name: str, array: Array, bits: Bits = 32) -> str:
        """Add an array, with rows quantised to ``bits`` bits; return its name."""
        array = np.asarray(array)
        about: dict[str, Any] = {"shape": array.shape}
        if array.dtype.kind in "iu":
            array = smallest(array)
        elif bits != 32 and array.size:
            codes, scales = quantize_rows(array, bits)
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
        """Return all arrays and the further content of the header as base64."""
        header = {**content, "arrays": self._arrays}
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        whole = b"".join([len(text).to_bytes(4, "little"), padded(text, before=4), *self._parts])
        return base64.b64encode(zlib.compress(whole, 9)).decode("ascii")


def padded(content: bytes, before: int = 0) -> bytes:
    """Return bytes padded with zeros to the alignment, given the number of bytes before them."""
    return content + bytes(-(len(content) + before) % ALIGNMENT)


def smallest(array: Integer[np.ndarray, "*shape"]) -> Integer[np.ndarray, "*shape"]:
    """Return integers in the smallest integer type that holds them."""
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    return array.astype(np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high)))


def quantize_rows(
    values: Float32[np.ndarray, "*shape"], bits: Bits
) -> tuple[Integer[np.ndarray, "*shape"], Float32[np.ndarray, " rows"]]:
    """Quantise rows (along the last axis) to integers; return them and the scale of each row."""
    dtype, most = np.dtype("int8" if bits == 8 else "int16"), 2 ** (bits - 1) - 1
    rows = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    is_finite = np.isfinite(rows)
    largest = np.abs(np.where(is_finite, rows, 0)).max(axis=1, initial=0)
    scales = np.maximum(largest / most, np.finfo(np.float32).tiny).astype(np.float32)
    codes = np.rint(np.where(is_finite, rows, 0) / scales[:, None]).astype(dtype)
    codes[~is_finite] = LOWEST[dtype.name]
    return codes.reshape(values.shape), scales


def rounded(values: Float32[np.ndarray, "*shape"], bits: Bits) -> Float32[np.ndarray, "*shape"]:
    """Return an array after quantisation and dequantisation, as the page decodes it."""
    if bits == 32 or not values.size:
        return values
    codes, scales = quantize_rows(values, bits)
    rows = codes.reshape(len(scales), -1) * scales[:, None]
    rows[codes.reshape(rows.shape) == LOWEST[codes.dtype.name]] = -np.inf
    found: Float32[np.ndarray, "*shape"] = rows.reshape(values.shape)
    return found
