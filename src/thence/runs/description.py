"""Summaries of runs: a run in a line, the runs in a folder, and remarks on selection by dev.

They come from the small files of run folders; no weights are read.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from thence.errors import RunError, ThenceError
from thence.locks import is_locked
from thence.models.registry import get_family, is_classifier
from thence.runs.files import (
    RUNS,
    UNUSABLE,
    find_run,
    is_finished,
    number_of_values,
    read_json,
    refuse_links,
)
from thence.runs.folder import RunFolder
from thence.runs.looks_at_test import TEST_LOOKS, read_test_looks
from thence.runs.metrics import best_line, read_metrics, unit_of
from thence.runs.provenance import check_provenance, read_config
from thence.runs.snapshots import snapshot_bytes, snapshot_steps
from thence.runs.sources import display_name
from thence.settings import validate

State = Literal["finished", "training", "stopped", "sweep", "damaged", "no run"]
BEST_OF_SWEEP = "best-of-sweep.json"
"""File in a sweep's best run: the trial, the number of trials, and the result on test."""
BEST_OF_TIME = "best.json"
"""File in a run of the autopilot: the models that were tried."""
SWEEP, BEST, TRIALS = "sweep.toml", "best", "trial-*"
"""Names in the folder of a sweep: its recipe, its best run, and its trials."""
MOST_METRICS = 1 << 25
"""Largest ``metrics.jsonl`` that is read for a list of runs, in bytes: about 100,000 lines."""
WORSE = "expect the test number to be worse"
"""Warning for what was selected on dev: the best of many is also the luckiest on this text."""


def describe(run: RunFolder) -> str:
    """Return a line such as ``mlp, 41,437 parameters, given-names, dev 2.5079 nats per token``.

    Parts that cannot be read are left out.
    """
    parts = [run.recipe.model]
    for part in (_parameters, lambda run: Path(run.text_name).name, _dev, _ended, _snapshots):
        with suppress(ThenceError, OSError):
            parts.append(part(run))
    return ", ".join(filter(None, parts))


def distinct_names(runs: Sequence[RunFolder]) -> list[str]:
    """Return the names of runs, or the folders of those with the same name."""
    times = Counter(run.name for run in runs)
    return [run.name if times[run.name] == 1 else str(run.folder) for run in runs]


def _parameters(run: RunFolder) -> str:
    """Return the number of parameters; empty if that would take loading a fitted model.

    The file of an n-gram model has more numbers than the model has parameters, so that only its
    model can tell.
    """
    weights = run.weights
    if get_family(run.recipe.model).method == "train" and weights.exists():
        return f"{number_of_values(weights):,} parameters"
    is_loaded = not {"model", "classifier"}.isdisjoint(run.__dict__)
    return f"{run.num_parameters:,} parameters" if is_loaded else ""


def _dev(run: RunFolder) -> str:
    """Return the best result on dev."""
    if run.step is not None:
        return ""  # The metrics are not those of the snapshot.
    best = best_line(run.metrics())
    if "dev_accuracy" in best:
        return f"dev accuracy {best['dev_accuracy']:.2%}"
    loss = best.get(f"dev_nats_per_{run.loss_unit}")
    return "" if loss is None else f"dev {loss:.4f} nats per {run.loss_unit}"


def _ended(run: RunFolder) -> str:
    if run.imported:
        return "imported"
    return "finished" if run.finished else "not finished"


def _snapshots(run: RunFolder) -> str:
    if run.step is not None:
        return f"as it was at step {run.step:,}"
    number = len(snapshot_steps(run.folder))
    return f"{number} snapshots of {snapshot_bytes(run.folder):,} bytes" if number else ""


def selected_among(count: int | None, noun: str, how: str = "") -> str:
    """Return a remark that a run was selected on dev among ``count`` others (None: unknown).

    >>> selected_among(30, "trial")
    'chosen on dev among 30 trials: expect the test number to be worse'
    """
    number = "several" if count is None else f"{count:,}"
    plural = "" if count == 1 else "s"
    return f"chosen on dev among {number} {noun}{plural}{how}: {WORSE}"


def combined_on_dev(count: int | None, refit: bool = False) -> str:
    """Return a remark that a run combines the models that were best on dev.

    Args:
        count: Number of models that were tried; None if unknown.
        refit: Whether they were fitted again, to train and dev, after the selection.
    """
    chosen = selected_among(count, "model", ", with weights from dev")
    return f"{chosen}; fitted again to train and dev since: judge it by test" if refit else chosen


def choice_on_dev(run: RunFolder) -> str | None:
    """Return a remark on how a run was selected on dev; None if it was not.

    Early stopping does not count: its effect on the loss on dev is small.
    """
    sweep, best = (_content(run, name) for name in (BEST_OF_SWEEP, BEST_OF_TIME))
    if sweep is not None:
        trials = sweep.get("trials")
        count = trials if isinstance(trials, int) else None
        return None if count == 1 else selected_among(count, "trial")
    if best is not None:
        tried = best.get("tried")
        return combined_on_dev(
            len(tried) if isinstance(tried, list) else None, best.get("refit") is True
        )
    if get_family(run.recipe.model).method == "combine":
        return f"weights learned on dev: {WORSE}"
    return None


def choices_on_dev(runs: Sequence[RunFolder]) -> str:
    """Return a sentence for each run that was selected on dev; empty if none was."""
    found = ((run.name, choice_on_dev(run)) for run in runs)
    return " ".join(f"{name}: {choice}." for name, choice in found if choice)


def _content(run: RunFolder, name: str) -> dict[str, object] | None:
    """Return the JSON object in a file of a run; None if it is missing or damaged."""
    try:
        return dict(read_json(run.folder / name))
    except (OSError, ThenceError, *UNUSABLE):
        return None


