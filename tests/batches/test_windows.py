from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thence.batches import group_by_context, windows
from thence.batches.windows import distinct_windows, window_batches
from thence.errors import SettingError
from thence.tokens import TokenStore

V = 4
TEXTS = st.lists(st.text("abc", max_size=4), max_size=5)


def store_from(documents: list[str], dtype: type = np.uint8) -> TokenStore:
    """Ids a = 0, b = 1, c = 2, boundary = 3."""
    ids = [3]
    for document in documents:
        ids += ["abc".index(letter) for letter in document] + [3]
    counts = np.array([len(document) for document in documents], np.int64)
    offsets = np.concatenate([[1], 1 + np.cumsum(counts + 1)]).astype(np.int64)
    return TokenStore(np.array(ids, dtype), offsets, counts, counts, 3)


def slow_windows(documents: list[str], context: int, carry: bool) -> list[list[int]]:
    examples = []
    past = [3] * context
    for document in documents:
        if not carry:
            past = [3] * context
        for target in ["abc".index(letter) for letter in document] + [3]:
            examples.append([*past[-context:], target])
            past.append(target)
    return examples


@given(TEXTS, st.integers(1, 5), st.booleans())
@example([], 3, False)
@example(["", "", ""], 4, False)
@example(["", "", ""], 4, True)
@settings(deadline=None)
def test_windows_are_what_a_loop_would_cut(documents: list[str], context: int, carry: bool) -> None:
    cut = windows(store_from(documents), context, carry)
    expected = slow_windows(documents, context, carry)
    assert len(cut) == len(expected)
    assert cut.gather(slice(None)).tolist() == expected


def test_the_drawing_in_the_docstring() -> None:
    cut = windows(store_from(["ab", "c"]), 3)
    assert cut.padded.tolist() == [3, 3, 3, 0, 1, 3, 3, 3, 2, 3]
    assert cut.gather(np.array([3, 0])).tolist() == [[3, 3, 3, 2], [3, 3, 3, 0]]


@pytest.mark.parametrize("size", [126, 127, 128, 255, 256])
@pytest.mark.parametrize("carry", [False, True])
def test_positions_do_not_overflow_their_small_type(size: int, carry: bool) -> None:
    # Around 2^7 and 2^8 places the smallest integer type that numbers them changes.
    for documents in (["a" * size], ["a"] * (size // 2), [""] * size):
        expected = slow_windows(documents, 3, carry)
        assert windows(store_from(documents), 3, carry).gather(slice(None)).tolist() == expected


def test_a_context_longer_than_any_document() -> None:
    documents = ["a", "", "bc"]
    found = windows(store_from(documents), 300).gather(slice(None))
    assert found.tolist() == slow_windows(documents, 300, False)


def test_examples_are_64_bit_for_torch() -> None:
    assert windows(store_from(["ab"]), 2).gather(slice(None)).dtype == np.int64


@given(TEXTS, st.integers(1, 3), st.booleans())
@example([], 2, False)
@settings(deadline=None)
def test_groups_hold_every_target_once_by_context(
    documents: list[str], context: int, carry: bool
) -> None:
    cut = windows(store_from(documents), context, carry)
    order, starts = group_by_context(cut, 4)
    assert sorted(order.tolist()) == list(range(len(cut)))
    contexts = cut.gather(slice(None))[:, :-1]
    groups = [order[a:b] for a, b in pairwise(starts.tolist())]
    seen = [{tuple(row) for row in contexts[group].tolist()} for group in groups]
    assert all(len(one) == 1 for one in seen)
    assert len(set().union(*seen)) == len(groups)


def test_contexts_too_long_to_group_are_left_alone() -> None:
    # 2^16 ids and 4 of them: 64 bits, more than a key holds.
    cut = windows(store_from(["ab", "ab"]), 4)
    order, starts = group_by_context(cut, 1 << 16)
    assert order.tolist() == list(range(6))
    assert starts.tolist() == list(range(7))


def test_emma_makes_five_examples(store_of: Callable[[Iterable[str]], TokenStore]) -> None:
    # e, m, m, a and the end; ids a = 0, e = 1, m = 2, boundary = 3.
    examples = windows(store_of(["emma"]), 3).gather(slice(None))
    assert examples.tolist() == [
        [3, 3, 3, 1],
        [3, 3, 1, 2],
        [3, 1, 2, 2],
        [1, 2, 2, 0],
        [2, 2, 0, 3],
    ]


def test_the_first_five_names_make_32_examples(five_names: TokenStore) -> None:
    # (4 + 1) + (6 + 1) + (3 + 1) + (8 + 1) + (6 + 1) = 32
    assert windows(five_names, 3).gather(slice(None)).shape == (32, 4)


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
        assert len(expected) * distinct.MIN_REPEATS > store.num_targets
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


def test_a_table_that_would_be_too_large_is_not_made() -> None:
    store = store_from(["ab"] * 50)
    # Contexts of one id: boundary, a, b; 3 x 4 cells.
    assert distinct_windows(store, 1, V, max_cells=12) is not None
    assert distinct_windows(store, 1, V, max_cells=11) is None


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


def test_whole_contexts_stand_in_their_document():
    # Of "abc" with a context of two: ab before c; of "ab" and "a" nothing is left.
    store = store_from(["abc", "ab", "a", "bcab"])
    cut = windows(store, 2, whole=True)
    names = dict(enumerate("abc"))
    found = ["".join(names[index] for index in row) for row in cut.gather(slice(None)).tolist()]
    assert found == ["abc", "bca", "cab"]
    assert distinct_windows(store, 1, V, whole=True).counts.sum() == 2 + 1 + 3
    with pytest.raises(SettingError, match="no document has 4 tokens and another after them"):
        window_batches(store, 4, V, 8, 0, False, whole=True)
