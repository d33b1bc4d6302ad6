"""The number of steps of a training, and its learning-rate schedules."""

import math

from thence.batches import Batches
from thence.recipes.options import TrainingOptions

DEFAULT_EPOCHS = 20.0
"""Epochs of a language model if neither steps nor epochs nor a time limit are given."""
MIN_STEPS = 300
"""Minimal steps if none of these are given: a few epochs of a short text hardly train at all."""
WARM_UP = 0.2
"""Fraction of a one-cycle schedule in which the rate rises."""
FIRST_FACTOR, LAST_FACTOR = 0.1, 0.001
"""First and last learning rate of a one-cycle schedule, as factors of the highest rate."""


def total_steps(
    options: TrainingOptions, batches: Batches, default_epochs: float = DEFAULT_EPOCHS
) -> float:
    """Return the number of steps of the whole training; infinity if only a time limit ends it."""
    if options.steps is not None:
        return options.steps
    per_epoch = batches.steps_per_epoch / options.accumulate
    if options.epochs is not None:
        return max(1, math.ceil(options.epochs * per_epoch))
    if options.seconds is not None:
        return math.inf
    return max(MIN_STEPS, math.ceil(default_epochs * per_epoch))


def learning_rate_factor(options: TrainingOptions, step: int, progress: float) -> float:
    """Return the factor of the highest learning rate at a step.

    Args:
        options: The schedule and its settings.
        step: Steps done before this one, from 0.
        progress: Fraction of the whole training that is done, from 0 to 1.

    Returns:
        A factor from 0 to 1. For ``plateau`` it is 1: the trainer applies the halvings.
    """
    match options.schedule:
        case "step":
            return float(0.1 ** sum(progress >= point for point in options.step_points))
        case "inverse-time":
            return 1 / (1 + options.decay * step)
        case "one-cycle":
            return _one_cycle(progress)
        case _:
            return 1.0


def _one_cycle(progress: float) -> float:
    # L. Smith 2018, "A disciplined approach to neural network hyper-parameters": one rise, then
    # one long fall; the fall is a half cosine, as in fastai.
    if progress < WARM_UP:
        return FIRST_FACTOR + (1 - FIRST_FACTOR) * progress / WARM_UP
    fall = min((progress - WARM_UP) / (1 - WARM_UP), 1.0)
    return LAST_FACTOR + (1 - LAST_FACTOR) * 0.5 * (1 + math.cos(math.pi * fall))
