"""Quantiles of values on disk, in passes over them."""

from collections.abc import Iterator
from math import inf

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from thence.filtering.journal import at_ranks

values = st.one_of(st.floats(1, 1e308), st.sampled_from([1.0, 2.0, inf]))


@given(st.lists(values, min_size=1, max_size=50), st.integers(1, 7))
def test_the_value_of_each_rank_is_that_of_a_sorted_array(found: list[float], size: int) -> None:
    array = np.array(found)

    def parts() -> Iterator[np.ndarray]:
        for first in range(0, len(array), size):
            yield array[first : first + size]

    assert at_ranks(parts, np.arange(len(array))) == sorted(found)
