"""What comes out of a sweep: its trials, how much each field matters, and the best run."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from thence.errors import RunError, SettingError
from thence.notebook import repr_html
from thence.search.importance import importances
from thence.training import Run
from thence.training.files import write_atomically

State = Literal["running", "finished", "pruned", "failed"]
RESULT = "sweep.json"
BEST = "best"
VERDICT = "best-of-sweep.json"
"""In the folder of the best run: which trial it is, and what it has on test."""


@dataclass(frozen=True)
class Trial:
    """One training of a sweep.

    Attributes:
        number: From 0 on.
        fields: What it was trained with, of the space.
        state: Whether it came to its end, was given up, or could not be trained.
        value: What the better of two trials has less of; None before the first look at dev.
        nats: Loss on dev of the best look.
        accuracy: Of a classifier, at that look.
        seconds: Of training.
        parameters: How many numbers were learned or counted.
        reason: Why it failed.
        where: The machine and the folder that its run is in; None for the folder of the sweep.
    """

    number: int
    fields: Mapping[str, Any]
    state: State
    value: float | None = None
    nats: float | None = None
    accuracy: float | None = None
    seconds: float | None = None
    parameters: int | None = None
    reason: str | None = None
    where: str | None = None

    @property
    def name(self) -> str:
        """Name of its run folder."""
        return f"trial-{self.number:04}"


@dataclass(frozen=True)
class Sweep:
    """A sweep that has come to its end, or so far.

    Attributes:
        folder: Where it is.
        unit: What losses are means over: ``token`` or ``document``.
        space: The fields, each with its values as a recipe has them.
        trials: In order.
        test: What the best run has on the test split, as ``thence evaluate --json`` prints it;
            None without a test split, and before the end.
    """

    _repr_html_ = repr_html

    folder: Path
    unit: str
    space: Mapping[str, Any]
    trials: tuple[Trial, ...]
    test: Mapping[str, Any] | None = None

    def ranked(self) -> list[Trial]:
        """Return the trials that came to their end, best first."""
        done = [trial for trial in self.trials if trial.state == "finished"]
        return sorted(done, key=lambda trial: (trial.value, trial.number))

    @property
    def best_trial(self) -> Trial:
        """The best trial.

        Raises:
            SettingError: If none came to its end.
        """
        ranked = self.ranked()
        if not ranked:
            reasons = [trial.reason for trial in self.trials if trial.reason]
            why = f" The first that failed: {reasons[0]}" if reasons else ""
            raise SettingError(f"No trial of {self.folder} has come to its end.{why}")
        return ranked[0]

    @property
    def best_is_here(self) -> bool:
        """Whether ``FOLDER/best`` is the best run, and not one of another machine is."""
        ranked = self.ranked()
        return bool(ranked) and read_verdict(self.folder).get("run") == ranked[0].name

    @property
    def best(self) -> Run:
        """The run of the best trial, in ``FOLDER/best``.

        Raises:
            RunError: If it is on another machine.
        """
        best = self.best_trial
        if best.where is not None and not self.best_is_here:
            raise RunError(
                f"The best run, {best.name}, is in {best.where}. Copy {best.name} into "
                f"{self.folder} and run the same thence sweep again, or run it there."
            )
        return Run(self.folder / BEST)

    @cached_property
    def importances(self) -> dict[str, float]:
        """How much each field matters, the most important first; see ``importance``."""
        done = [trial for trial in self.ranked() if math.isfinite(trial.value or 0)]
        values = [trial.nats if trial.accuracy is None else trial.accuracy for trial in done]
        return importances([trial.fields for trial in done], [float(v or 0) for v in values])

    def to_json(self) -> dict[str, Any]:
        """Return everything for a program."""
        done = self.ranked()
        return {
            "folder": str(self.folder),
            "unit": self.unit,
            "space": dict(self.space),
            "trials": [{"run": trial.name, **asdict(trial)} for trial in self.trials],
            "importances": self.importances,
            "best": done[0].number if done else None,
            "test": self.test and dict(self.test),
        }


def write_sweep(sweep: Sweep) -> None:
    """Write the result into the folder of the sweep, for pictures and other programs."""
    content = {name: value for name, value in sweep.to_json().items() if name != "folder"}
    write_atomically(sweep.folder / RESULT, json.dumps(content, allow_nan=False).encode("utf-8"))


def read_sweep(folder: str | Path) -> Sweep:
    """Read the result of a sweep.

    Raises:
        RunError: If there is none.
    """
    path = Path(folder) / RESULT
    try:
        content = json.loads(path.read_bytes())
        trials = tuple(
            Trial(**{name: value for name, value in trial.items() if name != "run"})
            for trial in content["trials"]
        )
        return Sweep(Path(folder), content["unit"], content["space"], trials, content["test"])
    except OSError as error:
        raise RunError(
            f"There is no sweep with a result in {folder}: {error.strerror}. Let thence sweep run "
            "to its end first."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); run the same thence sweep again.") from error


def read_verdict(folder: Path) -> dict[str, Any]:
    """Return which trial ``FOLDER/best`` is, and what it has on test; empty where there is none."""
    try:
        return dict(json.loads((folder / BEST / VERDICT).read_bytes()))
    except (OSError, ValueError):
        return {}


def is_sweep(folder: str | Path) -> bool:
    """Return whether a folder is that of a sweep."""
    return (Path(folder) / "sweep.toml").is_file()
