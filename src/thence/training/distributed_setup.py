"""Checks that processes which train together have the same recipe, text and run folder.

A difference is an error in all of them, before the first step. This module does not import torch,
which a single process with an n-gram model does not need; its world is None.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from thence.errors import RunError, SettingError, TextError
from thence.processes import is_first_process, launch_id, number_of_processes
from thence.recipes.recipe import Recipe
from thence.runs.run import Run
from thence.runs.sources import display_name, is_read_once, named_sources
from thence.training.data import TrainingData

if TYPE_CHECKING:
    from thence.training.world import World

VISIBLE_WITHIN = 10.0
"""Seconds to wait for a network file system to show a file written by another machine."""


@contextmanager
def processes() -> Iterator["World | None"]:
    """Context manager: the processes that ``torchrun`` has started; None if there is only one."""
    if number_of_processes() == 1:
        yield None
        return
    from thence.training.distributed import process_group

    with process_group() as world:
        yield world


def fail_together(world: "World | None") -> AbstractContextManager[None]:
    """Context manager: if the block fails in one process, all raise an error."""
    return nullcontext() if world is None else world.fail_together()


def check_shareable(recipe: Recipe, world: "World | None") -> None:
    """Raise SettingError if several processes cannot read the texts or lack the device."""
    if world is None:
        return
    for name in named_sources(recipe).values():
        if is_read_once(name):
            raise SettingError(
                f"Several processes cannot share {display_name(name)}; write it to a file."
            )
    from thence.training.device import choose_device

    choose_device(recipe.training.device)


def shared_run(folder: Path, data: TrainingData, world: "World | None") -> Run:
    """Open the run that the first process has made, and check that all have the same data.

    Raises:
        RunError: If a process does not see its folder.
        TextError: If a process has read another text.
        SettingError: If a process was started with other settings.
    """
    run = same_run(folder, world)
    if world is None:
        return run
    with world.fail_together():
        if world.is_writer:
            return run
        if data.splits.hashes() != run.provenance["sha256"]:
            raise TextError(
                f"The text {run.recipe.text} is not the same on all machines: this process has "
                "read another than the first one. Copy it again, or put it where all see it."
            )
        if data.tokenizer.content_hash() != run.provenance["tokenizer"]:
            raise SettingError(
                "This process was started with other settings than the first one: it cuts the text "
                "into other tokens. Give torchrun the same command on all machines."
            )
    return run


def same_run(folder: Path, world: "World | None") -> Run:
    """Open the first process's run folder, and check that all processes see the same.

    Raises:
        RunError: If a process does not see it, or sees another.
    """
    if world is None:
        return Run(folder)
    with world.fail_together():
        known = f"{folder}\n{Run(folder).identity}" if world.is_writer else ""
    name, _, identity = world.broadcast(known).rpartition("\n")
    with world.fail_together():
        until = time.monotonic() + VISIBLE_WITHIN
        while not (Path(name) / "config.toml").exists() and time.monotonic() < until:
            time.sleep(0.1)
        remedy = "Put it on a file system that all machines share, under the same path (`output`)."
        if not Path(name).exists():
            raise RunError(
                f"This machine does not see the run folder {name} of the first process. {remedy}"
            )
        run = Run(name)
        if run.identity != identity:
            raise RunError(
                f"{name} on this machine is another run than that of the first process. {remedy}"
            )
    return run


def launch_ids(world: "World | None") -> set[str]:
    """Return the ids of the ``torchrun`` of all machines; see ``processes.launch_id``."""
    own = launch_id()
    return set([own] if world is None else world.gather(own)) - {""}


def begun_before(folder: Path, launched_by: set[str], world: "World | None") -> Run | None:
    """Return the run that the same ``torchrun`` began before a restart; None without one.

    A run with another origin is not resumed: its existing folder is an error, at the first start
    and after restarts.
    """
    if not launched_by:
        return None
    with fail_together(world):
        is_there = is_first_process() and (folder / "config.toml").exists()
        makers = Run(folder).provenance.get("launches", ()) if is_there else ()
    is_ours = str(not launched_by.isdisjoint(makers))
    if (is_ours if world is None else world.broadcast(is_ours)) != "True":
        return None
    return same_run(folder, world)
