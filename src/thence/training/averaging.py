"""Averages of the weights, which judge better than the last ones while the steps are still large.

    ema         a <- d a + (1 - d) w after every step, d rising to ``ema_decay`` at first
    triggered   the plain mean of w over all steps since dev stopped improving

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
"""Looks at dev, the last few apart, whose best the newest must not beat for averaging to begin."""


class WeightAverage:
    """An average of weights over the steps of a training.

    Args:
        parameters: The weights.
        options: Which average.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], options: TrainingOptions) -> None:
        self._kind, self._decay = options.average, options.ema_decay
        self._parameters = [parameter.data for parameter in parameters]
        keeps = options.average != "none"
        self._averages = [value.clone() for value in self._parameters] if keeps else []
        self._steps = torch.zeros((), dtype=torch.int64)
        self._triggered = torch.tensor(options.average == "ema")

    def update(self) -> None:
        """Take in the weights after a step."""
        if not self._averages or not self._triggered:
            return
        self._steps += 1
        taken = int(self._steps)
        share = 1 / taken  # Of the newest weights.
        if self._kind == "ema":
            share = max(1 - self._decay, 9 / (9 + taken))  # From few steps: forget the first soon.
        torch._foreach_lerp_(self._averages, self._parameters, share)

    def look(self, losses: Sequence[float]) -> None:
        """Hear all dev losses so far; begin a triggered average where they stop falling."""
        before = losses[: -PATIENCE - 1]
        if before and losses[-1] > min(before):
            self._triggered.fill_(True)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the average for its weights for a while."""
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
        """Return every tensor that later steps depend on, always in the same order."""
        return [*self._averages, self._steps, self._triggered]
