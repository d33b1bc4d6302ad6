"""The hash table against a dictionary."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.tokens.hashing import HashTable

HASHES = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 9), st.integers(2**64 - 9, 2**64 - 1))


@settings(max_examples=100, deadline=None)
@given(batches=st.lists(st.lists(HASHES, max_size=12), max_size=5), asked=st.lists(HASHES))
def test_numbers_are_those_of_a_dictionary(batches: list[list[int]], asked: list[int]) -> None:
    table, expected = HashTable(), dict[int, int]()
    for batch in batches:  # Neighbouring hashes belong in one slot, and in the last and the first.
        fresh = [value for value in dict.fromkeys(batch) if value not in expected]
        numbers = np.arange(len(expected), len(expected) + len(fresh))
        table.add(np.array(fresh, np.uint64), numbers)
        expected |= zip(fresh, numbers.tolist(), strict=True)
    asked += expected
    found = table.find(np.array(asked, np.uint64))
    assert found.tolist() == [expected.get(value, -1) for value in asked]


def test_the_table_grows() -> None:
    hashes = np.random.default_rng(1).integers(0, 2**64, 100_000, dtype=np.uint64)
    table = HashTable()
    for start in range(0, len(hashes), 10_000):
        table.add(hashes[start : start + 10_000], np.arange(start, start + 10_000))
    np.testing.assert_array_equal(table.find(hashes), np.arange(len(hashes)))
    assert np.all(table.find(hashes + np.uint64(1)) == -1)
