"""A hash table from 64-bit hashes to numbers, looked up for a whole chunk of words at once.

It uses open addressing with linear probing: the first bits of a hash are its slot; if that is taken
by another hash, the next free slot is used. All hashes are probed together, one vectorised step per
slot, so there are as many steps as the longest probe sequence, each only for unfinished hashes.
"""

import numpy as np

from thence._core import library
from thence._core import words as core_words
from thence.array_types import Int32, Int64, Integer, UInt64

SLOTS_PER_HASH = 2
"""Minimal slots per hash (load factor 1/2); with fewer, probe sequences are longer."""
MANY = 1 << 20
"""Number of hashes from which on the load factor may be 4/5, for half the memory; the hashes that
were added first, which are those of frequent words, keep short probe sequences."""
AT_ONCE = 1 << 18
"""Hashes that are inserted together, which bounds the memory."""

Hashes = UInt64[np.ndarray, " hashes"]


class HashTable:
    """A table from well-mixed 64-bit hashes, such as those of ``hash_words``, to numbers.

    Args:
        size: How many there will be, if that is known.
    """

    def __init__(self, size: int = 0) -> None:
        self._size = 0
        self._make_slots(max(16, _bits_for(size)))

    def _make_slots(self, bits: int) -> None:
        self._bits = bits
        self._hashes = np.zeros(1 << bits, np.uint64)
        self._numbers = np.full(1 << bits, -1, np.int32)  # -1: the slot is free.

    def _first_slots(self, hashes: Hashes) -> Int64[np.ndarray, " hashes"]:
        return (hashes >> np.uint64(64 - self._bits)).astype(np.int64)

    def find(self, hashes: Hashes) -> Int32[np.ndarray, " hashes"]:
        """Return the number of each hash; -1 if it is not in the table."""
        if library() is not None:
            return core_words.find_numbers(self.core_table, hashes)
        return self.find_in_numpy(hashes)

    @property
    def core_table(self) -> core_words.Table:
        """The table in the form of the compiled core; valid until something is added."""
        return core_words.Table.of(self._hashes, self._numbers)

    def find_in_numpy(self, hashes: Hashes) -> Int32[np.ndarray, " hashes"]:
        """Return the number of each hash; the NumPy twin of the C kernel ``find_numbers``."""
        slots = self._first_slots(hashes)
        numbers: Int32[np.ndarray, " hashes"] = self._numbers[slots]
        going = np.flatnonzero((self._hashes[slots] != hashes) & (numbers >= 0))
        while len(going):
            slots[going] += 1
            slots[going] %= len(self._numbers)
            at = slots[going]
            numbers[going] = self._numbers[at]
            going = going[(self._hashes[at] != hashes[going]) & (numbers[going] >= 0)]
        return numbers

    def enlarge(self, bits: int) -> None:
        """Resize the table to 2^bits slots."""
        taken = self._numbers >= 0
        hashes, numbers = self._hashes[taken], self._numbers[taken]
        self._make_slots(bits)
        self._insert(hashes, numbers)

    def sorted(self) -> tuple[Hashes, Int32[np.ndarray, " hashes"]]:
        """Return all hashes in order, and their numbers."""
        taken = self._numbers >= 0
        hashes, numbers = self._hashes[taken], self._numbers[taken]
        order = np.argsort(hashes, kind="stable")
        return hashes[order], numbers[order]

    def add(self, hashes: Hashes, numbers: Integer[np.ndarray, " hashes"]) -> None:
        """Add new hashes with their numbers, which are distinct and at least 0."""
        self._size += len(hashes)
        bits = _bits_for(self._size)
        if bits > self._bits:
            self.enlarge(bits)
        self._insert(hashes, numbers)

    def _insert(self, hashes: Hashes, numbers: Integer[np.ndarray, " hashes"]) -> None:
        for first in range(0, len(hashes), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            self._insert_part(hashes[part], numbers[part])

    def _insert_part(self, hashes: Hashes, numbers: Integer[np.ndarray, " hashes"]) -> None:
        """Insert some new hashes together, one probe per step."""
        slots = self._first_slots(hashes)
        while len(hashes):
            free = self._numbers[slots] < 0
            # Of several hashes for one free slot the last one written wins; the others go on.
            self._numbers[slots[free]] = numbers[free]
            is_in = self._numbers[slots] == numbers
            self._hashes[slots[is_in]] = hashes[is_in]
            hashes, numbers, slots = hashes[~is_in], numbers[~is_in], slots[~is_in] + 1
            slots %= len(self._numbers)


def _bits_for(size: int) -> int:
    """Return the logarithm of how many slots a table of so many hashes has."""
    return (size * 5 // 4 if size >= MANY else SLOTS_PER_HASH * size).bit_length()
