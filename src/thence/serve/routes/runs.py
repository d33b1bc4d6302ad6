"""``/playground/runs`` and ``/playground/curves``: all runs of some folders, loaded or not.

What is known of a run comes from its small files alone; no model is loaded for it.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, Field

from thence.errors import RunError, ThenceError, nearest
from thence.evaluation.metrics import finite, perplexity
from thence.models.registry import get_family
from thence.runs import Run, open_run
from thence.runs.files import number_of_values
from thence.runs.metrics import best_line
from thence.serve.errors import UnknownModelError
from thence.serve.loaded_runs import LoadedRun, Stamp, stamp_of
from thence.serve.routes import Context

MAX_RUNS = 2000
"""Runs in the table."""
MAX_POINTS = 2000
"""Evaluations of a curve; of more, evenly spaced ones are sent."""
MAX_METRICS = 32 << 20
"""Bytes of a metrics file that is read: a hundred thousand evaluations."""
STOPPED_AFTER = 180
"""Seconds without a write after which an unfinished training is taken to have stopped."""

# Metrics hold finite numbers or null, but a damaged file may have a step of 1.5.
Integer = Annotated[int | None, BeforeValidator(lambda value: value and int(value))]
State = Literal["finished", "training", "stopped", "unreadable"]


class RunEntry(BaseModel):
    """A run in the table of runs; what is unknown is null."""

    name: str
    kind: Literal["language model", "classifier"] | None = None
    family: str | None = None
    tokens: str | None = None
    text: str | None = None
    parameters: int | None = None
    steps: Integer = None
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
    """One evaluation on dev during a training."""

    step: Integer
    seconds: float | None = None
    epoch: float | None = None
    tokens: Integer = None
    learning_rate: float | None = None
    train: float | None = Field(description="Nats per token, or per document.")
    dev: float | None
    accuracy: float | None


class Curves(BaseModel):
    """The evaluations of one run."""

    run: str
    unit: Literal["token", "document"]
    state: State
    looks: list[Look]
    left_out: int


@dataclass
class RunListing:
    """The runs in some folders by name; a run is read again only if its files have changed.

    Attributes:
        models: The loaded runs, whose names no other run may have.
        folders: Where to look: each run is a folder right inside one of them.
    """

    models: dict[str, LoadedRun]
    folders: tuple[Path, ...]
    _cache: dict[Path, tuple[object, RunEntry]] = field(default_factory=dict)

    def paths(self) -> dict[str, Path]:
        """Return the folder of each run; a run whose name is taken gets ``parent/name``."""
        found = {name: loaded.run.folder for name, loaded in self.models.items()}
        seen = {folder.resolve() for folder in found.values()}
        for folder in self.folders:
            for run in _run_folders(folder):
                if run.resolve() in seen:
                    continue
                seen.add(run.resolve())
                # A folder's name may hold bytes that are no text.
                name, number = run.name.encode("utf-8", "replace").decode("utf-8"), 2
                if name in found:
                    name = f"{folder.resolve().name}/{name}"
                unnumbered = name
                while name in found:
                    name, number = f"{unnumbered} ({number})", number + 1
                found[name] = run
        return found

    def entries(self) -> RunTable:
        """Return all runs, also those whose files are damaged."""
        paths = self.paths()
        shown = list(paths.items())[:MAX_RUNS]
        runs = [self._entry(name, folder) for name, folder in shown]
        return RunTable(runs=runs, left_out=len(paths) - len(shown))

    def curves(self, name: str) -> Curves:
        """Return the learning curves of a run.

        Raises:
            UnknownModelError: If there is no run of that name.
            RunError: If it cannot be read.
        """
        paths = self.paths()
        if name not in paths:
            raise UnknownModelError(f"There is no run {name!r} here." + nearest(name, paths))
        try:
            run = open_run(paths[name])
            metrics = _metrics_of(run)
        except ThenceError as error:
            raise RunError(_without_path(error, paths[name])) from error
        places = np.linspace(0, max(len(metrics) - 1, 0), min(len(metrics), MAX_POINTS))
        unit = run.loss_unit
        looks = []
        for line in (metrics[place] for place in places.round().astype(int)):
            losses = {split: line.get(f"{split}_nats_per_{unit}") for split in ("train", "dev")}
            looks.append(Look(**{**line, **losses, "accuracy": line.get("dev_accuracy")}))
        return Curves(
            run=name,
            unit=unit,
            state=_state_of(run),
            looks=looks,
            left_out=len(metrics) - len(places),
        )

    def _entry(self, name: str, folder: Path) -> RunEntry:
        stamps = _stamps(folder)
        cached = self._cache.get(folder)
        if cached is None or cached[0] != stamps or cached[1].state == "training":
            self._cache[folder] = cached = (stamps, _read_entry(folder))
        loaded = self.models.get(name)
        changes: dict[str, Any] = {"name": name, "served": loaded is not None}
        if loaded is not None:
            changes["parameters"] = loaded.run.num_parameters
        return cached[1].model_copy(update=changes)


def routes(context: Context) -> APIRouter:
    """Return the endpoints about all runs."""
    router = APIRouter()
    listing = RunListing(context.models, context.folders)

    @router.get("/playground/runs")
    async def list_runs() -> RunTable:
        """List all runs in the folders that the server was started with."""
        return await asyncio.to_thread(listing.entries)

    @router.get("/playground/curves")
    async def learning_curves(run: str) -> Curves:
        """Return the learning curves of a run, which may still be in training."""
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


def _stamps(folder: Path) -> list[Stamp | None]:
    """Return the stamps of the files that change the entry of a run."""
    names = ("config.toml", "metrics.jsonl", "model.safetensors", "last/checkpoint.safetensors")
    return [stamp_of(folder / name) for name in names]


def _metrics_of(run: Run) -> list[dict[str, Any]]:
    """Return the lines of ``metrics.jsonl``.

    Raises:
        RunError: If they cannot be read, or the file is larger than any training makes it.
    """
    stamp = stamp_of(run.folder / "metrics.jsonl")
    if stamp is not None and stamp[1] > MAX_METRICS:
        raise RunError(f"metrics.jsonl has {stamp[1] >> 20} MB, too much to be read here.")
    return run.metrics()


def _read_entry(folder: Path) -> RunEntry:
    """Return the entry of a run; that of a run that cannot be read says why."""
    try:
        return _entry_of(open_run(folder))
    except (ThenceError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        known = isinstance(error, ThenceError)
        said = _without_path(error, folder) if known else "Its files are damaged."
        return RunEntry(name=folder.name, state="unreadable", problem=said)


def _without_path(error: Exception, folder: Path) -> str:
    """Return the message of an error without the run's place on the server's disk."""
    return str(error).replace(str(folder), folder.name)


def _entry_of(run: Run) -> RunEntry:
    metrics = _metrics_of(run)
    last = metrics[-1] if metrics else {}
    best = best_line(metrics)
    nats = best.get("dev_nats_per_token")
    return RunEntry(
        name=run.name,
        kind=run.kind,
        family=run.recipe.model,
        tokens=run.recipe.tokens.tokens,
        text=Path(run.text_name).name,
        parameters=_parameters(run),
        steps=last.get("step"),
        seconds=last.get("seconds"),
        nats_per_token=nats,
        perplexity=None if nats is None else finite(perplexity(nats)),
        nats_per_document=best.get("dev_nats_per_document"),
        accuracy=best.get("dev_accuracy"),
        state=_state_of(run),
        made=str(run.provenance.get("made", "")) or None,
    )


def _parameters(run: Run) -> int | None:
    """Return the number of parameters of a network from its file's header; None for counts.

    Raises:
        RunError: If the file is damaged, by its header and its size.
    """
    weights = run.folder / "model.safetensors"
    if not weights.exists():
        return None
    numbers = number_of_values(weights)
    return numbers if get_family(run.recipe.model).method == "train" else None


def _state_of(run: Run) -> State:
    """Return whether a training is finished, still writes, or has stopped."""
    if run.finished:
        return "finished"
    newest = max(stamp[0] for stamp in _stamps(run.folder) if stamp is not None) / 1e9
    return "training" if time() - newest < STOPPED_AFTER else "stopped"
