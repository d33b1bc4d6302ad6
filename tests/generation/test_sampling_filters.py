import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.errors import SettingError
from thence.generation import DecodingOptions
from thence.generation.sampling_filters import apply_filters, keep_top_k, keep_top_p, softmax

HALVES = np.log(np.array([[0.125, 0.5, 0.125, 0.25]]))


def filtered(**options: object) -> np.ndarray:
    return softmax(apply_filters(HALVES, DecodingOptions(**options)))


def test_no_filter_changes_nothing() -> None:
    assert apply_filters(HALVES, DecodingOptions()) is HALVES


def test_temperature_by_hand() -> None:
    # At 1/2 probabilities are squared: 1/64, 16/64, 1/64, 4/64, which sum to 22/64.
    np.testing.assert_allclose(filtered(temperature=0.5), [[1 / 22, 16 / 22, 1 / 22, 4 / 22]])
    # At 2 they become square roots.
    roots = np.sqrt([[0.125, 0.5, 0.125, 0.25]])
    np.testing.assert_allclose(filtered(temperature=2.0), roots / roots.sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [1e-300, 1e-45, 1e-30])
def test_a_temperature_close_to_zero_is_greedy(dtype: type, temperature: float) -> None:
    options = DecodingOptions(temperature=temperature)
    found = softmax(apply_filters(HALVES.astype(dtype), options))
    assert found.tolist() == [[0, 1, 0, 0]]


def test_a_very_high_temperature_is_uniform_over_what_is_possible() -> None:
    log_probs = np.array([[math.log(0.9), math.log(0.1), -np.inf]])
    found = softmax(apply_filters(log_probs, DecodingOptions(temperature=1e12)))
    np.testing.assert_allclose(found, [[0.5, 0.5, 0]])


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (1, [0, 1, 0, 0]),
        (2, [0, 2 / 3, 0, 1 / 3]),
        (3, [1 / 7, 4 / 7, 0, 2 / 7]),  # the tie goes to the lower id
        (4, [0.125, 0.5, 0.125, 0.25]),
        (9, [0.125, 0.5, 0.125, 0.25]),
    ],
)
def test_top_k_by_hand(k: int, expected: list[float]) -> None:
    np.testing.assert_allclose(filtered(top_k=k), [expected], atol=1e-12)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (1e-9, [0, 1, 0, 0]),
        (0.49, [0, 1, 0, 0]),
        (0.51, [0, 2 / 3, 0, 1 / 3]),  # a half does not reach it, three quarters do
        (0.74, [0, 2 / 3, 0, 1 / 3]),
        (0.76, [1 / 7, 4 / 7, 0, 2 / 7]),
        (0.9, [0.125, 0.5, 0.125, 0.25]),
        (1.0, [0.125, 0.5, 0.125, 0.25]),
    ],
)
def test_top_p_by_hand(p: float, expected: list[float]) -> None:
    np.testing.assert_allclose(filtered(top_p=p), [expected], atol=1e-12)


def test_top_p_of_one_keeps_the_rarest() -> None:
    # The sum of the others rounds to 1 before the rarest is added.
    log_probs = np.array([[math.log(0.5), math.log(0.5), math.log(1e-30)]])
    assert np.all(np.isfinite(keep_top_p(log_probs, 1.0)))
    assert not np.isfinite(keep_top_p(log_probs, 0.999))[0, 2]


def test_filters_come_in_order() -> None:
    # Temperature 1/2 gives 16/22, 4/22, 1/22, 1/22; the two likeliest of these are 16/20 and
    # 4/20, of which the first alone reaches 0.79 (it had only a half to begin with).
    assert filtered(temperature=0.5, top_k=2, top_p=0.79).tolist() == [[0, 1, 0, 0]]
    np.testing.assert_allclose(
        filtered(temperature=0.5, top_k=2, top_p=0.81), [[0, 0.8, 0, 0.2]], atol=1e-12
    )


@given(
    st.lists(st.lists(st.floats(-50, 0), min_size=5, max_size=5), min_size=1, max_size=4),
    st.integers(1, 6),
    st.floats(0.01, 1),
)
def test_filters_keep_rows_apart_and_values_as_they_are(
    rows: list[list[float]], k: int, p: float
) -> None:
    log_probs = np.array(rows)
    for keep in (lambda values: keep_top_k(values, k), lambda values: keep_top_p(values, p)):
        found = keep(log_probs)
        kept = np.isfinite(found)
        assert np.array_equal(found[kept], log_probs[kept])
        assert np.all(kept.any(axis=1))
        for row in range(len(rows)):
            assert np.array_equal(keep(log_probs[row : row + 1])[0], found[row])
            lowest_kept = log_probs[row, kept[row]].min()
            assert np.all(log_probs[row, ~kept[row]] <= lowest_kept)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": math.inf},
        {"temperature": math.nan},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, float]) -> None:
    name = next(iter(options))
    with pytest.raises(SettingError, match=f"`{name}` is"):
        DecodingOptions(**options)
