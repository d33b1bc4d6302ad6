"""Counting in bounded memory against counting without a bound."""

import errno
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence import mapped
from thence.errors import RunError
from thence.mapped import Spool
from thence.models.memory_guard import within_memory
from thence.models.ngram import NGram, NGramOptions, external, gathering, jelinek_mercer
from thence.models.ngram import smoothing as smoothing_module
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.smoothing import Smoothing
from thence.models.ngram.sorting import OrderCounts
from thence.tokens import TokenStore

StoreOf = Callable[[Iterable[str]], TokenStore]
PARTS = ("keys", "counts", "suffixes")


def assert_equal(found: list[OrderCounts], expected: list[OrderCounts]) -> None:
    for order, other in zip(found, expected, strict=True):
        for part in PARTS:
            values, others = getattr(order, part), getattr(other, part)
            assert values.dtype == others.dtype
            assert np.array_equal(values, others)


@settings(max_examples=80, deadline=None)
@given(
    texts=st.lists(st.text("abc", max_size=9), min_size=1, max_size=12),
    order=st.integers(1, 5),
    carry_context=st.booleans(),
    ngrams=st.integers(0, 40),
)
def test_equals_counting_in_memory(
    store_of: StoreOf, texts: list[str], order: int, carry_context: bool, ngrams: int
) -> None:
    store = store_of(["abc", *texts])
    memory = ngrams * external.BYTES_PER_NGRAM
    bounded = count_ngrams(store, order, 4, carry_context, memory)
    assert_equal(bounded, count_ngrams(store, order, 4, carry_context))


def random_store(targets: int, words: int) -> TokenStore:
    """Frequent and rare words in documents of 20 targets; the last id is the boundary."""
    random = np.random.default_rng(0)
    ids = (words * random.random(targets + 1) ** 3).astype(np.uint16)
    ids[::20] = words
    documents = targets // 20
    lengths = np.full(documents, 19)
    return TokenStore(ids, np.arange(documents + 1) * 20 + 1, lengths, lengths, words)


def peak(store: TokenStore, memory: int | None) -> tuple[int, list[OrderCounts]]:
    tracemalloc.start()
    try:
        counts = count_ngrams(store, 4, 10_001, False, memory)
        return tracemalloc.get_traced_memory()[1], counts
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_stays_within_the_bound() -> None:
    store = random_store(2_000_000, 10_000)
    bounded, counts = peak(store, 32 << 20)
    unbounded, expected = peak(store, None)
    assert bounded < 32 << 20 < 128 << 20 < unbounded
    assert_equal(counts, expected)


@pytest.mark.slow
def test_one_frequent_ngram_does_not_break_the_bound() -> None:
    store = random_store(2_000_000, 10_000)
    store.ids[:] = 3  # A single n-gram, whatever the order.
    bounded, counts = peak(store, 16 << 20)
    assert bounded < 16 << 20
    assert len(counts[1].keys) == 1


def test_the_temporary_files_are_removed(
    store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    counts = count_ngrams(store_of(["abba", "cab"]), 3, 4, False, 1000)
    assert not list(tmp_path.iterdir())
    assert counts[2].counts.sum() == 7  # 5 + 4 targets, of which 2 come after a boundary alone


def test_a_full_disk_is_a_sentence(
    store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Spool, "overwrite", full)
    with pytest.raises(RunError, match=r"No space left on device.*free some space"):
        count_ngrams(store_of(["abba"]), 3, 3, False, 1000)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text("abc", max_size=9), min_size=3, max_size=12),
    order=st.integers(1, 5),
    smoothing=st.sampled_from(get_args(Smoothing)),
    prune=st.sampled_from([(), (0, 1), (1, 2)]),
    share=st.sampled_from([None, 1e-3]),
    carry_context=st.booleans(),
    size=st.integers(1, 20),
)
def test_the_model_is_the_same_to_the_bit(
    store_of: StoreOf,
    texts: list[str],
    order: int,
    smoothing: Smoothing,
    prune: tuple[int, ...],
    share: float | None,
    carry_context: bool,
    size: int,
) -> None:
    if smoothing in ("mle", "add-k", "stupid-backoff"):
        prune, share = (), None
    store = store_of(["abc", *texts])
    options = NGramOptions(order, smoothing, prune=prune, prune_entropy=share)
    unbounded = NGram(options, 4)
    expected = unbounded.fit(store, carry_context, store)
    bounded = NGram(replace(options, memory="200B"), 4)
    with pytest.MonkeyPatch.context() as patch:
        for module in (external, gathering, jelinek_mercer, smoothing_module):
            patch.setattr(module, "BLOCK", size)
        found = bounded.fit(store, carry_context, store)
        score = bounded.log_prob(store, carry_context)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-12))
    assert score == pytest.approx(unbounded.score(store, carry_context).sum(), rel=1e-12)
    tensors = bounded.tensors()
    for name, value in unbounded.tensors().items():
        assert tensors[name].dtype == value.dtype
        assert np.array_equal(tensors[name], value), name


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-9, 9), min_size=1, max_size=40),
    asked=st.lists(st.integers(0, 1000), max_size=60),
    memory=st.integers(1, 2000),
)
def test_looking_up_range_by_range(values: list[float], asked: list[int], memory: int) -> None:
    array, numbers = np.array(values), np.array(asked, np.int32) % np.int32(len(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathering, "BLOCK", 7)
        found = gathering.Gathered(array, numbers, memory)
        assert np.array_equal(found[0 : len(numbers)], array[numbers])
        for weights in (None, np.arange(len(numbers))):
            sums = gathering.sum_by_number(numbers, weights, len(values), memory)
            assert np.array_equal(sums, np.bincount(numbers, weights, len(values)))


def test_a_model_larger_than_memory_is_asked_from_disk(store_of: StoreOf) -> None:
    store = store_of(["abcab", "cabba"])
    model, other = NGram(NGramOptions(3), 4), NGram(NGramOptions(3), 4)
    for one in (model, other):
        one.fit(store)
    with within_memory(100):
        assert model.queries.core is None
    assert np.array_equal(model.score(store), other.score(store))


@given(
    values=st.lists(st.integers(0, 30), min_size=1, max_size=40),
    wanted=st.lists(st.integers(-1, 31), max_size=9),
    side=st.sampled_from(["left", "right"]),
)
def test_searching_on_disk(values: list[int], wanted: list[int], side: Any) -> None:
    ordered = np.sort(np.array(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "STRETCH", 4)
        patch.setattr(mapped, "READ_AT_ONCE", 2)
        found = mapped.search(mapped.on_disk(ordered), np.array(wanted, np.int64), side)
        assert mapped.strided(ordered, 3).tolist() == ordered[::3].tolist()
    assert np.array_equal(found, np.searchsorted(ordered, wanted, side))
