"""A worker: leases one trial after another, trains or resumes it, and tells the study the outcome.

A process holds the lock of its trial while it works on it. If a trial is marked as running but its
lock is free, its process has died, and another one resumes the trial. New trials are created under
one common lock, so that there are never too many. ``locks.py`` has the locks of processes that
share a folder, and of machines that share only a database.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from thence.atomic import WriteError
from thence.errors import RunError, SettingError, TrainingError
from thence.locks import BusyError, locked
from thence.runs import Run
from thence.runs.metrics import unit_of
from thence.signals import Interrupted
from thence.sweeps.database import retry
from thence.sweeps.locks import Lock
from thence.sweeps.recipe import SweepRecipe
from thence.sweeps.study import OpenSweep, make_sampler, suggest
from thence.training import resume, train_recipe
from thence.training.callbacks import Record, StopTraining
from thence.training.dev_evaluation import selection_loss

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, TrialState

BEGAN, ENDED, WHERE = "began", "ended", "where"
"""Names of attributes of a trial in the study: the time when it was last leased, the time when its
training ended, and the machine and folder of its run, where machines share no folder."""
OUTCOME, PRUNED = "outcome", "given up"
"""Names of attributes of a trial in the study: its metrics, and that it was pruned. Studies made by
0.1 have the same names."""
LONGEST_REASON = 500
"""Characters of an error message that the study keeps as the reason of a failure."""

Event = Literal["started", "evaluated", "ended"]
Report = Callable[[Event, int], None]
"""Callback with an event and the number of its trial."""


@dataclass(frozen=True)
class Lease:
    """A trial that this process works on.

    Attributes:
        trial: Optuna's trial.
        point: Its settings.
        lock: The lock of the trial, released when the work is done.
    """

    trial: "optuna.Trial"
    point: dict[str, Any]
    lock: Lock

    def check(self) -> None:
        """Raise LeaseLostError if another process has taken the trial over."""
        if not self.lock.held():
            raise LeaseLostError


class LeaseLostError(Exception):
    """Another process has taken the trial over, since this one sent no heartbeats."""


def lease_trial(sweep: OpenSweep) -> Lease | None:
    """Lease a trial: one that a killed process has left, or else a new one.

    Returns:
        The lease; None if all trials are done or leased by other processes.
    """
    with sweep.locks.lock("study"):
        trials = sweep.trials()
        for found in trials:
            if not found.state.is_finished():
                lease = _take_over(sweep, found.number)
                if lease is not None:
                    return lease
        if is_complete(sweep.recipe, trials):
            return None
        sweep.study.sampler = make_sampler(sweep.recipe, sweep.study, len(trials))
        trial = sweep.study.ask()
        lock = _lock(sweep, trial.number)
        lock.take()
        return _begin(sweep, trial, lock)


def _take_over(sweep: OpenSweep, number: int) -> Lease | None:
    lock = _lock(sweep, number)
    if not lock.take(wait=False):
        return None
    if sweep.trials()[number].state.is_finished():  # Its process finished it, then released it.
        lock.release()
        return None
    sweep.study.sampler = make_sampler(sweep.recipe, sweep.study, number)
    return _begin(sweep, sweep.running_trial(number), lock)


def _begin(sweep: OpenSweep, trial: "optuna.Trial", lock: Lock) -> Lease:
    try:
        point = suggest(trial, sweep.recipe)
        trial.set_user_attr(BEGAN, time.time())
        if sweep.locks.where is not None:
            trial.set_user_attr(WHERE, sweep.locks.where)
    except BaseException:
        lock.release()
        raise
    return Lease(trial, point, lock)


def _lock(sweep: OpenSweep, number: int) -> Lock:
    return sweep.locks.lock(f"trial-{number:04}")


def is_complete(recipe: SweepRecipe, trials: "Sequence[FrozenTrial]") -> bool:
    """Return whether no more trials are to be started."""
    if recipe.trials is not None and len(trials) >= recipe.trials:
        return True
    left = seconds_left(recipe, trials)
    return left is not None and left <= 0


def seconds_left(recipe: SweepRecipe, trials: "Sequence[FrozenTrial]") -> float | None:
    """Return the seconds that are left of the time limit; None without a limit.

    Time in which several processes worked counts once; time in which none did does not count.
    """
    if recipe.options.seconds is None:
        return None
    now = time.time()
    spans = sorted(
        (attributes[BEGAN], attributes.get(ENDED, now))
        for attributes in (trial.user_attrs for trial in trials)
        if BEGAN in attributes
    )
    used, until = 0.0, 0.0
    for began, ended in spans:
        used += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return recipe.options.seconds - used


def work(sweep: OpenSweep, report: Report) -> None:
    """Train trials until all are done, those of other processes too.

    Raises:
        Interrupted: After a signal; the trial can be resumed.
        TextError: If the text cannot be used.
    """
    while True:
        lease = retry(partial(lease_trial, sweep))
        if lease is None:
            found = sweep.trials()
            if all(one.state.is_finished() for one in found) and is_complete(sweep.recipe, found):
                return
            time.sleep(sweep.locks.wait)  # Other trials may still need to be taken over.
            continue
        number = lease.trial.number
        try:
            with suppress(LeaseLostError):
                report("started", number)
                _train_and_tell(lease, sweep, partial(report, "evaluated", number))
                report("ended", number)
        finally:
            lease.lock.release()


def _train_and_tell(lease: Lease, sweep: OpenSweep, report: Callable[[], None]) -> None:
    """Train a trial until it ends or is pruned, and record the outcome in the study."""
    from optuna.trial import TrialState

    trial, folder = lease.trial, sweep.run_folder(lease.trial.number)
    pruned = bool(trial.user_attrs.get(PRUNED))  # It was killed before the study knew.

    def on_evaluation(record: Record) -> None:
        nonlocal pruned
        lease.check()
        value = value_of(record)
        number = len(Run(folder).metrics())
        if value is not None and number not in sweep.trials()[trial.number].intermediate_values:
            trial.report(value, number)
        report()
        if not pruned and trial.should_prune():
            trial.set_user_attr(PRUNED, True)
            pruned = True
        if pruned:
            raise StopTraining

    try:
        run = _train(lease, folder, sweep, on_evaluation)
    except (TrainingError, SettingError, MemoryError, RuntimeError) as error:
        if not _is_failure(error):
            raise
        reason = (str(error) or "Not enough memory.")[:LONGEST_REASON]
        _tell(sweep, lease, {"reason": reason}, TrialState.FAIL)
        return
    best = best_record(run)
    if best is None:
        if not len(run.documents("dev")):
            raise SettingError(
                f"Trials are compared on the dev split, and {sweep.recipe.text} has none; choose "
                "another split, such as 80/10/10."
            )
        reason = "The loss on dev is infinite: a text there is impossible to the model."
        _tell(sweep, lease, {"reason": reason}, TrialState.FAIL)
        return
    state = TrialState.PRUNED if pruned else TrialState.COMPLETE
    _tell(sweep, lease, outcome_of(run, best), state)


def _is_failure(error: Exception) -> bool:
    """Return whether an error is a failure of this trial alone, so that others can be trained."""
    if isinstance(error, RuntimeError):
        import torch

        return isinstance(error, torch.OutOfMemoryError)
    return not isinstance(error, Interrupted)


def _tell(sweep: OpenSweep, lease: Lease, outcome: dict[str, Any], state: "TrialState") -> None:
    lease.check()
    trial = lease.trial
    trial.set_user_attr(OUTCOME, outcome)
    trial.set_user_attr(ENDED, time.time())
    sweep.study.tell(trial, outcome["value"] if state.name == "COMPLETE" else None, state=state)


def _train(
    lease: Lease, folder: Path, sweep: OpenSweep, on_evaluation: Callable[[Record], None]
) -> Run:
    if (folder / "config.toml").exists():
        try:
            return resume(folder, logs=on_evaluation)
        except (BusyError, WriteError):  # The run itself is not damaged.
            raise
        except RunError:  # Damaged, by a kill or a full disk: train it from the start.
            with locked(folder):
                shutil.rmtree(folder)
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # Left by a process that was killed.
        shutil.rmtree(leftover, ignore_errors=True)
    return train_recipe(sweep.recipe.recipe_of(lease.point), folder, logs=on_evaluation)


def value_of(record: Record) -> float | None:
    """Return the objective of an evaluation on dev, lower is better; None without a dev split."""
    nats = record.get(f"dev_nats_per_{unit_of(record)}")
    return None if nats is None else selection_loss(nats, record.get("dev_accuracy"))


def best_record(run: Run) -> Record | None:
    """Return the line of the best evaluation on dev; None without a dev split."""
    judged = [record for record in run.metrics() if value_of(record) is not None]
    return min(judged, key=lambda record: float(value_of(record) or 0), default=None)


def outcome_of(run: Run, best: Record) -> dict[str, Any]:
    """Return the metrics of a finished run, as the study keeps them."""
    return {
        "value": value_of(best),
        "nats": best[f"dev_nats_per_{unit_of(best)}"],
        "accuracy": best.get("dev_accuracy"),
        "seconds": run.metrics()[-1]["seconds"],
        "parameters": run.num_parameters,
    }
