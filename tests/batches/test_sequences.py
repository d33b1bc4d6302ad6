"""Streams and padded documents: every target exactly once, whatever the sizes."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.batches import Padded, Streams
from thence.batches.sequences import stream_bounds
from thence.tokens import TokenStore

StoreOf = Callable[[Iterable[str]], TokenStore]


def make_store(lengths: list[int]) -> TokenStore:
    """Documents of these lengths, whose ids never repeat (the boundary apart)."""
    boundary = 60_000
    ids, following = [boundary], iter(range(boundary))
    for length in lengths:
        ids += [next(following) for _ in range(length)] + [boundary]
    offsets = np.cumsum([1, *(length + 1 for length in lengths)])
    sizes = np.array(lengths)
    return TokenStore(np.array(ids, np.uint16), offsets, sizes, sizes, boundary)


lengths = st.lists(st.integers(0, 12), min_size=1, max_size=30)
small = st.integers(1, 9)


def test_streams_by_hand() -> None:
    store = make_store([2, 4])  # | 0 1 | 2 3 4 5 |: eight targets... less one boundary, seven.
    assert store.num_targets == 8
    streams = Streams(store, streams=3, window=2)
    # 8 targets in 3 streams: 3, 3 and 2. Windows of 2, then the rest of 1, which the last lacks.
    assert streams.lengths.tolist() == [3, 3, 2]
    first, second = streams.at(0), streams.at(1)
    b = store.boundary_id
    assert first.ids.tolist() == [[b, 0], [b, 2], [4, 5]]
    assert first.targets.tolist() == [[0, 1], [2, 3], [5, b]]
    assert first.valid is None and first.fresh and first.weight == 6
    assert second.targets[:2].tolist() == [[b], [4]]
    assert second.valid is not None and second.valid[:, 0].tolist() == [True, True, False]
    assert not second.fresh and second.weight == second.tokens == 2


@given(lengths, small, small, st.booleans())
def test_every_target_of_a_stream_comes_once_an_epoch(
    documents: list[int], streams: int, window: int, vary: bool
) -> None:
    store = make_store(documents)
    streams = Streams(store, streams, window, seed=1, vary=vary)
    for epoch in range(2):
        places = []
        for step in range(streams.steps_per_epoch):
            at, valid, fresh = streams.places(epoch * streams.steps_per_epoch + step)
            assert fresh == (step == 0)
            places += at[np.ones(at.shape, bool) if valid is None else valid].tolist()
        assert sorted(places) == list(range(store.num_targets))


@given(lengths, small, small, st.booleans())
def test_a_window_goes_on_where_the_one_before_ended(
    documents: list[int], streams: int, window: int, vary: bool
) -> None:
    streams = Streams(make_store(documents), streams, window, seed=1, vary=vary)
    reached = streams.starts.copy()
    for step in range(streams.steps_per_epoch):
        at, valid, _ = streams.places(step)
        counted = np.ones(at.shape, bool) if valid is None else valid
        for row in range(len(at)):
            size = int(counted[row].sum())
            assert at[row, :size].tolist() == list(range(reached[row], reached[row] + size))
            reached[row] += size


def test_varying_windows_are_cut_elsewhere_each_epoch() -> None:
    streams = Streams(make_store([400]), 2, 20, seed=3, vary=True)
    sizes = [[streams.at(10 * epoch + step).ids.shape[1] for step in range(10)] for epoch in (0, 1)]
    assert streams.steps_per_epoch == 11
    assert sizes[0] != sizes[1]
    again = Streams(make_store([400]), 2, 20, seed=3, vary=True)
    assert again.at(13).ids.shape == streams.at(13).ids.shape  # Resumed in the second epoch.


@given(st.integers(1, 50), small)
def test_streams_differ_by_one_target_at_most(targets: int, streams: int) -> None:
    starts, sizes = stream_bounds(targets, streams)
    assert sizes.sum() == targets
    assert sizes.max() - sizes.min() <= 1
    assert starts.tolist() == [0, *np.cumsum(sizes)[:-1].tolist()]


@pytest.mark.parametrize("seed", [None, 4])
@given(lengths, small, small)
def test_every_target_of_padded_documents_comes_once_an_epoch(
    seed: int | None, documents: list[int], rows: int, window: int
) -> None:
    store = make_store(documents)
    padded = Padded(store, rows, window, seed)
    for epoch in range(2):
        places = []
        for step in range(padded.steps_per_epoch):
            at, valid, _ = padded.places(epoch * padded.steps_per_epoch + step)
            assert at.shape[0] <= rows and at.shape[1] <= window
            places += at[np.ones(at.shape, bool) if valid is None else valid].tolist()
        assert sorted(places) == list(range(store.num_targets))


def test_padded_documents_by_hand() -> None:
    store = make_store([3, 0, 1])  # Four, one and two targets.
    padded = Padded(store, rows=2, window=3)
    b = store.boundary_id
    first = padded.at(0)  # The two shortest: the second and the third.
    assert first.ids.tolist() == [[b, b], [b, 3]]  # The first row's second id only fills it.
    assert first.valid is not None
    assert first.targets[first.valid].tolist() == [b, 3, b]
    second, third = padded.at(1), padded.at(2)
    assert (second.fresh, third.fresh) == (True, False)
    assert second.targets.tolist() == [[0, 1, 2]] and third.targets.tolist() == [[b]]


def test_order_differs_by_epoch_and_not_by_process() -> None:
    store = make_store([5] * 40)
    padded, again = Padded(store, 4, 9, seed=2), Padded(store, 4, 9, seed=2)
    epochs = [[padded.at(step).ids.tolist() for step in range(10 * e, 10 * e + 10)] for e in (0, 1)]
    assert epochs[0] != epochs[1]
    assert again.at(13).ids.tolist() == epochs[1][3]
    assert padded.at(2).ids.tolist() == epochs[0][2]


def test_rows_of_a_batch_keep_the_weight_of_all() -> None:
    batch = Padded(make_store([1, 2, 3, 4]), 4, 9).at(0)
    half = batch.take(slice(2, 4))
    assert half.ids.tolist() == batch.ids[2:].tolist()
    assert half.valid is not None and half.valid.tolist() == batch.valid[2:].tolist()
    assert half.weight == batch.weight == 2 + 3 + 4 + 5
