"""Compressed files: recognised by their first bytes, read and written.

| format    | suffix | library                                                              |
|-----------|--------|----------------------------------------------------------------------|
| gzip      | `.gz`  | Python                                                               |
| bzip2     | `.bz2` | Python                                                               |
| xz        | `.xz`  | Python                                                               |
| zstd      | `.zst` | Python from 3.14 on; before, the library backports.zstd: extra `data` |

Several compressed files, one after another, are read as one.
"""

import bz2
import gzip
import lzma
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from thence.errors import TextError, import_extra

SUFFIXES = {
    ".gz": re.compile(rb"\x1f\x8b"),
    ".bz2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    ".xz": re.compile(rb"\xfd7zXZ\0"),
    ".zst": re.compile(rb"(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)"),
}
"""The suffix of each format, and a pattern of its first bytes."""
START = 10
"""Number of first bytes that are enough to recognise a format."""
LONGEST_WINDOW = 31
"""Base-2 logarithm of zstd's largest accepted window in bytes: its maximum, which some published
corpora use."""


def packed_as(start: bytes | bytearray) -> str | None:
    """Return the suffix of the compression format of a file's first bytes; None if not compressed.

    >>> packed_as(gzip.compress(b"a")), packed_as(b"BZh are letters")
    ('.gz', None)
    """
    return next((suffix for suffix, begins in SUFFIXES.items() if begins.match(start)), None)


def _zstd(purpose: str) -> Any:
    module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return import_extra(module, "data", purpose)


@contextmanager
def unpacking(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Context manager: the content of a file from its beginning on, decompressed if necessary.

    Args:
        file: The open file, which must be seekable and stays open.
        name: Its name, for messages.

    Raises:
        TextError: The compressed data is truncated or damaged.
        MissingExtraError: The library for it is not installed.
    """
    kind = packed_as(file.read(START))
    file.seek(0)
    broken: tuple[type[Exception], ...] = (EOFError, zlib.error, lzma.LZMAError, OSError)
    stream: Any = file
    if kind == ".gz":
        stream = gzip.GzipFile(fileobj=file)
    elif kind == ".bz2":
        stream = bz2.BZ2File(file)
    elif kind == ".xz":
        stream = lzma.LZMAFile(file)  # noqa: SIM115 (reads on from an open file)
    elif kind == ".zst":
        zstd = _zstd(f"unpacking {name}")
        broken = *broken, zstd.ZstdError
        options = {zstd.DecompressionParameter.window_log_max: LONGEST_WINDOW}
        stream = zstd.ZstdFile(file, options=options)
    try:
        yield stream
    except broken as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # An error of the file system, not of the compressed data.
        raise TextError(
            f"{name} is compressed, but broken ({error}). Was it copied or downloaded whole?"
        ) from None


@contextmanager
def packing(kind: str | None, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Context manager: a file to write to, compressed into ``file``, without a time stamp.

    Args:
        kind: The suffix of the format; None for no compression.
        file: The file that gets the compressed bytes.
    """
    if kind == ".gz":
        packed: Any = gzip.GzipFile("", "wb", fileobj=file, mtime=0)
    elif kind == ".bz2":
        packed = bz2.BZ2File(file, "wb")
    elif kind == ".xz":
        packed = lzma.LZMAFile(file, "wb")  # noqa: SIM115
    elif kind == ".zst":
        packed = _zstd("packing the output").ZstdFile(file, "wb")
    else:
        yield file
        return
    with packed:
        yield cast(IO[bytes], packed)
