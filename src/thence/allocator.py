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
MAX_VALUE, LARGE_BLOCK, DEFAULT_MAPPINGS = 2**31 - 1, 32 << 20, 1 << 16
"""The largest value of a parameter; the largest ``M_MMAP_THRESHOLD`` (bytes) that glibc chooses by
itself; its default of ``M_MMAP_MAX``."""


def trim() -> None:
    """Return all freed memory to the system, also below blocks in use (``malloc_trim``).

    After millions of small arrays the freed memory may be as much as the memory in use.
    """
    libc = _libc()
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


@contextmanager
def keep_freed_memory(keep: bool = True) -> Iterator[None]:
    """Context manager: the C library keeps freed memory in the process for later allocations.

    By default glibc returns freed blocks of more than 32 MiB at once, and the system maps new ones
    page by page at the next allocation: a third of a training step with 50,000 embeddings of 256
    numbers.

    Args:
        keep: False returns freed memory, for a part within a block that keeps it: work that takes
            much memory now and then, such as an evaluation, would leave it fragmented.
    """
    _keep_memory(keep)
    try:
        yield
    finally:
        _keep_memory(not keep)


def _keep_memory(keep: bool) -> None:
    """Set malloc's thresholds to keep freed memory; or back to their defaults, and trim."""
    libc = _libc()
    if not hasattr(libc, "mallopt"):
        return
    libc.mallopt(M_MMAP_MAX, 0 if keep else DEFAULT_MAPPINGS)
    if not keep:
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
    libc.mallopt(M_TRIM_THRESHOLD, MAX_VALUE if keep else 2 * LARGE_BLOCK)
    if not keep:
        libc.malloc_trim(0)


def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
