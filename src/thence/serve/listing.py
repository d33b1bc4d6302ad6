"""``/playground/runs`` and ``/playground/curves``: all runs of some folders, served or not."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.errors import RunError, ThenceError, nearest
from thence.runs import Run
from thence.serve.problems import PROBLEMS
from thence.serve.run_entries import (
    RunEntry,
    State,
    files_of,
    metrics_of,
    number,
    read_entry,
    stamp_of,
    state_of,
    whole_number,
    without_place,
)
from thence.serve.served import ServedRun, UnknownModelError

MOST_RUNS = 2000
MOST_POINTS = 2000
"""Looks of a curve that are told; of more, evenly many are left out."""


class RunTable(BaseModel):
    """All runs."""

    runs: list[RunEntry]
    left_out: int = Field(description="Runs beyond those that are listed.")


class Look(BaseModel):
    """One look at dev during a training."""

    step: int
    seconds: float | None
    epoch: float | None
    tokens: int | None
    learning_rate: float | None
    train: float | None = Field(description="Nats per token, or per document.")
    dev: float | None
    accuracy: float | None


class Curves(BaseModel):
    """The looks of one run."""

    run: str
    unit: Literal["token", "document"]
    state: State
    looks: list[Look]
    left_out: int


@dataclass
class Listing:
    """The runs in some folders, by name; read again only where their files have changed.

    Attributes:
        models: Those that are served, whose names nobody else may have.
        folders: Where to look: each run is a folder right inside one of them.
    """

    models: dict[str, ServedRun]
    folders: tuple[Path, ...]
    _known: dict[Path, tuple[object, RunEntry]] = field(default_factory=dict)

    def paths(self) -> dict[str, Path]:
        """Return the folder of each run; a name that is taken gets that of its parent before it."""
        found = {name: served.run.folder for name, served in self.models.items()}
        taken = {folder.resolve() for folder in found.values()}
        for folder in self.folders:
            for run in _run_folders(folder):
                if run.resolve() in taken:
                    continue
                taken.add(run.resolve())
                # Not every name of a folder is text.
                name, number = run.name.encode("utf-8", "replace").decode("utf-8"), 2
                if name in found:
                    name = f"{folder.resolve().name}/{name}"
                unnumbered = name
                while name in found:
                    name, number = f"{unnumbered} ({number})", number + 1
                found[name] = run
        return found

    def entries(self) -> RunTable:
        """Return all runs, those whose files are damaged too."""
        paths = self.paths()
        shown = list(paths.items())[:MOST_RUNS]
        runs = [self._entry(name, folder) for name, folder in shown]
        return RunTable(runs=runs, left_out=len(paths) - len(shown))

    def curves(self, name: str) -> Curves:
        """Return the looks of a run.

        Raises:
            UnknownModelError: If there is no run of that name.
            RunError: If it cannot be read.
        """
        paths = self.paths()
        if name not in paths:
            raise UnknownModelError(f"There is no run {name!r} here." + nearest(name, paths))
        try:
            run = Run(paths[name])
            metrics = metrics_of(run)
        except ThenceError as error:
            raise RunError(without_place(error, paths[name])) from error
        places = np.linspace(0, max(len(metrics) - 1, 0), min(len(metrics), MOST_POINTS))
        unit = run.loss_unit
        looks = [_look(metrics[place], unit) for place in places.round().astype(int)]
        return Curves(
            run=name,
            unit=unit,
            state=state_of(run),
            looks=[look for look in looks if look is not None],
            left_out=len(metrics) - len(places),
        )

    def _entry(self, name: str, folder: Path) -> RunEntry:
        stamp = tuple(map(stamp_of, files_of(folder)))
        known = self._known.get(folder)
        if known is None or known[0] != stamp or known[1].state == "training":
            entry = read_entry(folder)
            self._known[folder] = known = (stamp, entry)
        served = self.models.get(name)
        changes: dict[str, Any] = {"name": name, "served": served is not None}
        if served is not None:
            changes["parameters"] = served.run.num_parameters
        return known[1].model_copy(update=changes)


def run_routes(models: dict[str, ServedRun], folders: Iterable[Path]) -> APIRouter:
    """Return the routes about all runs."""
    router = APIRouter()
    listing = Listing(models, tuple(folders))

    @router.get("/playground/runs", responses=PROBLEMS)
    async def list_runs() -> RunTable:
        """List all runs in the folders that the server was started with."""
        return await asyncio.to_thread(listing.entries)

    @router.get("/playground/curves", responses=PROBLEMS)
    async def learning_curves(run: str) -> Curves:
        """Give the learning curves of a run, which may still be in training."""
        return await asyncio.to_thread(listing.curves, run)

    return router


def _run_folders(folder: Path) -> Iterator[Path]:
    try:
        items = sorted(folder.iterdir())
    except OSError:
        return
    for item in items:
        try:
            if not item.name.startswith(".") and (item / "config.toml").is_file():
                yield item
        except OSError:
            continue


def _look(line: dict[str, Any], unit: str) -> Look | None:
    step = whole_number(line.get("step"))
    if step is None:
        return None
    return Look(
        step=step,
        seconds=number(line.get("seconds")),
        epoch=number(line.get("epoch")),
        tokens=whole_number(line.get("tokens")),
        learning_rate=number(line.get("learning_rate")),
        train=number(line.get(f"train_nats_per_{unit}")),
        dev=number(line.get(f"dev_nats_per_{unit}")),
        accuracy=number(line.get("dev_accuracy")),
    )
