"""Compressed files, known by their first bytes: read, and written as another file is.

| packed by | suffix | how                                                                  |
|-----------|--------|----------------------------------------------------------------------|
| gzip      | `.gz`  | Python                                                               |
| bzip2     | `.bz2` | Python                                                               |
| xz        | `.xz`  | Python                                                               |
| zstd      | `.zst` | Python from 3.14 on; before, the library backports.zstd: extra `data` |

Several packed files, one after another, are one.
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
"""The usual suffix of each kind, and how such files begin."""
START = 10
"""Bytes by which a kind is known."""
LONGEST_WINDOW = 31
"""Logarithm of the bytes that zstd may look back: the most it can, as in some published corpora."""


def packed_as(start: bytes | bytearray) -> str | None:
    """Return the suffix of the kind of packed file that begins so; None: it is not packed.

    >>> packed_as(gzip.compress(b"a")), packed_as(b"BZh are letters")
    ('.gz', None)
    """
    return next((suffix for suffix, begins in SUFFIXES.items() if begins.match(start)), None)


def _zstd(purpose: str) -> Any:
    module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return import_extra(module, "data", purpose)


@contextmanager
def unpacking(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Yield what an open file holds, unpacked if it is packed; it is read from its beginning on.

    Args:
        file: The file, which can be sought in and stays open.
        name: Its name, for messages.

    Raises:
        TextError: What is packed is cut short or damaged.
        MissingExtraError: It takes a library that is not installed.
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
            raise  # Of the file itself.
        raise TextError(
            f"{name} is compressed, but broken ({error}). Was it copied or downloaded whole?"
        ) from None


@contextmanager
def packing(kind: str | None, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield where to write what is to be packed; the bytes do not depend on the time.

    Args:
        kind: The suffix of the kind, or None.
        file: Where they are written.
    """
    if kind == ".gz":
        packed: Any = gzip.GzipFile("", "wb", fileobj=file, mtime=0)
    elif kind == ".bz2":
        packed = bz2.BZ2File(file, "wb")
    elif kind == ".xz":
        packed = lzma.LZMAFile(file, "wb")  # noqa: SIM115
    elif kind == ".zst":
        packed = _zstd("packing the output").ZstdFile(file, "wb")
    else:  # As it is.
        yield file
        return
    with packed:
        yield cast(IO[bytes], packed)
