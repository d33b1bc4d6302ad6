"""Numbers by 64-bit hash: a hash table that is asked for a whole chunk of words at once.

The first bits of a hash say in which slot it belongs; where another sits there already, it takes
the next slot that is free. All hashes go their way together, so there are only as many steps as the
longest of these ways has, and each step looks only at those that have not arrived.
"""

import numpy as np

from thence._core import library
from thence._core import words as core_words
from thence.array_types import Int32, Int64, Integer, UInt64

SLOTS_PER_HASH = 2
"""At least so many; with fewer, ways are longer."""
AT_ONCE = 1 << 18
"""Hashes that go their way together when they are added, which bounds the memory."""

Hashes = UInt64[np.ndarray, " hashes"]


class HashTable:
    """Numbers of hashes that look random, such as those of ``hash_words``."""

    def __init__(self) -> None:
        self._size = 0
        self._make_slots(16)

    def _make_slots(self, bits: int) -> None:
        self._bits = bits
        self._hashes = np.zeros(1 << bits, np.uint64)
        self._numbers = np.full(1 << bits, -1, np.int32)  # -1 where a slot is free

    def _first_slots(self, hashes: Hashes) -> Int64[np.ndarray, " hashes"]:
        return (hashes >> np.uint64(64 - self._bits)).astype(np.int64)

    def find(self, hashes: Hashes) -> Int32[np.ndarray, " hashes"]:
        """Return the number of each hash, -1 where it has none."""
        if library() is not None:
            return core_words.find_numbers(self.core_table, hashes)
        return self.find_in_numpy(hashes)

    @property
    def core_table(self) -> core_words.Table:
        """The table as the compiled core reads it, as long as nothing is added."""
        return core_words.Table.of(self._hashes, self._numbers)

    def find_in_numpy(self, hashes: Hashes) -> Int32[np.ndarray, " hashes"]:
        """Return what ``find`` does, where there is no compiled core."""
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
        """Give the table 2^bits slots."""
        taken = self._numbers >= 0
        hashes, numbers = self._hashes[taken], self._numbers[taken]
        self._make_slots(bits)
        self._insert(hashes, numbers)

    def add(self, hashes: Hashes, numbers: Integer[np.ndarray, " hashes"]) -> None:
        """Give numbers from 0 up, each once, to hashes that have none yet."""
        self._size += len(hashes)
        bits = (SLOTS_PER_HASH * self._size).bit_length()
        if bits > self._bits:
            self.enlarge(bits)
        self._insert(hashes, numbers)

    def _insert(self, hashes: Hashes, numbers: Integer[np.ndarray, " hashes"]) -> None:
        for first in range(0, len(hashes), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            self._insert_part(hashes[part], numbers[part])

    def _insert_part(self, hashes: Hashes, numbers: Integer[np.ndarray, " hashes"]) -> None:
        slots = self._first_slots(hashes)
        while len(hashes):
            free = self._numbers[slots] < 0
            self._numbers[slots[free]] = numbers[free]
            is_in = self._numbers[slots] == numbers  # One of those that came to the same slot.
            self._hashes[slots[is_in]] = hashes[is_in]
            hashes, numbers, slots = hashes[~is_in], numbers[~is_in], slots[~is_in] + 1
            slots %= len(self._numbers)
