from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.errors import SettingError, TrainingError
from thence.recipes import Recipe, make_recipe
from thence.runs import Run
from thence.training import find_learning_rate
from thence.training.lr_finder import LearningRateCurve, _smooth

SmallTrain = Callable[..., Run]


@pytest.fixture
def recipe(text: Path) -> Callable[..., Recipe]:
    def make(**settings: Any) -> Recipe:
        small = {"hidden_size": 16, "embedding_size": 4, "context": 3, "batch_size": 32}
        return make_recipe(text, "mlp", {**small, "threads": 1, **settings})

    return make


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_shape_of_the_curve(recipe: Callable[..., Recipe], optimizer: str) -> None:
    curve = find_learning_rate(recipe(optimizer=optimizer), 1e-3, 100.0, 120)
    count = len(curve.rates)
    assert curve.losses.shape == curve.smoothed.shape == (count,)
    assert count < 120, "the sweep stops where the loss has grown to three times its lowest"
    assert curve.rates[0] == pytest.approx(1e-3)
    # 120 rates over five orders of magnitude: each is 10 ** (5 / 119) times the one before.
    np.testing.assert_allclose(curve.rates[1:] / curve.rates[:-1], 10 ** (5 / 119))
    # A network that has learned nothing gives each of its 10 symbols about the same chance: the
    # eight letters that there are, <unk> and the boundary.
    assert curve.losses[0] == pytest.approx(np.log(10), rel=0.05)
    assert curve.smoothed.min() < 0.95 * curve.smoothed[0]
    assert curve.smoothed[-1] > curve.smoothed.min()
    assert np.all(np.isfinite(curve.smoothed))
    assert curve.suggestion == curve.rates[np.argmin(curve.smoothed)]


def test_the_smoothed_curve_by_hand() -> None:
    # A tenth of a factor of ten between neighbours: weights of w = exp(-0.1 / 0.2) a step. The
    # second is (w * 4 + 3 + w * 2 + w ** 2 * 9) / (w + 1 + w + w ** 2).
    rates, losses = 10 ** np.array([0, 0.1, 0.2, 0.3]), np.array([4.0, 3.0, 2.0, 9.0])
    curve = LearningRateCurve(rates, losses, _smooth(rates, losses), diverged=False)
    w = np.exp(-0.5)
    assert curve.smoothed[1] == pytest.approx((6 * w + 3 + 9 * w**2) / (2 * w + 1 + w**2))
    assert curve.suggestion == curve.rates[np.argmin(curve.smoothed)]
    assert not curve.still_falling


def test_a_valley_is_found_where_it_is() -> None:
    exponents = np.arange(301) / 100 - 3
    losses = 2 + np.abs(exponents + 1.2) + np.random.default_rng(0).normal(0, 0.05, 301)
    found = (10**exponents)[np.argmin(_smooth(10**exponents, losses))]
    assert np.log10(found) == pytest.approx(-1.2, abs=0.05)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_suggestion_does_not_move_with_the_end_of_the_sweep(
    recipe: Callable[..., Recipe], optimizer: str
) -> None:
    low = {"adamw": 1e-3, "sgd": 1e-1}[optimizer]
    one, other = (
        find_learning_rate(recipe(optimizer=optimizer), low, high) for high in (1e4, 3.1e5)
    )
    assert one.diverged and other.diverged
    assert one.suggestion == other.suggestion
    assert np.array_equal(one.losses, other.losses)


def test_a_loss_that_still_falls_at_the_last_rate_is_told(recipe: Callable[..., Recipe]) -> None:
    curve = find_learning_rate(recipe(), 1e-4, 4e-3)
    assert curve.still_falling and curve.suggestion == curve.rates[-1]


def test_the_same_seed_gives_the_same_curve(recipe: Callable[..., Recipe]) -> None:
    one, two, other = (
        find_learning_rate(recipe(dropout=0.3, seed=seed), rates=20) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.losses, two.losses)
    assert not np.array_equal(one.losses, other.losses)


@pytest.mark.parametrize(
    ("low", "high", "steps"),
    [
        (0.0, 1.0, 100),
        (1.0, 1.0, 100),
        (1.0, 0.1, 100),
        (0.1, 1.0, 9),
        (float("nan"), 1.0, 100),
        (0.1, float("inf"), 100),
    ],
)
def test_a_range_that_cannot_be_swept(
    recipe: Callable[..., Recipe], low: float, high: float, steps: int
) -> None:
    with pytest.raises(SettingError, match="cannot be made; `low` must be above 0"):
        find_learning_rate(recipe(), low, high, steps)


def test_a_range_that_begins_far_too_high(recipe: Callable[..., Recipe]) -> None:
    with pytest.raises(TrainingError, match="start lower with `low`"):
        find_learning_rate(recipe(optimizer="sgd"), 1e35, 1e37, 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "grid"),
    [
        ("adamw", [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]),
        ("sgd", [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]),
    ],
)
def test_the_suggestion_trains_well(small: SmallTrain, optimizer: str, grid: list[float]) -> None:
    settings = {
        "optimizer": optimizer,
        "hidden_size": 16,
        "batch_size": 32,
        "steps": 300,
        "split": "60/20/20",
    }

    def best_dev(name: str, rate: float | str) -> float:
        run = small(name, lr=rate, **settings)
        return min(line["dev_nats_per_token"] for line in run.metrics())

    best = min(best_dev(str(rate), rate) for rate in grid)
    assert best_dev("auto", "auto") < 1.05 * best
