"""``/playground/runs`` and ``/playground/curves``: all runs of some folders, served or not."""

import asyncio
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.errors import RunError, ThenceError, nearest
from thence.evaluation.units import finite, perplexity
from thence.serve.problems import PROBLEMS
from thence.serve.served import ServedRun, UnknownModelError
from thence.training import Run
from thence.training.families import family_of
from thence.training.files import number_of_values
from thence.training.metrics import unit_of

SECONDS_WITHOUT_WRITING = 180
"""A training that has written nothing for so long is taken for stopped."""
MOST_RUNS = 2000
MOST_POINTS = 2000
"""Looks of a curve that are told; of more, evenly many are left out."""

State = Literal["finished", "training", "stopped", "unreadable"]


class RunEntry(BaseModel):
    """A run as the table of runs shows it; what is not known is left open."""

    name: str
    kind: Literal["language model", "classifier"] | None = None
    family: str | None = None
    tokens: str | None = None
    text: str | None = None
    parameters: int | None = None
    steps: int | None = None
    seconds: float | None = None
    nats_per_token: float | None = Field(
        default=None, description="On dev, of the weights that are kept."
    )
    perplexity: float | None = None
    nats_per_document: float | None = None
    accuracy: float | None = None
    state: State
    served: bool = False
    made: str | None = None
    problem: str | None = Field(default=None, description="Why a run cannot be read.")


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
                name, number = run.name, 2
                if name in found:
                    name = f"{folder.resolve().name}/{run.name}"
                while name in found:
                    name, number = f"{folder.resolve().name}/{run.name} ({number})", number + 1
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
            metrics = run.metrics()
        except ThenceError as error:
            raise RunError(_without_place(error, paths[name])) from error
        places = np.linspace(0, max(len(metrics) - 1, 0), min(len(metrics), MOST_POINTS))
        unit = unit_of(metrics[0]) if metrics else "document" if run.is_classifier else "token"
        looks = [_look(metrics[place], unit) for place in places.round().astype(int)]
        return Curves(
            run=name,
            unit="document" if unit == "document" else "token",
            state=_state(run),
            looks=[look for look in looks if look is not None],
            left_out=len(metrics) - len(places),
        )

    def _entry(self, name: str, folder: Path) -> RunEntry:
        stamp = tuple(map(_stamp, _files(folder)))
        known = self._known.get(folder)
        if known is None or known[0] != stamp or known[1].state == "training":
            entry = _read_entry(folder)
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


def _files(folder: Path) -> list[Path]:
    names = ("config.toml", "metrics.jsonl", "model.safetensors", "last/checkpoint.safetensors")
    return [folder / name for name in names]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _read_entry(folder: Path) -> RunEntry:
    try:
        run = Run(folder)
        return _entry_of(run)
    except (ThenceError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        known = isinstance(error, ThenceError)
        said = _without_place(error, folder) if known else "Its files are damaged."
        return RunEntry(name=folder.name, state="unreadable", problem=said)


def _without_place(error: Exception, folder: Path) -> str:
    """Return what an error says, but not where on the server's disk the run is."""
    return str(error).replace(str(folder), folder.name)


def _entry_of(run: Run) -> RunEntry:
    metrics = run.metrics()
    last = metrics[-1] if metrics else {}
    best = _best(metrics)
    nats = _number(best.get("dev_nats_per_token"))
    return RunEntry(
        name=run.name,
        kind="classifier" if run.is_classifier else "language model",
        family=run.recipe.model,
        tokens=run.recipe.tokens.tokens,
        text=Path(run.text_name).name,
        parameters=_parameters(run),
        steps=_whole(last.get("step")),
        seconds=_number(last.get("seconds")),
        nats_per_token=nats,
        perplexity=None if nats is None else finite(perplexity(nats)),
        nats_per_document=_number(best.get("dev_nats_per_document")),
        accuracy=_number(best.get("dev_accuracy")),
        state=_state(run),
        made=str(run.provenance.get("made", "")) or None,
    )


def _parameters(run: Run) -> int | None:
    """Return how many numbers a network has, going by the head of its file; None for counts."""
    if family_of(run.recipe.model).kind != "trained":
        return None
    try:
        return number_of_values(run.folder / "model.safetensors")
    except RunError:
        return None


def _best(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the look whose weights are kept: the most accurate, then the one of lowest loss."""

    def badness(look: dict[str, Any]) -> tuple[float, float]:
        loss = _number(look.get(f"dev_nats_per_{unit_of(look)}"))
        return -(_number(look.get("dev_accuracy")) or 0.0), math.inf if loss is None else loss

    return min(metrics, key=badness, default={})


def _state(run: Run) -> State:
    if run.finished:
        return "finished"
    stamps = [stamp for path in _files(run.folder) if (stamp := _stamp(path)) is not None]
    newest = max(stamp[0] for stamp in stamps) / 1e9
    return "training" if time() - newest < SECONDS_WITHOUT_WRITING else "stopped"


def _look(line: dict[str, Any], unit: str) -> Look | None:
    step = _whole(line.get("step"))
    if step is None:
        return None
    return Look(
        step=step,
        seconds=_number(line.get("seconds")),
        epoch=_number(line.get("epoch")),
        tokens=_whole(line.get("tokens")),
        learning_rate=_number(line.get("learning_rate")),
        train=_number(line.get(f"train_nats_per_{unit}")),
        dev=_number(line.get(f"dev_nats_per_{unit}")),
        accuracy=_number(line.get("dev_accuracy")),
    )


def _number(value: Any) -> float | None:
    return finite(float(value)) if isinstance(value, int | float) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
