"""How large a network may be, and what may be spent."""

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.autopilot.autopilot import SECONDS_PER_STEP, Budget
from thence.autopilot.best import make_budget
from thence.autopilot.candidates import Kind
from thence.autopilot.sizes import HIDDEN_SIZES, Size, largest_size
from thence.errors import SettingError
from thence.models.registry import get_family

MODELS = st.sampled_from(["mlp", "gru", "lstm"])
KINDS = st.sampled_from(["names", "characters", "words"])
TOKENS = st.floats(1, 1e12)


def fit(model: str, kind: Kind, read: float, train: int) -> int:
    return largest_size(Size(model, kind, 128), dict.fromkeys(HIDDEN_SIZES, read), train).hidden


@settings(deadline=None)
@given(MODELS, KINDS, TOKENS, TOKENS, st.integers(1, 10**10))
def test_more_time_never_means_a_smaller_network(
    model: str, kind: Kind, one: float, other: float, train: int
) -> None:
    low, high = sorted((one, other))
    assert fit(model, kind, low, train) <= fit(model, kind, high, train)


@settings(deadline=None)
@given(MODELS, KINDS, st.integers(1, 10**10), st.integers(1, 10**10))
def test_more_text_never_means_a_smaller_network(
    model: str, kind: Kind, one: int, other: int
) -> None:
    low, high = sorted((one, other))
    assert fit(model, kind, 1e12, low) <= fit(model, kind, 1e12, high)


def test_a_small_text_bounds_the_network_however_long_the_time() -> None:
    assert fit("lstm", "characters", math.inf, 1000) == HIDDEN_SIZES[0]
    assert fit("lstm", "characters", math.inf, 10**10) == HIDDEN_SIZES[-1]


def test_weights_by_hand() -> None:
    # Four gates of 128 units, each with 32 inputs and 128 units before.
    assert Size("lstm", "characters", 128).weights == 4 * 128 * (32 + 128)
    assert Size("gru", "names", 128, 2).weights == 3 * 128 * (32 + 128 + 2 * 128)
    assert Size("mlp", "names", 128).weights == 8 * 32 * 128


@settings(deadline=None)
@given(MODELS, KINDS, st.sampled_from(HIDDEN_SIZES), st.floats(0.01, 1e6))
def test_settings_of_a_size_are_settings_of_its_family(
    model: str, kind: Kind, hidden: int, passes: float
) -> None:
    size = Size(model, kind, hidden)
    get_family(model).options_class()(**size.options(passes, 1000))
    training = size.training()
    assert 0 < training["lr"] <= 0.02 and training["batch_size"] > 0


@settings(deadline=None)
@given(MODELS, KINDS, st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_the_more_often_a_text_is_read_the_more_is_left_out(
    model: str, kind: Kind, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    size = Size(model, kind, 128)
    assert size.options(low, 1000)["dropout"] <= size.options(high, 1000)["dropout"]


def test_a_budget_of_time_runs_down() -> None:
    budget = Budget(100.0, None, time.monotonic() - 30)
    assert not budget.counts_steps
    assert budget.spent() == pytest.approx(30, abs=1) and budget.left() == pytest.approx(70, abs=1)
    assert budget.for_training() == pytest.approx(70, abs=1)


def test_a_budget_of_steps_knows_no_clock() -> None:
    budget = make_budget(None, 500, time.monotonic() - 1e6)
    assert budget.counts_steps and budget.for_training() == 500 * SECONDS_PER_STEP
    assert budget.left() == math.inf


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "either `time`"),
        ({"time": "5m", "steps": 3}, "either `time`"),
        ({"time": "5x"}, "write it like"),
        ({"time": "0s"}, "above 0"),
        ({"time": "-3s"}, "`time`"),
        ({"time": ""}, "`time`"),
        ({"steps": 0}, "at least 1"),
        ({"steps": -1}, "at least 1"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        make_budget(given.get("time"), given.get("steps"), None)
