from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.batches import distinct, windows
from thence.batches.distinct import distinct_windows
from thence.tokens import TokenStore

V = 4


def store_from(documents: list[str]) -> TokenStore:
    """Ids a = 0, b = 1, c = 2, boundary = 3."""
    ids = [3]
    for document in documents:
        ids += ["abc".index(letter) for letter in document] + [3]
    counts = np.array([len(document) for document in documents], np.int64)
    offsets = np.concatenate([[1], 1 + np.cumsum(counts + 1)]).astype(np.int64)
    return TokenStore(np.array(ids, np.uint8), offsets, counts, counts, 3)


def slow_counts(
    store: TokenStore, context: int, carry: bool
) -> dict[tuple[int, ...], Counter[int]]:
    counts: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for *before, target in windows(store, context, carry).gather(slice(None)).tolist():
        counts[tuple(before)][target] += 1
    return dict(counts)


@given(
    st.lists(st.text("abc", max_size=4), min_size=1, max_size=5), st.integers(1, 3), st.booleans()
)
@settings(deadline=None)
def test_contexts_and_counts_are_those_of_a_loop(
    documents: list[str], context: int, carry: bool
) -> None:
    store = store_from(documents * 8)  # Repeated, so that collapsing pays.
    found = distinct_windows(store, context, V, carry)
    expected = slow_counts(store, context, carry)
    if found is None:
        assert len(expected) * distinct.LEAST_REPEATS > store.num_targets
        return
    contexts = map(tuple, found.contexts.tolist())
    rows = dict(zip(contexts, found.counts, strict=True))
    assert len(found.contexts) == len(expected)
    assert {
        row: Counter({index: int(n) for index, n in enumerate(counts) if n})
        for row, counts in rows.items()
    } == expected
    repeats = found.counts.sum(axis=1)
    assert (np.diff(repeats) <= 0).all()  # Most frequent first.


def test_nothing_repeats_so_nothing_is_collapsed() -> None:
    assert distinct_windows(store_from(["abcacb"]), 3, V) is None


def test_a_table_that_would_be_too_large_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_from(["ab"] * 50)
    # Contexts of one id: boundary, a, b; 3 x 4 cells.
    monkeypatch.setattr(distinct, "MOST_CELLS", 12)
    assert distinct_windows(store, 1, V) is not None
    monkeypatch.setattr(distinct, "MOST_CELLS", 11)
    assert distinct_windows(store, 1, V) is None


@pytest.mark.parametrize("context", [1, 2, 3, 4, 8])
def test_large_vocabularies_do_not_overflow(context: int) -> None:
    size = 70_000  # size^3 has 49 bits, size^4 has 65.
    ids = np.array([size - 1, *[size - 2, size - 1] * 40], np.uint32)
    offsets = np.arange(1, 82, 2)
    counts = np.ones(40, np.int64)
    store = TokenStore(ids, offsets, counts, counts, size - 1)
    found = distinct_windows(store, context, size)
    if context >= 4:
        assert found is None
        return
    assert found is not None
    # Two contexts: boundaries only, and boundaries with the one word last.
    boundaries = [size - 1] * context
    expected = {(*boundaries,), (*boundaries[1:], size - 2)}
    assert {tuple(row) for row in found.contexts.tolist()} == expected
    assert found.counts.sum() == 80