@dataclass(frozen=True)
class RunSummary:
    """A run in a list of runs; unknown fields are None.

    Attributes:
        name: Path of its folder, relative to the folder that is listed.
        folder: Its folder.
        state: ``finished``, ``training`` (some process has it locked), ``stopped``, ``sweep`` (the
            other fields are those of its best run), ``damaged`` or ``no run``.
        model: Name of its family.
        text: Name of the text that it was trained on.
        step: The step of the last evaluation on dev; 0 for a model that was fitted or combined.
        unit: What the loss is a mean over: ``token`` or ``document``.
        nats: Loss on dev at the best evaluation.
        accuracy: Accuracy on dev, from 0 to 1, of a classifier.
        test_looks: Number of evaluations on its test split.
        made: Time of its creation, in UTC.
        trials: Number of trials that a sweep has begun.
        problem: Why a damaged run cannot be read.
    """

    name: str
    folder: Path
    state: State
    model: str | None = None
    text: str | None = None
    step: int | None = None
    unit: str | None = None
    nats: float | None = None
    accuracy: float | None = None
    test_looks: int | None = None
    made: str | None = None
    trials: int | None = None
    problem: str | None = None

    def in_words(self) -> str:
        """Return the state in words, with the step, the number of trials or the problem."""
        if self.state == "sweep":
            return f"sweep of {self.trials} trials"
        if self.state in ("training", "stopped"):
            return f"{self.state} at step {self.step or 0:,}"
        return self.state if self.problem is None else f"{self.state}: {self.problem}"

    def on_dev(self) -> str:
        """Return the best result on dev with its unit; ``-`` if there is none."""
        if self.nats is None:
            return "-"
        loss = f"{self.nats:.4f} nats per {self.unit}"
        return loss if self.accuracy is None else f"{self.accuracy:.2%}, {loss}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as values of JSON."""
        return {**asdict(self), "folder": str(self.folder)}


def list_runs(folder: str | Path = RUNS) -> list[RunSummary]:
    """Return the runs in a folder and in its direct subfolders, by the time they were started.

    A sweep is one entry. Damaged runs and folders that are no runs are entries with such a state.

    Args:
        folder: The folder to list; a run folder gives itself.

    Raises:
        RunError: If there is no such folder.
    """
    folder = Path(folder)
    try:
        if not folder.is_dir():
            raise RunError(
                f"There is no folder {folder} to look for runs in; thence train makes runs/. Name "
                "another with thence runs FOLDER."
            )
        found = [_summary(path, _name(path, folder)) for path in _candidates(folder)]
    except OSError as error:
        raise RunError(f"{folder} cannot be read: {error.strerror}.") from error
    return sorted(found, key=lambda run: (run.made or "", run.name))


def _candidates(folder: Path) -> Iterator[Path]:
    """Yield the folders to list: runs, sweeps and others, or the runs inside a subfolder."""
    if _is_run(folder):
        yield folder
        return
    for path in _folders_in(folder):
        inside = [] if _is_run(path) or is_sweep(path) else _folders_in(path)
        runs_inside = [one for one in inside if _is_run(one) or is_sweep(one)]
        yield from runs_inside or [path]


def _name(path: Path, folder: Path) -> str:
    name = str(path.resolve().name if path == folder else path.relative_to(folder))
    return name.encode("utf-8", "replace").decode("utf-8")  # Not every name is text.


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.is_dir())
    except OSError:  # No permission to list it.
        return []


def _is_run(folder: Path) -> bool:
    return (folder / "config.toml").is_file()


def is_sweep(folder: str | Path) -> bool:
    """Return whether a folder is that of a sweep."""
    return (find_run(folder) / SWEEP).is_file()


def _summary(folder: Path, name: str) -> RunSummary:
    """Return the entry of a folder, which may be a run, a sweep or neither."""
    try:
        if is_sweep(folder):
            best = folder / BEST
            found = _of_run(best, name) if _is_run(best) else RunSummary(name, folder, "sweep")
            trials = sum(1 for path in folder.glob(TRIALS) if _is_run(path))
            return replace(found, folder=folder, state="sweep", trials=trials)
        if not _is_run(folder):
            return RunSummary(name, folder, "no run")
        return _of_run(folder, name)
    except (ThenceError, OSError, *UNUSABLE) as error:
        said = str(error) if isinstance(error, ThenceError) else "its files cannot be read"
        return RunSummary(name, folder, "damaged", problem=said.replace(f"{folder}/", ""))


def _of_run(folder: Path, name: str) -> RunSummary:
    """Return the entry of a run. No ``Recipe`` is built from its config, which may import torch."""
    refuse_links(folder)
    config = read_config(folder / "config.toml")
    content = config.content
    model, source = (validate(what, content.get(what), str) for what in ("model", "text"))
    trained = get_family(model).method == "train"
    provenance = check_provenance(config, is_classifier(model))
    if (path := folder / "metrics.jsonl").exists() and path.stat().st_size > MOST_METRICS:
        raise RunError(f"metrics.jsonl has {path.stat().st_size:,} bytes, too many to be listed.")
    metrics = read_metrics(path, trained=trained)
    best = best_line(metrics)
    unit = unit_of(best)
    return RunSummary(
        name,
        folder,
        _state(folder, model),
        model,
        Path(display_name(source)).name,
        int(metrics[-1]["step"]) if metrics else None,
        unit if best else None,
        best.get(f"dev_nats_per_{unit}"),
        best.get("dev_accuracy"),
        len(read_test_looks(folder / TEST_LOOKS)),
        str(provenance["made"]),
    )


def _state(folder: Path, model: str) -> State:
    if is_finished(folder, model):
        return "finished"
    return "training" if is_locked(folder) else "stopped"
