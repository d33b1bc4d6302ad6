"""The interface between the training loop and the model that it trains.

This module does not import torch, which not every learner needs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from thence.batches import Batches, Step
from thence.models.base import Array
from thence.recipes.options import TrainingOptions
from thence.training.dev_evaluation import DevEvaluator
from thence.training.schedules import DEFAULT_EPOCHS
from thence.training.world import World


class Learner(Protocol):
    """Makes the steps of a training, and holds all state that later steps depend on."""

    def step(
        self, batches: Sequence[Step], rate: float, progress: float, measure: bool = False
    ) -> bool:
        """Make one step; return whether the gradient was clipped.

        Args:
            batches: The batches of this step, whose gradients are summed.
            rate: The learning rate.
            progress: Fraction of the training that is done, from 0 to 1.
            measure: Measure the norm of the gradient, before clipping, for ``mark_curve_point``.
        """

    def add_loss(self, batch: Step) -> None:
        """Add the loss of a batch to the sum, without training on it."""

    def loss_sum(self) -> float:
        """Return the summed loss of all batches since ``clear_loss``, in nats."""

    def clear_loss(self) -> None:
        """Set the sum of losses to zero."""

    def mark_curve_point(self) -> None:
        """Store the current sum of losses and the norm of the last gradient, on the device."""

    def take_curve_points(self) -> list[tuple[float, float]]:
        """Return and clear the stored pairs (sum of losses, norm); a norm not measured is NaN."""

    def is_finite(self) -> bool:
        """Return whether all weights are finite numbers."""

    def computing(self) -> AbstractContextManager[Any]:
        """Return the context manager (precision, threads) for all steps and evaluations."""

    def averaged(self) -> AbstractContextManager[Any]:
        """Return a context manager with the weights replaced by their average, if averaged."""

    def on_dev_losses(self, losses: Sequence[float]) -> None:
        """React to the dev losses so far, in order of time: start averaging, for example."""

    def tensors(self) -> dict[str, Array]:
        """Return a copy of the weights by name."""

    def state(self) -> dict[str, Array]:
        """Return all state that later steps depend on, by name, for a checkpoint."""

    def load_state(self, tensors: Mapping[str, Array], step: int) -> None:
        """Restore the ``state`` that was saved after ``step`` steps.

        Raises:
            KeyError: If a tensor is missing.
            TypeError, ValueError, RuntimeError: If one does not fit.
        """


@dataclass(frozen=True)
class TrainingSetup:
    """A model with its batches, its evaluator and its learner.

    Attributes:
        network: The network or classifier that is trained, for use after the training.
        batches: The batch of each step.
        dev_evaluator: Evaluates it on dev.
        make_learner: Makes the learner that trains it.
        default_epochs: Passes over the train split if no duration is given.
    """

    network: Any
    batches: Batches
    dev_evaluator: DevEvaluator
    make_learner: Callable[[TrainingOptions, World], Learner]
    default_epochs: float = DEFAULT_EPOCHS
