"""All runs of some folders, loaded or not, and what their small files say of them."""

import hmac
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes
from time import monotonic, time
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, BeforeValidator, Field

from thence.errors import RunError, ThenceError, nearest
from thence.evaluation.metrics import finite, perplexity
from thence.locks import can_lock, is_locked
from thence.models.registry import get_family
from thence.recipes.recipe import groups_of
from thence.runs import ClassifierRun, Run, open_run
from thence.runs.files import check_ordinary, number_of_values
from thence.runs.folder import CURVE
from thence.runs.metrics import best_line
from thence.runs.snapshots import SNAPSHOTS, snapshot_steps
from thence.serve.errors import UnknownModelError
from thence.serve.loaded_runs import LoadedRun, OnDisk, Stamp, stamp_of

MAX_RUNS = 2000
"""Runs in the table."""
MAX_METRICS = 32 << 20
"""Bytes of a metrics file that is read: a hundred thousand evaluations."""
STOPPED_AFTER = 180
"""Seconds without a write after which an unfinished training is taken to have stopped, on systems
without locks."""
COUNTING_SECONDS = 0.3
"""Time that one listing may take to count the parameters of runs, which loads their models."""
MAX_COUNTED = 1 << 30
"""Bytes of a model that is loaded for that."""
OF_COUNTS = ("carry_context", "seed")
"""Settings of training that say something of models that are counted, fitted or combined too."""
MAX_SETTING = 60
"""Characters of a setting in the table."""
REPORT, REPORTS = "report.html", "/playground/report"
"""The file of a run, and the path under which the server has the reports."""
MAX_REPORT = 64 << 20
"""Bytes of a report that is sent."""

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


@dataclass
class RunListing:
    """The runs in some folders by name; a run is read again only if its files have changed.

    Attributes:
        models: The loaded runs, whose names no other run may have.
        folders: Where to look: each run is a folder right inside one of them.
    """

    models: Mapping[str, LoadedRun]
    folders: tuple[Path, ...]
    _cache: dict[Path, tuple[object, RunEntry]] = field(default_factory=dict)
    _parameters: dict[Path, tuple[object, int | None]] = field(default_factory=dict)
    _secret: bytes = field(default_factory=lambda: token_bytes(16))

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

    def path(self, name: str) -> Path:
        """Return the folder of a run.

        Raises:
            UnknownModelError: If there is no run of that name.
        """
        paths = self.paths()
        if name not in paths:
            raise UnknownModelError(f"There is no run {name!r} here." + nearest(name, paths))
        return paths[name]

    def open(self, name: str) -> Run:
        """Return a run, read anew from the disk.

        Raises:
            UnknownModelError: If there is no run of that name.
            RunError: If it cannot be read.
        """
        folder = self.path(name)
        try:
            return open_run(folder)
        except ThenceError as error:
            raise RunError(without_path(error, folder)) from error

    def stamps(self, name: str) -> object:
        """Return what changes when the files of a run do."""
        return tuple(_stamps(self.path(name)))

    def entry(self, name: str) -> RunEntry:
        """Return a run by its name.

        Raises:
            UnknownModelError: If there is no run of that name.
        """
        return self._entry(name, self.path(name))

    def entries(self) -> RunTable:
        """Return all runs, also those whose files are damaged."""
        paths = self.paths()
        shown = list(paths.items())[:MAX_RUNS]
        runs = [self._entry(name, folder) for name, folder in shown]
        self._count_parameters(runs, dict(shown))
        return RunTable(runs=runs, left_out=len(paths) - len(shown))

    def _entry(self, name: str, folder: Path) -> RunEntry:
        stamps = _stamps(folder)
        cached = self._cache.get(folder)
        if cached is None or cached[0] != stamps or cached[1].state in ("training", "stopped"):
            self._cache[folder] = cached = (stamps, _read_entry(folder))
        loaded = self.models.get(name)
        changes: dict[str, Any] = {"name": name}
        if stamps[-1] is not None:
            changes["report"] = f"{REPORTS}?{urlencode({'run': name, 'key': self._key(name)})}"
        if loaded is not None:
            on_disk = loaded.on_disk()
            changes |= {"served": True, "on_disk": on_disk}
            if on_disk == "deleted":
                changes |= _about(loaded.run)
                changes |= {"state": "deleted", "problem": "It was deleted from the disk."}
            if on_disk == "unchanged":
                changes["parameters"] = loaded.run.num_parameters
        return cached[1].model_copy(update=changes)

    def _key(self, name: str) -> str:
        return hmac.digest(self._secret, name.encode(), "sha256").hex()

    def report(self, name: str, key: str) -> bytes:
        """Return the report of a run to whoever was given its address, by the table of runs.

        Raises:
            UnknownModelError: If there is no run of that name, or the key is not its own.
            RunError: If it has no report, or one that is no ordinary file, or too large.
        """
        if not hmac.compare_digest(self._key(name).encode(), key.encode()):
            raise UnknownModelError("This is no address of a report; take it from the page.")
        path = self.open(name).folder / REPORT  # Opening a run refuses links in it.
        check_ordinary(path)
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size > MAX_REPORT:
                    raise RunError(f"The report of {name} is too large to be sent.")
                return file.read()
        except OSError as error:
            raise RunError(f"The report of {name} cannot be read: {error.strerror}.") from error

    def _count_parameters(self, runs: list[RunEntry], paths: Mapping[str, Path]) -> None:
        """Fill in the parameters of runs that are not loaded, for as long as there is time.

        Only a model itself can say how many it has; the smallest are loaded first.
        """
        ends = monotonic() + COUNTING_SECONDS
        unknown = [run for run in runs if run.parameters is None and run.bytes is not None]
        for entry in sorted(unknown, key=lambda entry: entry.bytes or 0):
            folder = paths[entry.name]
            stamp, known = stamp_of(folder / "model.safetensors"), self._parameters.get(folder)
            if (known is None or known[0] != stamp) and (entry.bytes or 0) <= MAX_COUNTED:
                if monotonic() > ends:
                    entry.counting = True
                    continue
                self._parameters[folder] = known = (stamp, _parameters(folder))
            entry.parameters = None if known is None else known[1]


