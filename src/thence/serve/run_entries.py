"""Entries of the page's table of runs, made from the small files of each run folder."""

from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from thence.errors import RunError, ThenceError
from thence.evaluation.metrics import finite, perplexity
from thence.locks import can_lock, is_locked
from thence.models.registry import get_family
from thence.recipes.recipe import setting_groups
from thence.runs import ClassifierRun, Run, open_run
from thence.runs.files import number_of_values
from thence.runs.folder import CURVE
from thence.runs.metrics import best_line
from thence.runs.snapshots import SNAPSHOTS, snapshot_steps
from thence.serve.loaded_runs import OnDisk, Stamp, stamp_of

MAX_METRICS = 32 << 20
"""Largest metrics file that is read, in bytes: about a hundred thousand evaluations."""
STOPPED_AFTER = 180
"""Seconds without a write after which an unfinished training counts as stopped, on systems without
file locks."""
OF_COUNTS = ("carry_context", "seed")
"""Training settings that also apply to models without gradient steps."""
MAX_SETTING = 60
"""Maximum length of a setting in the table, in characters."""
PAGES = ("report.html", "best.html")
"""Names of reports in a run folder, in order of preference."""

# Metrics hold finite numbers or null, but a damaged file may have a step of 1.5.
Integer = Annotated[int | None, BeforeValidator(lambda value: value and int(value))]
State = Literal["finished", "training", "stopped", "unreadable", "deleted"]
Setting = str | bool | int | float


class RunEntry(BaseModel):
    """A run in the table of runs; what is unknown is null."""

    name: str
    group: str = Field(default="", description="Runs of the same group may be compared.")
    kind: Literal["language model", "classifier"] | None = None
    family: str | None = None
    tokens: str | None = None
    text: str | None = None
    parameters: int | None = Field(
        default=None, description="Null also while they are not counted yet."
    )
    counting: bool = Field(default=False, description="Whether its parameters will be counted.")
    bytes: int | None = Field(default=None, description="Of the file of the model.")
    steps: Integer = None
    seconds: float | None = None
    nats_per_token: float | None = Field(
        default=None, description="On dev, of the weights that are kept."
    )
    perplexity: float | None = None
    nats_per_document: float | None = None
    accuracy: float | None = None
    settings: dict[str, Setting] = Field(default={}, description="All settings, by name.")
    snapshots: int = Field(default=0, description="How many snapshots of its training there are.")
    state: State
    served: bool = False
    on_disk: OnDisk | None = Field(
        default=None,
        description="Of a served run: whether its files have changed since it was loaded.",
    )
    report: str | None = Field(default=None, description="Where its report is, with a key for it.")
    made: str | None = None
    problem: str | None = Field(default=None, description="Why a run cannot be read.")


class RunTable(BaseModel):
    """All runs."""

    runs: list[RunEntry]
    left_out: int = Field(description="Runs beyond those that are listed.")


def stamps_of(folder: Path) -> list[Stamp | None]:
    """Return the stamps of the files that the entry of a run depends on."""
    names = (
        "config.toml",
        "metrics.jsonl",
        CURVE,
        SNAPSHOTS,
        "model.safetensors",
        "last/checkpoint.safetensors",
    )
    return [stamp_of(folder / name) for name in (*names, *PAGES)]


def metrics_of(run: Run) -> list[dict[str, Any]]:
    """Return the lines of ``metrics.jsonl``.

    Raises:
        RunError: If they cannot be read, or the file is larger than ``MAX_METRICS``.
    """
    _check_size(run, "metrics.jsonl")
    return run.metrics()


def curve_of(run: Run) -> list[dict[str, Any]]:
    """Return the points of a training: the train loss at many steps, and the evaluations.

    Raises:
        RunError: If they cannot be read, or a file is larger than ``MAX_METRICS``.
    """
    _check_size(run, CURVE)
    _check_size(run, "metrics.jsonl")
    return run.curve()


def _check_size(run: Run, name: str) -> None:
    stamp = stamp_of(run.folder / name)
    if stamp is not None and stamp[1] > MAX_METRICS:
        raise RunError(f"{name} has {stamp[1] >> 20} MB, too much to be read here.")


