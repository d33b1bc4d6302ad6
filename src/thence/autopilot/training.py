"""Settings of the trainings of ``thence best``, and a callback that stops a training early."""

from dataclasses import dataclass, replace
from typing import Any

from thence.deadline import past_deadline
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe
from thence.signals import StopEvent
from thence.training.callbacks import ProgressCallback

TRAINING_SETTINGS = ("seed", "threads", "device", "carry_context")
"""Training settings that the user may give; the autopilot chooses all others."""


class TrainingEnded(Exception):  # noqa: N818  (the user asked for it)
    """Raised between two steps to end a training at once."""


@dataclass(frozen=True)
class StoppingListener:
    """A progress callback that forwards to another one, and ends the training on request.

    Attributes:
        listener: The callback to forward to.
        stop_event: Set when the user asks to stop.
    """

    listener: ProgressCallback
    stop_event: StopEvent

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Forward the progress; raise TrainingEnded after a stop or past the deadline."""
        self.listener.on_step(step, tokens, share)
        if self.stop_event.is_set() or past_deadline():
            raise TrainingEnded

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Forward an evaluation on dev."""
        self.listener.on_evaluation(metrics)


def with_training(recipe: Recipe, **settings: Any) -> Recipe:
    """Return the recipe with these training settings, the user's, else the family's defaults."""
    kept = {name: getattr(recipe.training, name) for name in TRAINING_SETTINGS}
    return replace(recipe, training=TrainingOptions(**kept, **settings))


def reported_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the training settings that the result shows."""
    names = (
        "batch_size", "window", "lr", "weight_decay", "time", "steps", "threads", "precision",
    )  # fmt: skip
    given = {name: getattr(recipe.training, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}
