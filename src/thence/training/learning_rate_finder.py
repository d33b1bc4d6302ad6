"""The learning-rate finder: one step at each of many rates, from far too low to far too high.

Source: L. Smith 2017, "Cyclical learning rates for training neural networks".
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thence.batches import Batches, Step
from thence.errors import SettingError, TrainingError
from thence.models import State
from thence.notebook import repr_html
from thence.training.judging import Trainable
from thence.training.optimizers import Optimizer

SMOOTHING = 0.95
DIVERGED = 3.0
"""The sweep ends when the smoothed loss has risen to so many times its lowest."""


@dataclass(frozen=True)
class LearningRateCurve:
    """What the finder saw.

    Attributes:
        rates: The learning rates tried, rising.
        losses: The mean loss of each step, in nats per token or document.
        smoothed: The same, averaged over the steps just before.
        suggestion: The rate where the loss was lowest, the lag of the average taken away.
    """

    _repr_html_ = repr_html

    rates: Float[np.ndarray, " steps"]
    losses: Float[np.ndarray, " steps"]
    smoothed: Float[np.ndarray, " steps"]
    suggestion: float


def find_learning_rate(
    model: Trainable,
    batches: Batches,
    optimizer: Optimizer,
    low: float = 1e-3,
    high: float = 1.0,
    steps: int = 300,
) -> LearningRateCurve:
    """Sweep the learning rate exponentially, one training step each.

    Args:
        model: An untrained network; it is trained, and ruined, by the sweep.
        batches: The training set.
        optimizer: Whose rate is swept.
        low: The first rate.
        high: The last rate.
        steps: How many rates.

    Raises:
        SettingError: If the range or the number of steps cannot be used.
        TrainingError: If the loss was never finite.
    """
    if not 0 < low < high < math.inf or steps < 10:
        raise SettingError(
            f"A sweep from {low} to {high} in {steps} steps cannot be made; --low must be above 0 "
            "and below --high, and --sweep at least 10."
        )
    exponents = np.linspace(math.log10(low), math.log10(high), steps)
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    model.train()
    state: State = None
    for step, rate in enumerate(10**exponents):
        loss, state = _step(model, batches.at(step), state, optimizer, float(rate))
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        corrected = average / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(loss) or (smoothed and corrected > DIVERGED * min(smoothed)):
            break
        losses.append(loss)
        smoothed.append(corrected)
    if len(losses) < 2:
        raise TrainingError(
            f"The loss is not finite at the learning rate {low}; start the sweep lower with --low."
        )
    rates = 10 ** exponents[: len(losses)]
    return LearningRateCurve(
        rates, np.array(losses), np.array(smoothed), _suggest(rates, np.array(smoothed))
    )


def _step(
    model: Trainable, batch: Step, state: State, optimizer: Optimizer, rate: float
) -> tuple[float, State]:
    loss, state = model.batch_loss(batch, state)
    loss = loss / batch.weight
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step(rate)
    return float(loss.detach()), state


def _suggest(rates: Float[np.ndarray, " steps"], smoothed: Float[np.ndarray, " steps"]) -> float:
    # The average lags behind, so its lowest value stands not for the rate of its step but for
    # the rates that entered it: their mean with the same weights, on a log scale.
    lowest = int(np.argmin(smoothed))
    weights = SMOOTHING ** np.arange(lowest, -1.0, -1.0)
    return float(np.exp(np.average(np.log(rates[: lowest + 1]), weights=weights)))
