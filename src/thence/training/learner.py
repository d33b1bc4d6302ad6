"""What the training loop is given: what makes its steps, and on what it is trained and judged.

This module does without torch, which not every learner needs.
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
    """What makes the steps of a training, and holds all that later steps depend on."""

    def step(
        self, batches: Sequence[Step], rate: float, progress: float, measure: bool = False
    ) -> bool:
        """Make one step; return whether the gradient was clipped.

        Args:
            batches: What is read, all of it for this step.
            rate: The learning rate.
            progress: Fraction of the training that is done, from 0 to 1.
            measure: Measure the norm of the gradient, before it is clipped, for ``mark``.
        """

    def add_loss(self, batch: Step) -> None:
        """Add the loss of a batch to the sum, and learn nothing."""

    def loss_sum(self) -> float:
        """Return the summed loss of all batches since it was cleared, in nats."""

    def clear_loss(self) -> None:
        """Set the sum of losses to zero."""

    def mark(self) -> None:
        """Remember the sum of losses so far, and the norm of the last gradient, if measured."""

    def take_marks(self) -> list[tuple[float, float]]:
        """Return what was remembered since this was last asked; a norm not measured is NaN."""

    def is_finite(self) -> bool:
        """Return whether all weights are finite numbers."""

    def computing(self) -> AbstractContextManager[Any]:
        """Set up what steps and evaluations compute with, for as long as a training lasts."""

    def averaged(self) -> AbstractContextManager[Any]:
        """Replace the weights by their average within the block, if they are averaged."""

    def note_dev(self, losses: Sequence[float]) -> None:
        """Take note of the losses on dev so far, in order of time."""

    def tensors(self) -> dict[str, Array]:
        """Return the weights by name, copied."""

    def state(self) -> dict[str, Array]:
        """Return all that later steps depend on, by name, for a checkpoint."""

    def load_state(self, tensors: Mapping[str, Array], step: int) -> None:
        """Restore what ``state`` gave after so many steps.

        Raises:
            KeyError: If something is missing.
            TypeError, ValueError, RuntimeError: If something does not fit.
        """


@dataclass(frozen=True)
class TrainingSetup:
    """What is trained, on what, and how it is evaluated.

    Attributes:
        network: What is trained, for the time after: a network or a classifier.
        batches: What each step reads.
        dev_evaluator: Evaluates it on dev.
        make_learner: Makes what trains it.
        default_epochs: Passes over the train split where no other duration is asked for.
    """

    network: Any
    batches: Batches
    dev_evaluator: DevEvaluator
    make_learner: Callable[[TrainingOptions, World], Learner]
    default_epochs: float = DEFAULT_EPOCHS
