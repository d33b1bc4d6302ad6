"""Whether the C library keeps freed memory or returns it to the system (glibc's ``mallopt``).

With another C library, or another system than Linux, these functions do nothing.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""Parameters of ``mallopt`` (glibc's malloc.h): free bytes at the top of the heap from which on
they go back to the system, the smallest block with a mapping of its own, and the most mappings."""
LARGEST, LARGE_BLOCK, MOST_MAPPINGS = 2**31 - 1, 32 << 20, 1 << 16
"""The largest number that it takes; the highest size that it comes to by itself; its default."""


def trim() -> None:
    """Give memory back that was freed, also what is below something in use.

    After millions of small arrays that may be as much as what is in use.
    """
    libc = _libc()
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


@contextmanager
def kept_memory(keep: bool = True) -> Iterator[None]:
    """Keep freed memory for a while, to be used again; only where the C library is glibc.

    It gives blocks of more than 32 MiB back at once, and the system maps them anew, page by page,
    when they are next asked for: a third of a training step with 50,000 embeddings of 256 numbers.

    Args:
        keep: False gives it back for a while, within a block that keeps it: what takes much memory
            now and then, as an evaluation does, would leave its pieces behind.
    """
    _keep_memory(keep)
    try:
        yield
    finally:
        _keep_memory(not keep)


def _keep_memory(keep: bool) -> None:
    libc = _libc()
    if not hasattr(libc, "mallopt"):
        return
    libc.mallopt(M_MMAP_MAX, 0 if keep else MOST_MAPPINGS)
    if not keep:
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
    libc.mallopt(M_TRIM_THRESHOLD, LARGEST if keep else 2 * LARGE_BLOCK)
    if not keep:
        libc.malloc_trim(0)


def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
