"""How long a training lasts, its learning rate, and averages of the weights over its steps.

Averages of the weights are better than the last weights of large steps:

    ema         a <- d a + (1 - d) w after every step; d rises to ``ema_decay`` in the first steps
    triggered   the plain mean of w over all steps since the dev loss stopped falling

Sources: B. Polyak and A. Juditsky 1992, "Acceleration of stochastic approximation by averaging";
the trigger is that of S. Merity et al. 2018, "Regularizing and optimizing LSTM language models",
algorithm 1 (NT-ASGD).
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from thence.batches import Batches
from thence.recipes.options import TrainingOptions

DEFAULT_EPOCHS = 20.0
"""Epochs of a language model where neither steps nor epochs nor a time are given."""
MIN_STEPS = 300
"""Steps at least, where none of these are given: few epochs of a short text train hardly at all."""
WARM_UP = 0.2
"""Fraction of a one-cycle schedule in which the rate rises."""
FIRST_FACTOR, LAST_FACTOR = 0.1, 0.001
"""Where a one-cycle schedule starts and ends, as factors of the highest rate."""


def total_steps(
    options: TrainingOptions, batches: Batches, default_epochs: float = DEFAULT_EPOCHS
) -> float:
    """Return the steps of the whole training; infinite where only a time limit ends it."""
    if options.steps is not None:
        return options.steps
    per_epoch = batches.steps_per_epoch / options.accumulate
    if options.epochs is not None:
        return max(1, math.ceil(options.epochs * per_epoch))
    if options.seconds is not None:
        return math.inf
    return max(MIN_STEPS, math.ceil(default_epochs * per_epoch))


def learning_rate_factor(options: TrainingOptions, step: int, progress: float) -> float:
    """Return what to multiply the highest learning rate by at a step.

    Args:
        options: Names the schedule and its numbers.
        step: Steps done before this one, from 0.
        progress: Fraction of the whole training that is done, from 0 to 1.

    Returns:
        A factor from 0 to 1. For ``plateau`` it is 1, as the trainer counts the halvings.
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


PATIENCE = 5
"""The non-monotone interval of NT-ASGD: averaging begins when the newest dev loss is above the
lowest of those before the last five."""


class WeightAverage:
    """An average of weights over the steps of a training.

    Args:
        parameters: The weights.
        options: Which average, or none.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], options: TrainingOptions) -> None:
        self._kind, self._decay = options.average, options.ema_decay
        self._parameters = [parameter.data for parameter in parameters]
        is_used = options.average != "none"
        self._averages = [value.clone() for value in self._parameters] if is_used else []
        # Tensors, not Python numbers, so that a checkpoint saves them like the averages.
        self._steps = torch.zeros((), dtype=torch.int64)
        self._triggered = torch.tensor(options.average == "ema")

    def update(self) -> None:
        """Add the weights after a step to the average."""
        if not self._averages or not self._triggered:
            return
        self._steps += 1
        steps = int(self._steps)
        share = 1 / steps  # Of the newest weights, in a plain mean.
        if self._kind == "ema":
            # With the full decay from the start, the initial weights would stay in it for long.
            share = max(1 - self._decay, 9 / (9 + steps))
        torch._foreach_lerp_(self._averages, self._parameters, share)

    def trigger(self, losses: Sequence[float]) -> None:
        """Begin a triggered average if the dev losses, in order of time, have stopped falling."""
        before = losses[: -PATIENCE - 1]
        if before and losses[-1] > min(before):
            self._triggered.fill_(True)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the average in place of its weights for a while."""
        if not self._averages or not self._steps:
            yield
            return
        own = [value.clone() for value in self._parameters]
        torch._foreach_copy_(self._parameters, self._averages)
        try:
            yield
        finally:
            torch._foreach_copy_(self._parameters, own)

    def state(self) -> list[Tensor]:
        """Return all tensors that later steps depend on, always in the same order."""
        return [*self._averages, self._steps, self._triggered]
