"""Averages of the weights over the steps of a training.

They are usually better than the last weights, which the noise of large steps disturbs:

    ema         a <- d a + (1 - d) w after every step; d rises to ``ema_decay`` in the first steps
    triggered   the plain mean of w over all steps since the dev loss stopped falling

Sources: B. Polyak and A. Juditsky 1992, "Acceleration of stochastic approximation by averaging";
the trigger is that of S. Merity et al. 2018, "Regularizing and optimizing LSTM language models",
algorithm 1 (NT-ASGD).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from thence.recipes.options import TrainingOptions

PATIENCE = 5
"""The non-monotone interval of NT-ASGD: averaging begins when the newest dev loss is above the
lowest of those before the last five."""


class WeightAverage:
    """An average of weights over the steps of a training.

    Args:
        parameters: The weights.
        options: The settings ``average`` and ``ema_decay``.
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
        share = 1 / steps  # The weight of the newest weights in a plain mean.
        if self._kind == "ema":
            # With the full decay from the start, the initial weights would dominate for long.
            share = max(1 - self._decay, 9 / (9 + steps))
        torch._foreach_lerp_(self._averages, self._parameters, share)

    def trigger(self, losses: Sequence[float]) -> None:
        """Start a triggered average if the dev losses, in order of time, have stopped falling."""
        before = losses[: -PATIENCE - 1]
        if before and losses[-1] > min(before):
            self._triggered.fill_(True)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Context manager: replace the weights of the model by their average."""
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
        """Return all tensors that later steps depend on, in a fixed order."""
        return [*self._averages, self._steps, self._triggered] if self._averages else []
