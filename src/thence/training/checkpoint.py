"""The counters of a checkpoint, and the checks when one is read.

A run folder may come from an untrusted source: a checkpoint may contain anything, with a correct
checksum.
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
"""Path of the newest checkpoint in a run folder."""
SAVED_NAMES = {"evals_without_improvement": "stale", "evaluations": "looks"}
"""Names in the file that differ from the fields' names: those of version 0.1."""


@dataclass
class Counters:
    """The numbers of a training that a checkpoint has beside its tensors.

    Attributes:
        step: Number of optimizer steps done.
        tokens: Number of targets read, over all epochs.
        seconds: Duration of the training, without pauses.
        best_dev: The lowest selection loss so far.
        evals_without_improvement: Number of evaluations since then.
        evaluations: Number of evaluations done, or skipped for lack of time.
        halvings: How often the schedule ``plateau`` has halved the learning rate.
        loss_weight: Weight of the batches whose losses were summed since the last evaluation.
        clipped: Number of steps whose gradient was clipped.
        metrics_bytes: Size of ``metrics.jsonl``; later lines were written after this checkpoint.
        curve_bytes: Size of ``curve.jsonl``, likewise.
        curve_step: The step of the last point in ``curve.jsonl``.
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
        """Return the counters by their names in the file."""
        found = {SAVED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        if math.isinf(self.best_dev):
            del found["best_dev"]  # JSON has no infinity.
        return found

    @classmethod
    def from_metadata(cls, found: Mapping[str, Any]) -> "Counters":
        """Return the counters that ``to_metadata`` saved.

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
        RunError: If it is missing or damaged, or belongs to another run.
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
    """Raise ValueError for numbers that are not finite, and for negative integers (counts)."""
    if not np.isfinite(value).all() or (value.dtype.kind == "i" and np.any(value < 0)):
        raise ValueError(f"{name} holds a number that is negative, infinite or NaN")


def finite(value: float) -> float:
    """Return the value; ValueError if it is infinite or NaN."""
    if not math.isfinite(value):
        raise ValueError("a loss is infinite or NaN")
    return value
