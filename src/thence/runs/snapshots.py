"""Snapshots: the weights at some steps of a training, evenly spaced in the logarithm of the step.

A snapshot is ``snapshots/STEP.safetensors`` in the run folder: the weights in half precision,
without optimizer state, so that the training can be replayed. ``RUN@STEP`` names one wherever a run
is named.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from thence.errors import RunError
from thence.models.base import Array
from thence.runs.files import find_run, save_tensors
from thence.runs.provenance import FORMAT

SNAPSHOTS = "snapshots"
"""Folder of the snapshots in a run folder."""
SUFFIX = ".safetensors"
HALF = "half"
"""Metadata key with the names of the tensors that were converted from float32 to float16."""
LARGEST_HALF = float(np.finfo(np.float16).max)
"""Largest absolute value in float16; tensors with larger ones stay float32."""


def is_snapshot_due(step: int, total: float, number: int) -> bool:
    """Return whether to save a snapshot at a step.

    Steps are total ** (k / (number - 2)) for k = 0, 1, ..., number - 2, and step 0.

    Args:
        step: The step, from 0.
        total: Expected number of steps of the whole training.
        number: Snapshots at most, those of step 0 and of the last step included.
    """
    if step <= 1 or total <= 1 or number <= 2:
        return number > 0 and (step == 0 or (step == 1 and number > 2))
    per_step = (number - 2) / math.log(total)
    # A step is due if a value of k lies between the logarithms of it and of the step before.
    kth, before = (math.floor(per_step * math.log(at) + 1e-9) for at in (step, step - 1))
    return kth > before


def snapshot_path(folder: Path, step: int) -> Path:
    """Return the path of a snapshot."""
    return folder / SNAPSHOTS / f"{step}{SUFFIX}"


def snapshot_steps(folder: Path) -> list[int]:
    """Return the steps of the snapshots in a run folder, in order."""
    try:
        names = [path.stem for path in (folder / SNAPSHOTS).iterdir() if path.suffix == SUFFIX]
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def snapshot_bytes(folder: Path) -> int:
    """Return the size of all snapshots of a run folder, in bytes."""
    return sum(snapshot_path(folder, step).stat().st_size for step in snapshot_steps(folder))


def save_snapshot(folder: Path, step: int, tensors: Mapping[str, Array], run: str) -> None:
    """Write a snapshot in half precision.

    Args:
        folder: The run folder.
        step: Number of steps made so far.
        tensors: The weights by name.
        run: Identity of the run.

    Raises:
        RunError: If it cannot be written.
    """
    halved = {
        name: value.astype(np.float16)
        for name, value in tensors.items()
        if value.dtype == np.float32 and np.abs(value).max(initial=0) <= LARGEST_HALF
    }
    about: dict[str, Any] = {"format": FORMAT, "run": run, "step": step, HALF: sorted(halved)}
    save_tensors(snapshot_path(folder, step), {**tensors, **halved}, about, within=folder)


def to_single_precision(tensors: Mapping[str, Array], about: Mapping[str, Any]) -> dict[str, Array]:
    """Return tensors with those that ``save_snapshot`` halved converted back to float32."""
    halved = about.get(HALF, ())
    return {n: v.astype(np.float32) if n in halved else v for n, v in tensors.items()}


def remove_later(folder: Path, step: int) -> None:
    """Remove the snapshots after the step of a checkpoint: a resumed training saves them again."""
    for later in snapshot_steps(folder):
        if later > step:
            with suppress(OSError):
                snapshot_path(folder, later).unlink()


def split_address(address: str | Path) -> tuple[str, int] | None:
    """Return the run and the step of ``RUN@STEP``; None if it is not of this form, or is a folder.

    >>> split_address("runs/names@120")
    ('runs/names', 120)
    """
    run, at, step = str(address).rpartition("@")
    if not (run and at and step.isascii() and step.isdecimal()) or find_run(address).exists():
        return None
    return run, int(step)


def check_step(folder: Path, step: int) -> None:
    """Check that there is a snapshot of a step.

    Raises:
        RunError: If there is none; the message lists the steps there are.
    """
    steps = snapshot_steps(folder)
    if step in steps:
        return
    if not steps:
        raise RunError(
            f"{folder} has no snapshots: a network that is trained with `snapshots=20` keeps its "
            "weights at some steps."
        )
    raise RunError(
        f"{folder} has no snapshot of step {step:,}; there are {', '.join(map(str, steps))}."
    )
