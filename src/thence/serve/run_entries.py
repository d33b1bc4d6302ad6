"""What is told of a run in the table of all runs, from its small files alone."""

import math
from pathlib import Path
from time import time
from typing import Any, Literal

from pydantic import BaseModel, Field

from thence.errors import RunError, ThenceError
from thence.evaluation.units import finite, perplexity
from thence.models.registry import get_family
from thence.runs import Run
from thence.runs.files import number_of_values
from thence.runs.metrics import unit_of

SECONDS_WITHOUT_WRITING = 180
"""A training that has written nothing for so long is taken for stopped."""

MOST_METRICS = 32 << 20
"""Bytes of metrics that are read: a hundred thousand looks at dev."""

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


def files_of(folder: Path) -> list[Path]:
    """Return the files whose changes change what is told of a run."""
    names = ("config.toml", "metrics.jsonl", "model.safetensors", "last/checkpoint.safetensors")
    return [folder / name for name in names]


def metrics_of(run: Run) -> list[dict[str, Any]]:
    """Return the looks of a run.

    Raises:
        RunError: If they cannot be read, or are more than any training writes.
    """
    stamp = stamp_of(run.folder / "metrics.jsonl")
    if stamp is not None and stamp[1] > MOST_METRICS:
        raise RunError(f"metrics.jsonl has {stamp[1] >> 20} MB, too much to be read here.")
    return run.metrics()


def stamp_of(path: Path) -> tuple[int, int] | None:
    """Return when a file was written and its size; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def read_entry(folder: Path) -> RunEntry:
    """Return what is told of a run; one that cannot be read has an entry that says why."""
    try:
        run = Run(folder)
        return _entry_of(run)
    except (ThenceError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        known = isinstance(error, ThenceError)
        said = without_place(error, folder) if known else "Its files are damaged."
        return RunEntry(name=folder.name, state="unreadable", problem=said)


def without_place(error: Exception, folder: Path) -> str:
    """Return what an error says, but not where on the server's disk the run is."""
    return str(error).replace(str(folder), folder.name)


def _entry_of(run: Run) -> RunEntry:
    metrics = metrics_of(run)
    last = metrics[-1] if metrics else {}
    best = _best(metrics)
    nats = number(best.get("dev_nats_per_token"))
    return RunEntry(
        name=run.name,
        kind=run.kind,
        family=run.recipe.model,
        tokens=run.recipe.tokens.tokens,
        text=Path(run.text_name).name,
        parameters=_parameters(run),
        steps=whole_number(last.get("step")),
        seconds=number(last.get("seconds")),
        nats_per_token=nats,
        perplexity=None if nats is None else finite(perplexity(nats)),
        nats_per_document=number(best.get("dev_nats_per_document")),
        accuracy=number(best.get("dev_accuracy")),
        state=state_of(run),
        made=str(run.provenance.get("made", "")) or None,
    )


def _parameters(run: Run) -> int | None:
    """Return how many numbers a network has, going by the head of its file; None for counts.

    Raises:
        RunError: If the file is damaged, as its head and its size tell.
    """
    weights = run.folder / "model.safetensors"
    if not weights.exists():
        return None
    numbers = number_of_values(weights)
    return numbers if get_family(run.recipe.model).method == "train" else None


def _best(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the look whose weights are kept: the most accurate, then the one of lowest loss."""

    def badness(look: dict[str, Any]) -> tuple[float, float]:
        loss = number(look.get(f"dev_nats_per_{unit_of(look)}"))
        return -(number(look.get("dev_accuracy")) or 0.0), math.inf if loss is None else loss

    return min(metrics, key=badness, default={})


def state_of(run: Run) -> State:
    """Return whether a training came to its end, or is writing still, or has stopped."""
    if run.finished:
        return "finished"
    stamps = [stamp for path in files_of(run.folder) if (stamp := stamp_of(path)) is not None]
    newest = max(stamp[0] for stamp in stamps) / 1e9
    return "training" if time() - newest < SECONDS_WITHOUT_WRITING else "stopped"


def number(value: Any) -> float | None:
    """Return a finite number of a line of metrics, or None."""
    return finite(float(value)) if isinstance(value, int | float) else None


def whole_number(value: Any) -> int | None:
    """Return a whole number of a line of metrics, or None."""
    found = number(value)
    return None if found is None else int(found)
