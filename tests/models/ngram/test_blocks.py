"""Counts that were made apart and put together, against counting at once."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.models.ngram.blocks import (
    assemble,
    count_after,
    cut_by_first_word,
    merge,
    ranges_of_words,
)
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.sorting import OrderCounts
from thence.tokens import TokenStore

StoreOf = Callable[[Iterable[str]], TokenStore]


def assert_equal(found: Sequence[OrderCounts], expected: Sequence[OrderCounts]) -> None:
    for order, other in zip(found, expected, strict=True):
        for part in ("keys", "counts", "suffixes"):
            values, others = getattr(order, part), getattr(other, part)
            assert values.dtype == others.dtype
            assert np.array_equal(values, others)


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(st.text("abc", max_size=9), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 13), max_size=5),
    bounds=st.lists(st.integers(0, 4), max_size=4),
    order=st.integers(1, 6),
    carry_context=st.booleans(),
)
def test_equals_counting_at_once(
    store_of: StoreOf,
    texts: list[str],
    cuts: list[int],
    bounds: list[int],
    order: int,
    carry_context: bool,
) -> None:
    store = store_of(["abc", *texts])
    documents = np.split(np.arange(store.num_documents), sorted(cuts))
    ranges = np.array([0, *sorted(bounds), 4])
    counted, context = [], store.ids[:1]
    for some in documents:
        piece = store.take(some)
        if carry_context:
            counted.append(count_after(context, piece, order, 4))
            context = np.concatenate([context, piece.targets])[-max(order - 1, 1) :]
        else:
            counted.append(count_ngrams(piece, order, 4, False))
    cut = [cut_by_first_word(counts, ranges, 4) for counts in counted]
    merged = [merge(parts, 4) for parts in zip(*cut, strict=True)]
    assert_equal(assemble(merged, 4), count_ngrams(store, order, 4, carry_context))


def test_a_part_worked_by_hand(store_of: StoreOf) -> None:
    # The ids are a 0, b 1 and the boundary | 2; the text is | a b | b |.
    store = store_of(["ab", "b"])
    of_a, of_rest = cut_by_first_word(count_ngrams(store, 2, 3, False), np.array([0, 1, 3]), 3)
    assert of_a.unigrams.tolist() == [1]
    assert (of_a.longer[0].prefixes.tolist(), of_a.longer[0].words.tolist()) == ([0], [1])
    assert of_rest.unigrams.tolist() == [2, 2]
    rest = of_rest.longer[0]  # b |, | a and | b, whose first words are 0 and 1 of the range
    assert rest.prefixes.tolist() == [0, 1, 1]
    assert rest.words.tolist() == [2, 0, 1]
    assert rest.counts.tolist() == [2, 1, 1]
    assert of_rest.num_bytes == 2 + 3 * (4 + 1 + 1)
    twice = merge([of_rest, of_rest], 3)
    assert twice.unigrams.tolist() == [4, 4]
    assert twice.longer[0].counts.tolist() == [4, 2, 2]


def test_ranges_are_of_about_equal_size() -> None:
    counts = np.array([50, 1, 1, 40, 30, 30, 30, 20])
    assert ranges_of_words(counts, 1).tolist() == [0, 8]
    assert ranges_of_words(counts, 2).tolist() == [0, 4, 8]
    # A word that is more frequent than a share leaves a range with nothing.
    assert ranges_of_words(np.array([90, 5, 5]), 3).tolist() == [0, 0, 0, 3]


def test_many_ngrams_of_many_words() -> None:
    # Numbers of n-grams times the size of the vocabulary are more than 32 bits hold.
    random = np.random.default_rng(0)
    ids = (70_000 * random.random(120_001) ** 3).astype(np.uint32)
    ids[::20] = 70_000
    lengths = np.full(6_000, 19)
    store = TokenStore(ids, np.arange(6_001) * 20 + 1, lengths, lengths, 70_000)
    bounds = ranges_of_words(np.bincount(ids, minlength=70_001), 3)
    halves = [store.take(np.arange(0, 2_500)), store.take(np.arange(2_500, 6_000))]
    cut = [
        cut_by_first_word(count_ngrams(half, 4, 70_001, False), bounds, 70_001) for half in halves
    ]
    merged = [merge(parts, 70_001) for parts in zip(*cut, strict=True)]
    assert_equal(assemble(merged, 70_001), count_ngrams(store, 4, 70_001, False))
