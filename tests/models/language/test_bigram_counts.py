from math import inf, log

import numpy as np
import pytest

from thence.errors import SettingError
from thence.models.language.bigram_counts import BigramCounts, BigramCountsOptions
from thence.tokens import TokenStore

# Documents "ab" and "a"; a = 0, b = 1, c = 2 is never seen, the boundary | is 3.
# Pairs: |a, ab, b|, |a, a|. So c(|, a) = 2, c(a, b) = c(a, |) = 1, c(b, |) = 1.
A, B, C, END = range(4)
STORE = TokenStore(
    np.array([END, A, B, END, A, END], np.uint8),
    np.array([1, 4, 6]),
    np.array([2, 1]),
    np.array([2, 1]),
    END,
)


def counted(add_k: float) -> BigramCounts:
    model = BigramCounts(BigramCountsOptions(add_k), 4)
    model.fit(STORE)
    return model


def table(model: BigramCounts) -> np.ndarray:
    log_probs, _ = model.step(np.arange(4), model.start(4))
    return np.exp(log_probs)


def test_without_smoothing_shares_are_what_was_seen() -> None:
    np.testing.assert_allclose(
        table(counted(0)),
        [
            [0, 1 / 2, 0, 1 / 2],  # After a: b once, the end once.
            [0, 0, 0, 1],  # After b: always the end.
            [1 / 4] * 4,  # c was never seen, so it says nothing.
            [1, 0, 0, 0],  # At the start: always a.
        ],
    )


def test_add_one() -> None:
    np.testing.assert_allclose(
        table(counted(1)),
        [
            [1 / 6, 2 / 6, 1 / 6, 2 / 6],  # (c + 1) / (2 + 4)
            [1 / 5, 1 / 5, 1 / 5, 2 / 5],  # (c + 1) / (1 + 4)
            [1 / 4] * 4,  # (0 + 1) / (0 + 4)
            [3 / 6, 1 / 6, 1 / 6, 1 / 6],  # (c + 1) / (2 + 4)
        ],
    )


def test_scores_of_what_was_counted() -> None:
    # |a = 1, ab = 1/2, b| = 1, |a = 1, a| = 1/2
    np.testing.assert_allclose(counted(0).score(STORE), [0, log(1 / 2), 0, 0, log(1 / 2)])
    # 3/6, 2/6, 2/5, 3/6, 2/6
    expected = np.log([3 / 6, 2 / 6, 2 / 5, 3 / 6, 2 / 6])
    np.testing.assert_allclose(counted(1).score(STORE), expected)


def test_a_pair_never_seen_is_impossible_without_smoothing() -> None:
    # "bc": |b never seen, bc never seen, c| after a context never seen: 1/4.
    unseen = TokenStore(
        np.array([END, B, C, END], np.uint8), np.array([1, 4]), np.array([2]), np.array([2]), END
    )
    assert counted(0).score(unseen).tolist() == [-inf, -inf, log(1 / 4)]


def test_more_added_is_more_uniform() -> None:
    np.testing.assert_allclose(table(counted(1e9)), np.full((4, 4), 1 / 4), atol=1e-8)


def test_before_counting_everything_is_equally_likely() -> None:
    for add_k in (0, 1):
        model = BigramCounts(BigramCountsOptions(add_k), 4)
        np.testing.assert_allclose(table(model), np.full((4, 4), 1 / 4))
        np.testing.assert_allclose(model.score(STORE), np.full(5, log(1 / 4)))
        assert model.num_parameters() == 0


def test_parameters_are_the_distinct_pairs() -> None:
    assert counted(1).num_parameters() == 4


def test_the_last_of_256_ids_fits_into_a_byte() -> None:
    # The boundary is 255 and the next id would be 256, which a byte does not hold.
    store = TokenStore(
        np.array([255, 7, 255], np.uint8), np.array([1, 3]), np.array([1]), np.array([1]), 255
    )
    model = BigramCounts(BigramCountsOptions(0), 256)
    model.fit(store)
    log_probs, _ = model.step(np.array([255], np.uint8), model.start(1))
    assert log_probs[0, 7] == 0


def test_a_large_vocabulary_stays_sparse() -> None:
    size = 200_000  # A full table would hold 4 x 10^10 numbers.
    ids = np.array([size - 1, 5, size - 2, size - 1], np.uint32)
    store = TokenStore(ids, np.array([1, 4]), np.array([2]), np.array([2]), size - 1)
    model = BigramCounts(BigramCountsOptions(1), size)
    model.fit(store)
    # Each was seen once after a context seen once: 2 / (1 + V).
    np.testing.assert_allclose(model.score(store), np.full(3, log(2 / (1 + size))))
    log_probs, _ = model.step(np.array([size - 2]), model.start(1))
    assert int(log_probs[0].argmax()) == size - 1
    assert sum(value.nbytes for value in model.tensors().values()) < 100


@pytest.mark.parametrize(
    ("keys", "counts"),
    [
        ([0, 16], [1, 1]),  # V V is 16, so 15 is the last key.
        ([-1, 2], [1, 1]),
        ([3, 2], [1, 1]),
        ([2, 2], [1, 1]),
        ([1, 2], [1, 0]),
        ([1, 2], [1, -1]),
        ([1, 2], [1]),
    ],
)
def test_damaged_counts_are_refused(keys: list[int], counts: list[int]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        counted(1).load_tensors({"keys": np.array(keys), "counts": np.array(counts)})


@pytest.mark.parametrize("add_k", [-0.5, inf, float("nan")])
def test_what_cannot_be_added_is_refused(add_k: float) -> None:
    with pytest.raises(SettingError, match="it must be a number of at least 0"):
        BigramCountsOptions(add_k)
