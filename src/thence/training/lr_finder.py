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
"""Rates per factor of ten where their number is left open: the first ones are then always the same,
whatever the last."""
LOSS_DECAY = 0.95
"""Decay per step of the running mean of the loss that ends the test."""
DIVERGED = 3.0
"""The test ends when the running mean of the loss is this many times its lowest."""
WIDTH = 0.2
"""Width of the smoothing, in factors of ten: the loss at a rate so far away has the weight 1 / e.
Single steps are too noisy to show the valley, which is several times as wide."""


@dataclass(frozen=True)
class LearningRateCurve:
    """The losses at rising learning rates.

    Attributes:
        rates: The learning rates tried, rising.
        losses: The mean loss of each step, in nats per token or document.
        smoothed: The same, averaged over the rates around.
        diverged: Whether the test ended early because the loss had grown.
    """

    _repr_html_ = repr_html

    rates: Float[np.ndarray, " steps"]
    losses: Float[np.ndarray, " steps"]
    smoothed: Float[np.ndarray, " steps"]
    diverged: bool

    @property
    def suggestion(self) -> float:
        """The rate where the smoothed loss is lowest."""
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
        model: An untrained network; it is trained, and ruined, by the test.
        batches: The training set.
        optimizer: Whose rate is set at each step.
        low: The first rate.
        high: The last rate.
        steps: How many rates (default: 100 for each factor of ten).

    Raises:
        SettingError: If the range or the number of steps cannot be used.
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
        corrected = average / (1 - LOSS_DECAY ** (step + 1))
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
    loss, state = model.batch_loss(batch, state)
    loss = loss / batch.weight
    torch.autograd.backward(loss)
    optimizer.step(rate)
    return float(loss.detach()), state


def _smooth(
    rates: Float[np.ndarray, " steps"], losses: Float[np.ndarray, " steps"]
) -> Float[np.ndarray, " steps"]:
    """Return the mean of the losses around each, weighted by exp(-distance / WIDTH).

    An average of the past alone lags behind: its lowest point would lie to the right of the
    valley. With both sides it lies in it. Rates are evenly spaced in their logarithm, so the
    weights are those of a convolution.
    """
    count = len(losses)
    distances = np.abs(np.arange(1 - count, count)) * math.log10(rates[1] / rates[0])
    kernel = np.exp(-distances / WIDTH)
    sums = np.convolve(losses, kernel, "valid")
    smoothed: Float[np.ndarray, " steps"] = sums / np.convolve(np.ones(count), kernel, "valid")
    return smoothed
