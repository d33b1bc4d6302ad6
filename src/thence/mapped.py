"""Arrays in files: written by appending, then memory-mapped; their pages can be released.

Pages that a process reads of a mapped file count as its memory until the system evicts them.
``release`` drops them at once, so that a large array read block by block takes the memory of one
block.
"""

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from tempfile import TemporaryFile
from typing import Any, Literal, Protocol
from weakref import finalize

import numpy as np

from thence.errors import RunError

Array = np.ndarray[Any, np.dtype[Any]]
READ_AT_ONCE, STRETCH = 16, 1 << 18
"""Places in a mapped array that are read before its memory is released; the system may map 2 MB for
each. Number of values between those that ``search`` samples: 2 MB."""


class Column(Protocol):
    """An array that is filled by appending."""

    def append(self, values: Array) -> None:
        """Add values at the end."""

    def array(self) -> Array:
        """Return the whole array, once it is filled."""


Columns = Callable[[Any, int], Column]
"""Makes an empty column of a dtype and a maximal length."""


class MemoryColumn:
    """A column in memory.

    Args:
        dtype: Type of the numbers.
        size: Maximal length; the system allocates only pages that are written.
    """

    def __init__(self, dtype: Any, size: int) -> None:
        self._array, self._size = np.empty(size, dtype), 0

    def append(self, values: Array) -> None:
        """Add values at the end."""
        self._array[self._size : self._size + len(values)] = values
        self._size += len(values)

    def array(self) -> Array:
        """Return the whole array, once it is filled."""
        return self._array[: self._size]


class Spool:
    """A column in a temporary file, which is removed when its last reader is gone.

    It is written as a file: writing to a memory map on a full disk would kill the process (SIGBUS).

    Args:
        dtype: Type of the numbers.
    """

    def __init__(self, dtype: Any, _: int = 0) -> None:
        self.dtype, self.size = np.dtype(dtype), 0
        self._file = TemporaryFile(prefix="thence-")  # noqa: SIM115 (closed with the object)
        finalize(self, self._file.close)

    def append(self, values: Array) -> None:
        """Add values at the end."""
        self.overwrite(self.size, values)
        self.size += len(values)

    def overwrite(self, start: int, values: Array) -> None:
        """Write values at the positions from ``start`` on."""
        self._file.seek(start * self.dtype.itemsize)
        self._file.write(np.ascontiguousarray(values, self.dtype).data)

    def read(self, start: int, stop: int) -> Array:
        """Return the values from ``start`` to before ``stop``."""
        values = np.empty(stop - start, self.dtype)
        self._file.seek(start * self.dtype.itemsize)
        self._file.readinto(values.data)
        return values

    def array(self) -> Array:
        """Return all values, memory-mapped."""
        self._file.flush()
        return map_file(self._file, self.dtype, self.size)


def map_file(file: Any, dtype: Any, size: int, offset: int = 0) -> Array:
    """Return the numbers in a file, memory-mapped for reading.

    Args:
        file: The open file or its path.
        dtype: Type of the numbers.
        size: Their number.
        offset: Position of the first in bytes.
    """
    if not size:
        return np.zeros(0, dtype)
    return np.asarray(np.memmap(file, dtype, "r", offset, size))


def pieces(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges of ``size`` numbers from ``start`` to ``stop``, the last smaller."""
    return pairwise([*range(start, stop, size), stop]) if start < stop else iter(())


def release(*arrays: Array) -> None:
    """Drop the pages of memory-mapped arrays that were read; other arrays are left as they are."""
    for base in map(_base, arrays):
        if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # Not on Windows.
            base.madvise(mmap.MADV_DONTNEED)


def on_disk(array: Array) -> Array:
    """Return a copy of an array in a temporary file, memory-mapped."""
    copy = Spool(array.dtype)
    copy.append(array)
    return copy.array()


def strided(values: Array, stride: int) -> Array:
    """Return a copy of every ``stride``-th value of an array that may be mapped."""
    found = [values[:0]]
    for first in range(0, len(values), READ_AT_ONCE * stride):
        found.append(values[first : first + READ_AT_ONCE * stride : stride].copy())
        release(values)
    return np.concatenate(found)


def search(ordered: Array, wanted: Array, side: Literal["left", "right"] = "left") -> Array:
    """Return what ``np.searchsorted`` does, for few values in a large array that may be mapped.

    A binary search reads from all over the file. Here it is of one stretch between sampled values.
    """
    if not is_mapped(ordered):
        return np.searchsorted(ordered, wanted, side)
    blocks = np.searchsorted(strided(ordered, STRETCH), wanted, side)
    places = np.empty(len(wanted), np.int64)
    for index, (value, block) in enumerate(zip(wanted, blocks.tolist(), strict=True)):
        start = max(block - 1, 0) * STRETCH
        places[index] = start + np.searchsorted(ordered[start : block * STRETCH], value, side)
        if index % READ_AT_ONCE == 0:
            release(ordered)
    release(ordered)
    return places


def is_mapped(array: Array) -> bool:
    """Return whether an array is memory-mapped from a file."""
    return isinstance(_base(array), mmap.mmap)


def _base(array: Any) -> Any:
    while isinstance(array, np.ndarray):
        array = array.base
    return array


@contextmanager
def explain_disk_errors(memory: int | None = None) -> Iterator[None]:
    """Context manager: turn an OSError of temporary files into a RunError that says what to do.

    Args:
        memory: The limit in bytes that makes the temporary files necessary, for the message; None:
            the size of the text does.

    Raises:
        RunError: If the files cannot be written.
    """
    try:
        yield
    except OSError as error:
        what, more = "A large text", ""
        if memory is not None:
            what, more = f"Working in {memory} bytes of memory", ", or give more memory"
        raise RunError(
            f"{what} needs room for temporary files, which cannot be written "
            f"({error.strerror or error}); free some space, or set TMPDIR to another folder{more}."
        ) from error