class Remembered(OrderedDict[object, Any]):
    """Answers by what was asked; the oldest are forgotten beyond so many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: object, value: Any) -> None:
        """Keep an answer."""
        super().__setitem__(key, value)
        while len(self) > self._most:
            self.popitem(last=False)


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
    names = (
        "config.toml",
        "metrics.jsonl",
        CURVE,
        SNAPSHOTS,
        "model.safetensors",
        "last/checkpoint.safetensors",
    )
    return [stamp_of(folder / name) for name in (*names, REPORT)]


def metrics_of(run: Run) -> list[dict[str, Any]]:
    """Return the lines of ``metrics.jsonl``.

    Raises:
        RunError: If they cannot be read, or the file is larger than any training makes it.
    """
    _check_size(run, "metrics.jsonl")
    return run.metrics()


def curve_of(run: Run) -> list[dict[str, Any]]:
    """Return the points of a training: the train loss at many steps, and the evaluations.

    Raises:
        RunError: If they cannot be read, or a file is larger than any training makes it.
    """
    _check_size(run, CURVE)
    _check_size(run, "metrics.jsonl")
    return run.curve()


def _check_size(run: Run, name: str) -> None:
    stamp = stamp_of(run.folder / name)
    if stamp is not None and stamp[1] > MAX_METRICS:
        raise RunError(f"{name} has {stamp[1] >> 20} MB, too much to be read here.")


def without_path(error: Exception, folder: Path) -> str:
    """Return the message of an error without the run's place on the server's disk."""
    return str(error).replace(str(folder), folder.name)


DAMAGED = (ThenceError, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading the files of a stranger's run may raise."""


def _read_entry(folder: Path) -> RunEntry:
    """Return the entry of a run; that of a run that cannot be read says why."""
    try:
        return _entry_of(open_run(folder))
    except DAMAGED as error:
        known = isinstance(error, ThenceError)
        said = without_path(error, folder) if known else "Its files are damaged."
        return RunEntry(name=folder.name, state="unreadable", problem=said)


def _entry_of(run: Run) -> RunEntry:
    metrics = metrics_of(run)
    last = metrics[-1] if metrics else {}
    best = best_line(metrics)
    nats = best.get("dev_nats_per_token")
    weights = stamp_of(run.folder / "model.safetensors")
    if weights is not None:
        number_of_values(run.folder / "model.safetensors")
    return RunEntry(
        name=run.name,
        **_about(run),
        bytes=None if weights is None else weights[1],
        steps=last.get("step"),
        seconds=last.get("seconds"),
        nats_per_token=nats,
        perplexity=None if nats is None else finite(perplexity(nats)),
        nats_per_document=best.get("dev_nats_per_document"),
        accuracy=best.get("dev_accuracy"),
        state=state_of(run),
        snapshots=len(snapshot_steps(run.folder)),
        made=str(run.provenance.get("made", "")) or None,
    )


def _about(run: Run) -> dict[str, Any]:
    """Return what a run is, which its loaded config says also after it was deleted."""
    return {
        "group": group_of(run),
        "kind": run.kind,
        "family": run.recipe.model,
        "tokens": run.recipe.tokens.tokens,
        "text": Path(run.text_name).name,
        "settings": settings_of(run),
    }


def group_of(run: Run) -> str:
    """Return a name that runs share whose numbers on dev may be compared: text, split, task.

    Losses per token are about the same tokens only; accuracies need the same labels.
    """
    hashes = run.provenance["sha256"]
    about = [run.kind, hashes.get("dev"), run.text_name if run.imported else None]
    if isinstance(run, ClassifierRun):
        about += [sorted(run.label_names), run.classes.multilabel]
    else:
        about.append(run.provenance["tokenizer"])
    return sha256(repr(about).encode()).hexdigest()[:12]


def settings_of(run: Run) -> dict[str, Setting]:
    """Return the settings of a run as names and short values.

    Those that are None are left out, and those of training where there were no steps.
    """
    recipe = run.recipe
    found: dict[str, Setting] = {"model": recipe.model}
    has_steps = get_family(recipe.model).method == "train"
    for group in ("options", *groups_of(recipe.model)):
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


def _parameters(folder: Path) -> int | None:
    """Return how many parameters a run has, the same number as elsewhere; None if it is damaged."""
    try:
        return open_run(folder).num_parameters
    except (*DAMAGED, MemoryError):
        return None


def state_of(run: Run) -> State:
    """Return whether a training is finished, goes on, or has stopped: then its lock is free."""
    if run.finished:
        return "finished"
    if can_lock():
        return "training" if is_locked(run.folder) else "stopped"
    newest = max(stamp[0] for stamp in _stamps(run.folder) if stamp is not None) / 1e9
    return "training" if time() - newest < STOPPED_AFTER else "stopped"
