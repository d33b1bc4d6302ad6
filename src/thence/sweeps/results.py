"""The result of a sweep: its trials, the best run, and the importance of each setting.

Importance is a one-way analysis of variance of the trials' ranks. Trials are grouped by their value
of a setting (numbers of a range into four groups of about equal size); the variance between the
groups is what the setting explains. The share that chance alone would explain is subtracted; it is
estimated from the variance that all settings together leave unexplained. Ranks are compared, not
losses, since a single training that diverged would outweigh all others.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from thence.atomic import write_atomically
from thence.errors import RunError, SettingError, ThenceError
from thence.hooks import repr_html
from thence.runs import Run
from thence.runs.description import BEST_OF_SWEEP, selected_among
from thence.runs.files import find_run, read_saved, refuse_links
from thence.settings import (
    Fields,
    NonNegativeInt,
    Number,
    Range,
    Saved,
    Scalar,
    Text,
    Values,
    check_parts,
)

Unit = Literal["token", "document"]
State = Literal["running", "finished", "pruned", "failed"]
RESULT = "sweep.json"
BEST = "best"


@dataclass(frozen=True)
class Trial(Saved):
    """One training of a sweep.

    Attributes:
        number: The number of the trial, from 0 on.
        fields: Its values of the settings in the search space.
        state: Whether it is being trained, has finished, was pruned, or has failed.
        value: The objective that trials are ranked by, lower is better: the loss on dev, or of a
            classifier the error rate; None before the first evaluation on dev.
        nats: The loss on dev at the best evaluation, in nats per token or document.
        accuracy: The accuracy of a classifier at that evaluation, from 0 to 1.
        seconds: Seconds of training.
        parameters: The number of parameters, or of counted n-grams.
        reason: Why it failed.
        where: The machine and the folder of its run; None for the folder of the sweep.
    """

    number: NonNegativeInt
    fields: Fields
    state: State
    value: Annotated[float, Range(lt=10**12)] | None = None
    nats: Number | None = None
    accuracy: Annotated[float, Range(gt=-1, lt=1 + 1e-6)] | None = None
    seconds: Number | None = None
    parameters: NonNegativeInt | None = None
    reason: Text | None = None
    where: Text | None = None

    @property
    def name(self) -> str:
        """The name of its run folder."""
        return f"trial-{self.number:04}"

    @property
    def on_dev(self) -> str:
        """The accuracy of a classifier, or else the loss, as text; empty before an evaluation."""
        if self.accuracy is not None:
            return f"{self.accuracy:.2%}"
        return "" if self.nats is None else f"{self.nats:.4f}"

    @property
    def settings(self) -> str:
        """Its settings as text, such as ``lr 0.01, hidden_size 300``."""
        return ", ".join(f"{name} {field_text(value)}" for name, value in self.fields.items())


def field_text(value: Any) -> str:
    """Return the value of a setting as short text for a table; a dash for None.

    >>> field_text(0.0123456), field_text(300), field_text(None), field_text((0.5, 0.75))
    ('0.01235', '300', '–', '0.5 0.75')
    """
    if isinstance(value, list | tuple):
        return " ".join(map(field_text, value))
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Sweep(Saved):
    """The result of a sweep, at its end or so far.

    Attributes:
        folder: The folder of the sweep.
        unit: The unit that losses are averaged over: ``token`` or ``document``.
        space: The settings of the search space, each with its values as in the recipe.
        trials: All trials, by number.
        test: The evaluation of the best run on the test split, as ``thence evaluate --json`` prints
            it; None without a test split, and before the end.
    """

    _repr_html_ = repr_html

    folder: Path
    unit: Unit
    space: Mapping[str, Values | Mapping[str, Scalar]]
    trials: tuple[Trial, ...]
    test: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _check_test(self.test, self.unit)

    def ranked(self) -> list[Trial]:
        """Return the finished trials, best first."""
        done = [trial for trial in self.trials if trial.state == "finished"]
        return sorted(done, key=lambda trial: (trial.value, trial.number))

    def table(self, trials: Sequence[Trial]) -> tuple[list[str], list[list[str]]]:
        """Return the names of the columns, and one row of text for each of the given trials."""
        metric = "dev accuracy" if self.unit == "document" else "dev nats per token"
        rows = [
            [
                trial.name,
                *(field_text(trial.fields.get(name)) for name in self.space),
                trial.on_dev,
                "" if trial.seconds is None else f"{trial.seconds:.1f}",
                trial.state,
            ]
            for trial in trials
        ]
        return ["trial", *self.space, metric, "seconds", "state"], rows

    @property
    def best_trial(self) -> Trial:
        """The best trial.

        Raises:
            SettingError: If none is finished.
        """
        ranked = self.ranked()
        if not ranked:
            reasons = [trial.reason for trial in self.trials if trial.reason]
            why = f" The first that failed: {reasons[0]}" if reasons else ""
            raise SettingError(f"No trial of {self.folder} has come to its end.{why}")
        return ranked[0]

    @property
    def chosen_on_dev(self) -> str | None:
        """A sentence that says from how many trials the best was chosen on dev; None for one.

        Its loss on dev is the lowest of many and therefore optimistic; test was not used to choose.
        """
        trials = len(self.ranked())
        return selected_among(trials, "trial") if trials > 1 else None

    @property
    def best_is_here(self) -> bool:
        """Whether ``FOLDER/best`` is the best run; otherwise the best run is on another machine."""
        ranked, kept = self.ranked(), read_kept_best(self.folder)
        return bool(ranked) and kept is not None and kept.run == ranked[0].name

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
        """The share of the variance that each setting explains (0 to 1), largest first."""
        done = [trial for trial in self.ranked() if math.isfinite(trial.value or 0)]
        values = [trial.nats if trial.accuracy is None else trial.accuracy for trial in done]
        return importances([trial.fields for trial in done], [float(v or 0) for v in values])

    @property
    def too_few_to_say(self) -> str:
        """A sentence that too few trials are finished to tell what matters; empty if enough are."""
        done, fields = len(self.ranked()), len(self.importances)
        needed = TRIALS_PER_FIELD * fields
        few = (
            f"With {done} finished trial{'s' * (done != 1)} of {fields} field{'s' * (fields != 1)}"
        )
        if done >= needed:
            return ""
        return f"{few} it cannot be said what matters; that takes {needed} or more."

    def to_json(self) -> dict[str, Any]:
        """Return the result in types that JSON has."""
        done = self.ranked()
        return {
            "folder": str(self.folder),
            "unit": self.unit,
            "space": dict(self.space),
            "trials": [{"run": trial.name, **asdict(trial)} for trial in self.trials],
            "importances": self.importances,
            "best": done[0].number if done else None,
            "chosen_on_dev": self.chosen_on_dev,
            "test": self.test and dict(self.test),
        }


def write_sweep(sweep: Sweep) -> None:
    """Write the result to ``sweep.json`` in the folder of the sweep."""
    content = {name: value for name, value in sweep.to_json().items() if name != "folder"}
    write_atomically(sweep.folder / RESULT, json.dumps(content, allow_nan=False).encode("utf-8"))


def read_sweep(folder: str | Path) -> Sweep:
    """Read the result of a sweep.

    Raises:
        RunError: If the folder has no result, or a damaged one.
    """
    folder, way_out = find_run(folder), "run the same thence sweep again"
    try:
        refuse_links(folder)
        found = read_saved(folder / RESULT, Sweep, way_out, folder=folder)
        check_trials(found.trials)
        return found
    except ValueError as error:
        raise RunError(f"{folder / RESULT} is damaged ({error}); {way_out}.") from error
    except OSError as error:
        raise RunError(
            f"There is no sweep with a result in {folder}: {error.strerror}. Let thence sweep run "
            "to its end first."
        ) from error


def check_trials(trials: Sequence[Trial]) -> None:
    """Raise ValueError for trials that cannot come from a sweep: a damaged file or study."""
    if [trial.number for trial in trials] != list(range(len(trials))):
        raise ValueError("its trials are not in order")
    if any(trial.state == "finished" and None in (trial.value, trial.nats) for trial in trials):
        raise ValueError("a finished trial does not say its loss")


def _check_test(found: Mapping[str, Any] | None, unit: Unit) -> None:
    """Raise if an evaluation on test lacks a number that is shown."""
    if found is not None:
        metric = "accuracy" if unit == "document" else "nats_per_token"
        whole = dict.fromkeys(("test_looks", "documents"), NonNegativeInt)
        check_parts({metric: ..., **found}, {**whole, metric: Number | None})


@dataclass(frozen=True)
class KeptBest(Saved):
    """The record about the run in ``FOLDER/best``.

    Attributes:
        run: The name of its trial.
        test: Its evaluation on test, as JSON; None without a test split.
        trials: Number of trials that it was chosen from; None in files of version 0.1.
    """

    run: Text
    test: Mapping[str, Any] | None
    trials: NonNegativeInt | None = None


def read_kept_best(folder: Path) -> KeptBest | None:
    """Return the record about ``FOLDER/best``; None where it is missing or damaged."""
    try:
        kept = read_saved(folder / BEST / BEST_OF_SWEEP, KeptBest, "")
        _check_test(kept.test, "document" if "accuracy" in (kept.test or {}) else "token")
        return kept
    except (OSError, ThenceError):
        return None


def write_kept_best(folder: Path, kept: KeptBest) -> None:
    """Write the record about the best run into its folder."""
    write_atomically(folder / BEST_OF_SWEEP, json.dumps(asdict(kept)).encode("utf-8"))


TRIALS_PER_FIELD = 4
"""Finished trials per setting from which on importances are shown; fewer are mostly noise."""
GROUPS = 4
"""Number of groups of about equal size (quartiles) that the numbers of a range are put into."""

Integers = np.ndarray[Any, np.dtype[np.int64]]
Reals = np.ndarray[Any, np.dtype[np.float64]]


def importances(points: Sequence[Mapping[str, Any]], values: Sequence[float]) -> dict[str, float]:
    """Return the share of the variance of ranks that each setting explains, largest first.

    Args:
        points: The settings of each trial; trials without a setting are a group of their own.
        values: The loss or accuracy of each trial.
    """
    if not points:
        return {}
    names = dict.fromkeys(name for point in points for name in point)
    ranks = _ranks(values)
    tables = {name: _indicators([point.get(name) for point in points]) for name in names}
    whole = float(ranks @ ranks)
    noise = _noise(list(tables.values()), ranks)
    found = {}
    for name, table in tables.items():
        groups = table.shape[1]
        explained = whole - _residual(table, ranks) - (groups - 1) * noise
        found[name] = max(0.0, explained / whole) if whole and groups > 1 else 0.0
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _ranks(values: Sequence[float]) -> Reals:
    """Return the rank of each value minus the mean rank; equal values get their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    centred: Reals = ranks - ranks.mean()
    return centred


def _indicators(values: Sequence[Any]) -> Reals:
    """Return the one-hot group of each value (values x groups)."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    places: Integers
    if len(numbers) == len(values) and 2 * len(set(values)) > len(values):
        number = max(1, min(GROUPS, len(values) // 2))
        borders = np.quantile(numbers, np.arange(1, number) / number)
        places = np.searchsorted(borders, numbers)
    else:
        places = np.unique([str(value) for value in values], return_inverse=True)[1]
    table: Reals = (places[:, None] == np.unique(places)).astype(np.float64)
    return table


def _residual(table: Reals, ranks: Reals) -> float:
    """Return the residual sum of squares of a least-squares fit of the ranks by the columns."""
    fitted = table @ np.linalg.lstsq(table, ranks, rcond=None)[0]
    return float(np.sum((ranks - fitted) ** 2))


def _noise(tables: Sequence[Reals], ranks: Reals) -> float:
    """Return the residual variance per degree of freedom, all settings fitted together.

    That is what one more group explains by chance; infinity if no degree of freedom is left.
    """
    together = np.hstack(tables)
    free = len(ranks) - int(np.linalg.matrix_rank(together))
    return _residual(together, ranks) / free if free > 0 else float("inf")
