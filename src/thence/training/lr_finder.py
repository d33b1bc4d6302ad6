"""The learning-rate finder: one step at each of many rates, from far too low to far too high.

Source: L. Smith 2017, "Cyclical learning rates for training neural networks".
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from thence.array_types import Float
from thence.batches import Batches, Step
from thence.errors import SettingError, TrainingError
from thence.hooks import repr_html
from thence.models.base import State
from thence.models.network import NetworkModel
from thence.training.optimizers import Optimizer

RATES_PER_DECADE = 100
"""Rates per factor of ten if their number is not given: the first rates are then the same whatever
the last one."""
LOSS_DECAY = 0.95
"""Decay per step of the running mean of the loss, which decides when the test ends."""
DIVERGED = 3.0
"""The test ends when the running mean of the loss is this many times its minimum."""
WIDTH = 0.2
"""Width of the smoothing in decades: the loss at a rate this far away has the weight 1 / e. Losses
of single steps are too noisy to show the valley, which is several times as wide."""


@dataclass(frozen=True)
class LearningRateCurve:
    """The losses at increasing learning rates.

    Attributes:
        rates: The learning rates, increasing.
        losses: The mean loss of each step, in nats per token or document.
        smoothed: The losses, averaged over neighbouring rates.
        diverged: Whether the test ended early because the loss had grown.
    """

    _repr_html_ = repr_html

    rates: Float[np.ndarray, " steps"]
    losses: Float[np.ndarray, " steps"]
    smoothed: Float[np.ndarray, " steps"]
    diverged: bool

    @property
    def suggestion(self) -> float:
        """The rate at which the smoothed loss is lowest."""
        return float(self.rates[np.argmin(self.smoothed)])

    @property
    def still_falling(self) -> bool:
        """Whether the loss is lowest at the last rate, so that a higher one may be better."""
        return not self.diverged and int(np.argmin(self.smoothed)) == len(self.rates) - 1


def lr_range_test(
    model: NetworkModel,
    batches: Batches,
    optimizer: Optimizer,
    low: float = 1e-3,
    high: float = 1.0,
    steps: int | None = None,
) -> LearningRateCurve:
    """Train one step at each of many exponentially rising learning rates (the LR range test).

    Args:
        model: An untrained network; its weights are useless afterwards.
        batches: The training set.
        optimizer: The optimizer of the model.
        low: The first rate.
        high: The last rate.
        steps: Number of rates (default: 100 for each factor of ten).

    Raises:
        SettingError: If the range or the number of steps is invalid.
        TrainingError: If the loss was never finite.
    """
    rates = _rates(low, high, steps)
    losses: list[float] = []
    average, lowest = 0.0, math.inf
    diverged = False
    model.train()
    state: State = None
    for step, rate in enumerate(rates):
        loss, state = _step(model, batches.at(step), state, optimizer, float(rate))
        average = LOSS_DECAY * average + (1 - LOSS_DECAY) * loss
        corrected = average / (1 - LOSS_DECAY ** (step + 1))  # Bias correction, as in Adam.
        diverged = not math.isfinite(loss) or corrected > DIVERGED * lowest
        if diverged:
            break
        losses.append(loss)
        lowest = min(lowest, corrected)
    if len(losses) < 2:
        raise TrainingError(
            f"The loss is not finite at the learning rate {low}; start lower with `low`."
        )
    rates, found = rates[: len(losses)], np.array(losses)
    return LearningRateCurve(rates, found, _smooth(rates, found), diverged)


def _rates(low: float, high: float, steps: int | None) -> Float[np.ndarray, " steps"]:
    """Return the learning rates, evenly spaced in their logarithm."""
    if not 0 < low < high < math.inf or (steps is not None and steps < 10):
        in_steps = "" if steps is None else f" in {steps} steps"
        raise SettingError(
            f"Rates from {low} to {high}{in_steps} cannot be made; `low` must be above 0 "
            "and below `high`, and `rates` at least 10."
        )
    if steps is not None:
        return np.geomspace(low, high, steps)
    count = math.floor(RATES_PER_DECADE * math.log10(high / low) + 1e-6) + 1
    rates: Float[np.ndarray, " steps"] = low * 10 ** (np.arange(count) / RATES_PER_DECADE)
    return rates


def _step(
    model: NetworkModel, batch: Step, state: State, optimizer: Optimizer, rate: float
) -> tuple[float, State]:
    """Make one step; return the mean loss per target, and the recurrent state."""
    loss, state = model.batch_loss(batch, state)
    loss = loss / batch.weight
    torch.autograd.backward(loss)
    optimizer.step(rate)
    return float(loss.detach()), state


def _smooth(
    rates: Float[np.ndarray, " steps"], losses: Float[np.ndarray, " steps"]
) -> Float[np.ndarray, " steps"]:
    """Return the losses smoothed by the kernel exp(-distance / WIDTH), distance in decades.

    A running mean of past losses alone would lag: its minimum would be at too high a rate. Rates
    are evenly spaced in their logarithm, so the smoothing is a convolution.
    """
    count = len(losses)
    distances = np.abs(np.arange(1 - count, count)) * math.log10(rates[1] / rates[0])
    kernel = np.exp(-distances / WIDTH)
    sums = np.convolve(losses, kernel, "valid")
    smoothed: Float[np.ndarray, " steps"] = sums / np.convolve(np.ones(count), kernel, "valid")
    return smoothed
