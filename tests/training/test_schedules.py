import pytest

from thence.recipes.options import TrainingOptions
from thence.training.schedules import learning_rate_factor


def factor(step: int, total: int, **settings: object) -> float:
    return learning_rate_factor(TrainingOptions(**settings), step, step / total)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1),  # the beginning of the rise
        (10, 0.55),  # half of the rise: 0.1 + 0.9 / 2
        (20, 1.0),  # the top, after a fifth
        (60, 0.5005),  # half of the fall: 0.001 + 0.999 (1 + cos(pi / 2)) / 2
        (100, 0.001),  # the end
    ],
)
def test_one_cycle(step: int, expected: float) -> None:
    assert factor(step, 100, schedule="one-cycle") == pytest.approx(expected)


def test_one_cycle_rises_once_and_falls_once() -> None:
    factors = [factor(step, 50, schedule="one-cycle") for step in range(50)]
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 1), (49, 1), (50, 0.1), (74, 0.1), (75, 0.01), (99, 0.01)]
)
def test_step_decay_divides_by_ten_at_each_point(step: int, expected: float) -> None:
    found = factor(step, 100, schedule="step", step_points=(0.5, 0.75))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("step", "expected"), [(0, 1), (1000, 0.5), (3000, 0.25)])
def test_inverse_time(step: int, expected: float) -> None:
    # 1 / (1 + 0.001 * 1000) = 1/2, 1 / (1 + 0.001 * 3000) = 1/4
    found = factor(step, 10, schedule="inverse-time", decay=1e-3)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
@pytest.mark.parametrize("step", [0, 5, 10])
def test_constant_and_plateau_leave_the_rate(schedule: str, step: int) -> None:
    assert factor(step, 10, schedule=schedule) == 1


def test_a_training_of_one_step_has_a_rate() -> None:
    assert factor(0, 1, schedule="one-cycle") == pytest.approx(0.1)
