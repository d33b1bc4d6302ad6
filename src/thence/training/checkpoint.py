"""What a checkpoint holds, and how it is checked when it is read.

A run folder may come from anyone, so a checkpoint may hold anything, with a checksum that fits.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from thence.errors import RunError, SettingError
from thence.models.base import Array
from thence.runs.files import load_tensors
from thence.settings import (
    NonNegativeFloat,
    NonNegativeInt,
    Range,
    as_in_file,
    declared_types,
    validate,
)

CHECKPOINT = Path("last", "checkpoint.safetensors")
"""Where the newest checkpoint is in a run folder."""
SAVED_NAMES = {"evals_without_improvement": "stale", "evaluations": "looks"}
"""The names in the file, where they differ from the fields: those that version 0.1 has written."""


@dataclass
class Counters:
    """The numbers of a training that a checkpoint keeps beside its tensors.

    Attributes:
        step: Optimizer steps that are done.
        tokens: Targets that were read, over all epochs.
        seconds: Duration of the training, without pauses.
        best_dev: The lowest selection loss so far.
        evals_without_improvement: Evaluations since then.
        evaluations: Evaluations that are done, or that were skipped for want of time.
        halvings: How often the schedule ``plateau`` has halved the learning rate.
        loss_weight: Weight of the batches whose losses are summed since the last evaluation.
        clipped: Steps whose gradient was clipped.
        metrics_bytes: Size of ``metrics.jsonl``; what follows was written after this checkpoint.
        curve_bytes: The same of ``curve.jsonl``.
        curve_step: The step of the last point there.
        curve_loss: The sum of losses at that point, since the last evaluation.
        curve_weight: ``loss_weight`` at that point.
        finished: Whether the training is over.
    """

    step: NonNegativeInt = 0
    tokens: NonNegativeFloat = 0.0
    seconds: NonNegativeFloat = 0.0
    best_dev: Annotated[float, Range(finite=False)] = math.inf
    evals_without_improvement: NonNegativeInt = 0
    evaluations: NonNegativeInt = 0
    halvings: NonNegativeInt = 0
    loss_weight: NonNegativeFloat = 0.0
    clipped: NonNegativeInt = 0
    metrics_bytes: NonNegativeInt = 0
    curve_bytes: NonNegativeInt = 0
    curve_step: NonNegativeInt = 0
    curve_loss: float = 0.0
    curve_weight: NonNegativeFloat = 0.0
    finished: bool = False

    def to_metadata(self) -> dict[str, Any]:
        """Return the numbers by their names in the file."""
        found = {SAVED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        if math.isinf(self.best_dev):
            del found["best_dev"]  # JSON has no infinity.
        return found

    @classmethod
    def from_metadata(cls, found: Mapping[str, Any]) -> "Counters":
        """Return what ``to_metadata`` gave.

        Raises:
            SettingError: If a value is unknown, of another type, or out of range.
        """
        hints = declared_types(cls)
        fields = {SAVED_NAMES.get(name, name): name for name in hints}
        if unknown := found.keys() - fields.keys():
            raise SettingError(f"its {min(unknown)} is unknown.")
        named = ((fields[name], name, value) for name, value in found.items())
        return cls(**{field: validate(name, value, hints[field]) for field, name, value in named})


def read_checkpoint(path: Path, identity: str | None) -> tuple[dict[str, Array], Counters]:
    """Return the tensors and the counters of a checkpoint.

    Raises:
        RunError: If it is missing or damaged, or is of another run.
    """
    tensors, found = load_tensors(path)
    try:
        if found.pop("run") != identity:
            raise RunError(f"{path} belongs to another run; restore this run's own.")
        return tensors, Counters.from_metadata(found)
    except KeyError as error:
        raise RunError(f"{path} does not say its {error}.") from error
    except SettingError as error:
        raise RunError(f"{path} does not fit the run's config: {as_in_file(error)}") from error


def check_numbers(name: str, value: Array) -> None:
    """Refuse numbers that are not finite, and integers below zero, which are counts."""
    if not np.isfinite(value).all() or (value.dtype.kind == "i" and np.any(value < 0)):
        raise ValueError(f"{name} holds what is no usable number")


def finite(value: float) -> float:
    """Return a number that must be finite.

    Raises:
        ValueError: If it is infinite or not a number.
    """
    if not math.isfinite(value):
        raise ValueError("a loss is no finite number")
    return value
