"""Decoding: bytes of any encoding to valid UTF-8, or an error with the place of the invalid byte.

| found                  | `strict`                  | `replace` | `ignore` |
|------------------------|---------------------------|-----------|----------|
| a byte that is invalid | refused with its place    | U+FFFD    | dropped  |
| a NUL byte             | refused with its place    | U+FFFD    | dropped  |
| a byte order mark first | removed                  | removed   | removed  |

Text that is valid UTF-8 already is returned without a copy.
"""

import codecs
import re
from typing import Literal

import numpy as np

from thence.array_types import UInt8
from thence.errors import SettingError, TextError, nearest

Bytes = bytes | bytearray
Errors = Literal["strict", "replace", "ignore"]

CHUNK = 1 << 20  # bytes looked at together: large enough to be fast, small enough for the cache
MARK = codecs.BOM_UTF8
UNUSABLE = re.compile("[\0\ud800-\udfff]")  # NUL and halves of surrogate pairs
COMMON = ("utf-8", "latin-1", "cp1252", "ascii", "utf-16", "utf-32", "gb18030", "shift_jis", "big5")


def to_utf8(
    data: Bytes, name: str, encoding: str, errors: Errors, chunk_size: int = CHUNK
) -> UInt8[np.ndarray, " bytes"]:
    """Return ``data`` as valid UTF-8 without NUL bytes and without a byte order mark.

    Args:
        data: The file's bytes.
        name: The file's name, for messages.
        encoding: A text encoding that Python knows.
        errors: How to treat bytes that are not text; see the table of the module.
        chunk_size: Bytes that are decoded at a time.

    Raises:
        SettingError: No text encoding has that name.
        TextError: The bytes are not text in that encoding.
    """
    codec = find_codec(encoding)
    if codec.name not in ("utf-8", "utf-8-sig"):
        data = transcode(data, name, codec, errors, chunk_size)
    elif errors == "strict":
        refuse_invalid(data, name, chunk_size)
        refuse_nul(data, name)
    elif first_invalid(data, chunk_size) is not None or b"\0" in data:
        data = transcode(data, name, codec, errors, chunk_size)
    # A view without the byte order mark needs no copy.
    return np.frombuffer(data, np.uint8)[len(MARK) if data.startswith(MARK) else 0 :]


def find_codec(encoding: str) -> codecs.CodecInfo:
    """Return the codec of a text encoding.

    Raises:
        SettingError: Python has no text encoding of that name.
    """
    try:
        codec = codecs.lookup(encoding)
        # Python also calls "base64" or "rot13" codecs; those do not turn bytes into text.
        "".encode(encoding)
    except (LookupError, ValueError):
        hint = nearest(encoding, COMMON) or " Common ones are utf-8, latin-1 and utf-16."
        raise SettingError(f"encoding '{encoding}' is not a text encoding.{hint}") from None
    return codec


def first_invalid(data: Bytes, chunk_size: int = CHUNK) -> int | None:
    r"""Return the offset of the first byte that is not UTF-8, or None.

    >>> first_invalid("zoë".encode()), first_invalid(b"zo\xeb")
    (None, 2)
    """
    view = memoryview(data)
    position = 0
    while position < len(view):
        last = position + chunk_size >= len(view)
        try:
            # An incomplete sequence at the end of the chunk is left for the next chunk.
            chunk = view[position : position + chunk_size]
            position += codecs.utf_8_decode(chunk, "strict", last)[1]
        except UnicodeDecodeError as error:
            return position + error.start
    return None


def refuse_invalid(data: Bytes, name: str, chunk_size: int = CHUNK) -> None:
    """Raise TextError with the place of the first byte that is not UTF-8, if there is one."""
    position = first_invalid(data, chunk_size)
    if position is None:
        return
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        way_out = "It begins with a UTF-16 mark: use `encoding='utf-16'`."
    else:
        way_out = "Use `encoding='latin-1'` if it is an older Western text, or `errors='replace'`."
    raise TextError(f"{place(data, name, position)} is not UTF-8. {way_out}")


def refuse_nul(data: Bytes, name: str) -> None:
    """Raise TextError with the place of the first NUL byte, if there is one."""
    position = data.find(b"\0")
    if position >= 0:
        start = data[:1000]
        # Of Western text in UTF-16 every other byte is NUL: the second ones if the low byte leads.
        little, big = (start[first::2].count(0) > 0.3 * len(start) for first in (1, 0))
        encoding = {(True, False): "utf-16-le", (False, True): "utf-16-be"}.get((little, big))
        guess = "If the file is UTF-16" if encoding is None else "It seems to be UTF-16:"
        raise TextError(
            f"{place(data, name, position)} is not text. {guess} use "
            f"`encoding={encoding or 'utf-16'!r}`; to continue regardless, `errors='replace'`."
        )


def place(data: Bytes, name: str, position: int) -> str:
    """Return a byte's place and value: ``a.txt, line 2: byte 0xeb at byte offset 7``."""
    line = data.count(b"\n", 0, position) + 1
    return f"{name}, line {line}: byte 0x{data[position]:02x} at byte offset {position}"


def transcode(
    data: Bytes, name: str, codec: codecs.CodecInfo, errors: Errors, chunk_size: int = CHUNK
) -> bytearray:
    """Return bytes of an encoding as UTF-8.

    It works chunk by chunk, so that the text is never in memory as one Python string (up to four
    bytes per character).

    Raises:
        TextError: ``errors`` is strict and the bytes are not text in that encoding.
    """
    decoder = codec.incrementaldecoder
    assert decoder is not None  # every text encoding of Python has one
    decode = decoder(errors).decode
    view = memoryview(data)
    result = bytearray()
    for start in range(0, max(len(view), 1), chunk_size):
        end = min(start + chunk_size, len(view))
        try:
            piece = decode(bytes(view[start:end]), end == len(view))
        except UnicodeDecodeError as error:
            # error.object begins with bytes that the decoder kept from the chunk before.
            position = end - len(error.object) + error.start
            line = bytes(view[:position]).decode(codec.name, "ignore").count("\n") + 1
            raise TextError(
                f"{name}, line {line}: byte 0x{data[position]:02x} at byte offset {position} is "
                f"not {codec.name}. Use another `encoding`, or `errors='replace'`."
            ) from None
        except UnicodeError as error:
            raise TextError(
                f"{name} is not {codec.name} ({error}). Use another `encoding`; without a byte "
                "order mark, one that says the order, such as utf-16-le."
            ) from None
        refused = UNUSABLE.search(piece) if errors == "strict" else None
        if refused:
            line = result.count(b"\n") + piece.count("\n", 0, refused.start()) + 1
            raise TextError(
                f"{name}, line {line} holds U+{ord(refused[0]):04X}, which is not text. "
                f"Is it really {codec.name}? Use another `encoding`, or `errors='replace'`."
            )
        result += mend(piece, errors).encode("utf-8")
    return result


def mend(text: str, errors: Errors) -> str:
    """Return ``text`` with NUL and lone surrogates replaced or, for ``ignore``, dropped."""
    return UNUSABLE.sub("\N{REPLACEMENT CHARACTER}" if errors == "replace" else "", text)
