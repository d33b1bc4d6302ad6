"""Learning-rate schedules: pure functions of how far training is; resuming needs no state."""

import math

from thence.recipes.options import TrainingOptions

WARM_UP = 0.2
"""Share of a one-cycle schedule in which the rate rises."""
FIRST, LAST = 0.1, 0.001
"""Where a one-cycle schedule starts and ends, as factors of the highest rate."""


def learning_rate_factor(options: TrainingOptions, step: int, done: float) -> float:
    """Return what to multiply the highest learning rate by at a step.

    Args:
        options: Names the schedule and its numbers.
        step: Steps done before this one, from 0.
        done: Share of the whole training that is over, from 0 to 1.

    Returns:
        A factor from 0 to 1. For ``plateau`` it is 1: the halvings are counted by the loop.
    """
    match options.schedule:
        case "step":
            return float(0.1 ** sum(done >= point for point in options.step_points))
        case "inverse-time":
            return 1 / (1 + options.decay * step)
        case "one-cycle":
            return _one_cycle(done)
        case _:
            return 1.0


def _one_cycle(done: float) -> float:
    # L. Smith 2018, "A disciplined approach to neural network hyper-parameters": one rise, then
    # one long fall; the fall is a half cosine, as in fastai.
    if done < WARM_UP:
        return FIRST + (1 - FIRST) * done / WARM_UP
    fall = min((done - WARM_UP) / (1 - WARM_UP), 1.0)
    return LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * fall))