def without_path(error: Exception, folder: Path) -> str:
    """Return the message of an error without the path of the run on the server."""
    return str(error).replace(str(folder), folder.name)


DAMAGED = (ThenceError, OSError, ValueError, KeyError, TypeError, AttributeError)
"""Exceptions that reading a damaged run can raise."""


def read_entry(folder: Path) -> RunEntry:
    """Return the entry of a run; for a run that cannot be read, its ``problem`` says why."""
    try:
        return _entry_of(open_run(folder))
    except DAMAGED as error:
        known = isinstance(error, ThenceError)
        said = without_path(error, folder) if known else "Its files are damaged."
        return RunEntry(name=folder.name, state="unreadable", problem=said)


def _entry_of(run: Run) -> RunEntry:
    metrics = metrics_of(run)
    state = state_of(run)
    # An unfinished training has come further than its last evaluation.
    points = metrics if state == "finished" else curve_of(run)
    last = points[-1] if points else {}
    best = best_line(metrics)
    nats = best.get("dev_nats_per_token")
    weights = stamp_of(run.folder / "model.safetensors")
    if weights is not None:
        number_of_values(run.folder / "model.safetensors")
    return RunEntry(
        name=run.name,
        **about(run),
        bytes=None if weights is None else weights[1],
        steps=last.get("step"),
        seconds=last.get("seconds"),
        nats_per_token=nats,
        perplexity=None if nats is None else finite(perplexity(nats)),
        nats_per_document=best.get("dev_nats_per_document"),
        accuracy=best.get("dev_accuracy"),
        state=state,
        snapshots=len(snapshot_steps(run.folder)),
        made=str(run.provenance.get("made", "")) or None,
    )


def about(run: Run) -> dict[str, Any]:
    """Return the fields of an entry that follow from the config, known even after a deletion."""
    return {
        "group": group_of(run),
        "kind": run.kind,
        "family": run.recipe.model,
        "tokens": run.recipe.tokens.tokens,
        "text": Path(run.text_name).name,
        "settings": settings_of(run),
    }


def group_of(run: Run) -> str:
    """Return a key shared by runs whose scores on dev can be compared.

    They have the same text, split and task, and the same tokens (for losses per token) or labels
    (for accuracy).
    """
    hashes = run.provenance["sha256"]
    about = [run.kind, hashes.get("dev"), run.text_name if run.imported else None]
    if isinstance(run, ClassifierRun):
        about += [sorted(run.label_names), run.classes.multilabel]
    else:
        about.append(run.provenance["tokenizer"])
    return sha256(repr(about).encode()).hexdigest()[:12]


def settings_of(run: Run) -> dict[str, Setting]:
    """Return the settings of a run with short values.

    Settings that are None are left out, and training settings of models without gradient steps.
    """
    recipe = run.recipe
    found: dict[str, Setting] = {"model": recipe.model}
    has_steps = get_family(recipe.model).method == "train"
    for group in setting_groups(recipe.model):
        for name, value in asdict(getattr(recipe, group)).items():
            if value is None or (group == "training" and not has_steps and name not in OF_COUNTS):
                continue
            plain = isinstance(value, bool | int | float)
            # A member of a mixture is a recipe of its own: its name says enough.
            found[name] = value if plain else _short(value)
    return found


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        value = ", ".join(_short(item) for item in value)
    if isinstance(value, dict):
        value = str(value.get("name") or value.get("run") or value.get("model") or "…")
    text = str(value)
    return text if len(text) <= MAX_SETTING else text[: MAX_SETTING - 1] + "…"


def parameters_of(folder: Path) -> int | None:
    """Return the number of parameters of a run; None if it is damaged."""
    try:
        return open_run(folder).num_parameters
    except (*DAMAGED, MemoryError):
        return None


def state_of(run: Run) -> State:
    """Return whether a training is finished, in progress, or stopped (its lock is free)."""
    if run.finished:
        return "finished"
    if can_lock():
        return "training" if is_locked(run.folder) else "stopped"
    newest = max(stamp[0] for stamp in stamps_of(run.folder) if stamp is not None) / 1e9
    return "training" if time() - newest < STOPPED_AFTER else "stopped"
