"""What a checkpoint holds beside tensors, and how what was read is checked.

A run folder may come from anyone, so a checkpoint may hold anything, with a checksum that fits.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thence.errors import RunError
from thence.models.base import Array
from thence.runs.files import load_tensors

LARGEST = 1 << 62


@dataclass
class Counters:
    """The numbers of a training that a checkpoint keeps beside its tensors."""

    step: int = 0
    tokens: float = 0.0
    seconds: float = 0.0
    best_dev: float = math.inf
    stale: int = 0
    looks: int = 0
    halvings: int = 0
    loss_weight: float = 0.0
    clipped: int = 0
    metrics_bytes: int = 0
    finished: bool = False


def read_checkpoint(path: Path, identity: str | None) -> tuple[dict[str, Array], Counters]:
    """Return the tensors and the numbers of a checkpoint.

    Args:
        path: The file.
        identity: Of the run that it must belong to.

    Raises:
        RunError: If it is missing or damaged, or is of another run.
    """
    tensors, found = load_tensors(path)
    try:
        if found.pop("run") != identity:
            raise RunError(f"{path} belongs to another run; restore this run's own.")
        return tensors, counters_of(found)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} does not fit the run's config: {error}") from error


def counters_of(found: Mapping[str, Any]) -> Counters:
    """Return the numbers that a checkpoint holds.

    Raises:
        ValueError: If one is no number, or below zero.
        TypeError: If one is unknown.
    """
    counters = Counters(**found)
    for item in fields(Counters):
        value: Any = getattr(counters, item.name)
        kind: Any = type(item.default)
        if not isinstance(value, int | float if kind is float else kind):
            raise ValueError(f"its {item.name} is not of the right type")
        if not (0 <= value < LARGEST or (item.name == "best_dev" and not math.isnan(value))):
            raise ValueError(f"its {item.name} is no usable number")
    return counters


def finite(value: float) -> float:
    """Return a number.

    Raises:
        ValueError: If it is infinite or none.
    """
    if not math.isfinite(value):
        raise ValueError("a loss is no finite number")
    return value


def like(fresh: Tensor, value: Array) -> Tensor:
    """Return a part of a state from a checkpoint, in the form of a fresh one.

    Raises:
        ValueError: If it has another shape, or holds what is no number, or below zero a count.
    """
    if value.shape != tuple(fresh.shape):
        raise ValueError(f"a part of its state has shape {value.shape}")
    check_numbers("its state", value)
    return torch.from_numpy(value).to(fresh)


def check_numbers(name: str, value: Array) -> None:
    """Refuse numbers that are not finite, and whole ones below zero.

    Raises:
        ValueError: If there are any.
    """
    if not np.isfinite(value).all() or (value.dtype.kind == "i" and np.any(value < 0)):
        raise ValueError(f"{name} holds what is no usable number")


def state_dict(kind: str, tensors: Iterable[Tensor]) -> dict[str, Array]:
    """Return tensors as arrays by name, ``kind.0``, ``kind.1``, ..., for a checkpoint."""
    return {f"{kind}.{place}": tensor.cpu().numpy() for place, tensor in enumerate(tensors)}


def load_state(kind: str, tensors: Iterable[Tensor], saved: Mapping[str, Array]) -> None:
    """Fill tensors with what ``state_dict`` gave.

    Raises:
        KeyError: If a tensor is missing.
        ValueError: If one has another shape.
    """
    for place, tensor in enumerate(tensors):
        value = torch.from_numpy(saved[f"{kind}.{place}"])
        if value.shape != tensor.shape:
            raise ValueError(f"{kind}.{place} has shape {tuple(value.shape)}")
        check_numbers(f"{kind}.{place}", saved[f"{kind}.{place}"])
        tensor.copy_(value)
