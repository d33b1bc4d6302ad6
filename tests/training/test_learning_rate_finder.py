from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.errors import SettingError, TrainingError
from thence.training import Recipe, Run, make_recipe, sweep_learning_rate
from thence.training.learning_rate_finder import _suggest

SmallTrain = Callable[..., Run]


@pytest.fixture
def recipe(text: Path) -> Callable[..., Recipe]:
    def make(**settings: Any) -> Recipe:
        small = {"hidden_size": 16, "embedding_size": 4, "context": 3, "batch_size": 32}
        return make_recipe(text, "mlp", {**small, "threads": 1, **settings})

    return make


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_shape_of_the_curve(recipe: Callable[..., Recipe], optimizer: str) -> None:
    curve = sweep_learning_rate(recipe(optimizer=optimizer), 1e-3, 100.0, 120)
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
    lowest = curve.rates[np.argmin(curve.smoothed)]
    assert curve.rates[0] < curve.suggestion < lowest


def test_suggestion_by_hand() -> None:
    # The lowest average is the third: of the rates 1, 10, 100 with the weights 0.95 ** 2, 0.95
    # and 1, the mean exponent is (0.95 + 2) / (0.9025 + 0.95 + 1) = 1.03418.
    rates = np.array([1.0, 10.0, 100.0, 1000.0])
    assert _suggest(rates, np.array([4.0, 3.0, 2.0, 9.0])) == pytest.approx(10**1.0341806)
    assert _suggest(rates, np.array([1.0, 3.0, 2.0, 9.0])) == pytest.approx(1)


def test_the_same_seed_gives_the_same_curve(recipe: Callable[..., Recipe]) -> None:
    one, two, other = (
        sweep_learning_rate(recipe(dropout=0.3, seed=seed), steps=20) for seed in (1, 1, 2)
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
    with pytest.raises(SettingError, match="cannot be made; --low must be above 0"):
        sweep_learning_rate(recipe(), low, high, steps)


def test_a_range_that_begins_far_too_high(recipe: Callable[..., Recipe]) -> None:
    with pytest.raises(TrainingError, match="start the sweep lower with --low"):
        sweep_learning_rate(recipe(optimizer="sgd"), 1e35, 1e37, 20)


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
