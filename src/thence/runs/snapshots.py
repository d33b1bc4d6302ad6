"""Snapshots of a training: its weights at some steps, evenly spaced in their logarithm.

A snapshot is ``snapshots/STEP.safetensors`` in the run folder: the model alone, in half precision,
so that a training can be replayed. ``RUN@STEP`` names one wherever a run is named.
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
"""Name, in the metadata of a snapshot, of the tensors that were in single precision before."""
LARGEST_HALF = float(np.finfo(np.float16).max)


def is_due(step: int, total: float, number: int) -> bool:
    """Return whether a step is to be kept; the untrained model and the last step always are.

    Args:
        step: The step, from 0.
        total: Steps of the whole training, as far as is known.
        number: Snapshots at most, these two included.
    """
    if step <= 1 or total <= 1 or number <= 2:
        return number > 0 and (step == 0 or (step == 1 and number > 2))
    per_step = (number - 2) / math.log(total)
    # Steps total^(k / (number - 2)) for k = 0, 1, ..., each rounded up.
    kth, before = (math.floor(per_step * math.log(at) + 1e-9) for at in (step, step - 1))
    return kth > before


def path_of(folder: Path, step: int) -> Path:
    """Return where the snapshot of a step is in a run folder."""
    return folder / SNAPSHOTS / f"{step}{SUFFIX}"


def snapshot_steps(folder: Path) -> list[int]:
    """Return the steps of which a run folder has snapshots, in order."""
    try:
        names = [path.stem for path in (folder / SNAPSHOTS).iterdir() if path.suffix == SUFFIX]
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def snapshot_bytes(folder: Path) -> int:
    """Return the bytes of all snapshots of a run folder."""
    return sum(path_of(folder, step).stat().st_size for step in snapshot_steps(folder))


def save_snapshot(folder: Path, step: int, tensors: Mapping[str, Array], run: str) -> None:
    """Write a snapshot.

    Args:
        folder: The run folder.
        step: Steps that were made.
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
    save_tensors(path_of(folder, step), {**tensors, **halved}, about, within=folder)


def restored(tensors: Mapping[str, Array], about: Mapping[str, Any]) -> dict[str, Array]:
    """Return weights in single precision, as they were before ``save_snapshot``."""
    halved = about.get(HALF, ())
    return {n: v.astype(np.float32) if n in halved else v for n, v in tensors.items()}


def remove_later(folder: Path, step: int) -> None:
    """Remove the snapshots of steps after a checkpoint, which a training makes again."""
    for later in snapshot_steps(folder):
        if later > step:
            with suppress(OSError):
                path_of(folder, later).unlink()


def split_address(address: str | Path) -> tuple[str, int] | None:
    """Return the run and the step of ``RUN@STEP``; None for what is no such address.

    >>> split_address("runs/names@120")
    ('runs/names', 120)
    """
    run, at, step = str(address).rpartition("@")
    if not (run and at and step.isascii() and step.isdecimal()) or find_run(address).exists():
        return None
    return run, int(step)


def check_step(folder: Path, step: int) -> None:
    """Refuse a step of which there is no snapshot.

    Raises:
        RunError: Says which there are.
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
