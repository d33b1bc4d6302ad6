"""Mixtures of what was tried: never worse than the best part on what they judge by."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thence.autopilot.blending import _paying, blend, blending_seconds
from thence.autopilot.parts import Part
from thence.tokens import TokenStore

Counted = Callable[..., Part]
SIZE = 20


def test_one_part_stays_alone(counted: Counted, dev: TokenStore) -> None:
    part = counted(2)
    made = blend([part], dev, SIZE)
    assert made.parts == (part,) and made.weights == (1.0,) and made.options is None
    assert made.nats == part.nats and made.model is part.model


def test_a_double_and_a_useless_part_are_dropped(counted: Counted, dev: TokenStore) -> None:
    sure = np.full(dev.num_targets, -0.5)
    parts = [
        counted(2, "good", sure), counted(2, "double", sure), counted(2, "useless", sure - 8)
    ]  # fmt: skip
    made = blend(parts, dev, len_of(parts))
    assert len(made.parts) == 1 and made.parts[0].name in ("good", "double")
    assert made.nats == 0.5


def test_choosing_ends_when_its_time_is_up(counted: Counted, dev: TokenStore) -> None:
    sure = np.full(dev.num_targets, -0.5)
    parts = [counted(2, "good", sure), counted(2, "useless", sure - 8)]
    assert _paying(parts, dev, len_of(parts), ends=0.0) == parts
    assert _paying(parts, dev, len_of(parts)) == parts[:1]


def test_parts_that_know_different_halves_are_mixed(counted: Counted, dev: TokenStore) -> None:
    odd = np.arange(dev.num_targets) % 2 == 0
    parts = [
        counted(2, "one", np.where(odd, -0.1, -4)),
        counted(3, "other", np.where(odd, -4, -0.1)),
    ]
    made = blend(parts, dev, len_of(parts))
    assert len(made.parts) == 2 and sum(made.weights) == pytest.approx(1)
    assert made.nats < min(part.nats for part in parts) - 1


def test_a_part_that_takes_much_for_impossible_may_help(counted: Counted, dev: TokenStore) -> None:
    odd = np.arange(dev.num_targets) % 2 == 0
    cache = counted(2, "cache", np.where(odd, -0.01, -np.inf))
    assert cache.nats == math.inf
    even = counted(3, "even", np.full(dev.num_targets, -2.0))
    assert blend([even, cache], dev, len_of([even])).nats < even.nats


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e-3, math.inf])
def test_a_hurry_gives_something_sane(counted: Counted, dev: TokenStore, seconds: float) -> None:
    parts = [counted(order) for order in (2, 3, 4)]
    assert 0 < blending_seconds(parts, dev, 1.0) <= blending_seconds(parts, dev, 1e6)
    made = blend(parts, dev, len_of(parts), seconds)
    assert math.isfinite(made.nats) and made.nats <= min(part.nats for part in parts)
    assert sum(made.weights) == pytest.approx(1)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from([0.0, math.inf]))
def test_a_blend_is_never_worse_than_its_best_part(
    counted: Counted, dev: TokenStore, seed: int, number: int, seconds: float
) -> None:
    random = np.random.default_rng(seed)
    parts = [
        counted(2, f"part {at}", -random.exponential(random.uniform(0.1, 4), dev.num_targets))
        for at in range(number)
    ]
    made = blend(parts, dev, len_of(parts), seconds)
    assert made.nats <= min(part.nats for part in parts)
    assert {part.name for part in made.parts} <= {part.name for part in parts}
    assert all(weight >= 0 for weight in made.weights)


def len_of(parts: list[Part]) -> int:
    return int(parts[0].model.vocabulary_size)


def test_a_blend_in_a_hurry_is_judged_by_all_of_dev(counted: Counted, dev: TokenStore) -> None:
    """Every other target is hard, and two parts are each surer where the other is not."""
    base = np.where(np.arange(dev.num_targets) % 2 == 0, -5.0, -1.5)
    turns = np.where(np.random.default_rng(0).random(dev.num_targets) < 0.5, 1.0, -1.0)
    parts = [counted(2, "one", base + turns), counted(3, "other", base - turns)]
    made = blend(parts, dev, len_of(parts), seconds=blending_seconds(parts, dev, 0.0) / 2)
    # Half of each brings log((exp(1) + exp(-1)) / 2) = 0.434: the mean is 3.25 - 0.434 = 2.816,
    # that of the easy targets alone 1.066 and of the hard ones 4.566.
    assert made.nats == pytest.approx(2.816, abs=0.3)
