"""Where a function is smallest: known minima, and an end when it is enough."""

from typing import Any

import numpy as np
import pytest

from thence.lbfgs import minimize

Array = np.ndarray[Any, np.dtype[Any]]


def as_it_is(slope: Array) -> Array:
    return slope


def test_the_minimum_of_a_bowl() -> None:
    bends = np.array([1.0, 10.0, 100.0])  # f = sum b (x - 3)^2 / 2 is smallest at 3.

    def bowl(x: Array) -> tuple[float, Array]:
        return float(bends @ (x - 3) ** 2) / 2, bends * (x - 3)

    found = minimize(bowl, np.zeros(3), as_it_is, 1e-14, 100, 10)
    np.testing.assert_allclose(found, 3, atol=1e-5)
    # Under the inverse of the curvature the first step is there.
    once = minimize(bowl, np.zeros(3), lambda slope: slope / bends, 0.0, 1, 10)
    np.testing.assert_allclose(once, 3)


def test_a_narrow_valley_that_is_no_bowl() -> None:
    across = np.array([[3.0, 1.0], [2.9, 1.0]])  # Its columns nearly agree: hard for plain descent.
    place = np.array([0.5, -2.0])

    def valley(x: Array) -> tuple[float, Array]:
        height = across @ (x - place)
        return float(np.log(np.cosh(height)).sum()), across.T @ np.tanh(height)

    found = minimize(valley, np.zeros(2), as_it_is, 1e-14, 300, 10)
    np.testing.assert_allclose(found, place, atol=1e-4)


def test_every_step_goes_down_and_the_last_may_be_asked_for() -> None:
    values: list[float] = []

    def quartic(x: Array) -> tuple[float, Array]:
        values.append(float((x**4).sum()))
        return values[-1], 4 * x**3

    def should_stop() -> bool:
        return len(values) >= 8

    found = minimize(quartic, np.full(4, 2.0), as_it_is, 0.0, 100, 10, should_stop)
    assert 8 <= len(values) < 30
    assert (found**4).sum() == min(values)


@pytest.mark.parametrize("memory", [1, 5])
def test_a_place_that_is_already_the_minimum_stays(memory: int) -> None:
    found = minimize(lambda x: (0.0, np.zeros_like(x)), np.ones(2), as_it_is, 1e-9, 50, memory)
    np.testing.assert_array_equal(found, 1)
