"""A worker: trains one trial after another, or resumes it, and tells the study how it came out."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from thence.atomic import WriteError
from thence.errors import RunError, SettingError, TrainingError
from thence.locks import BusyError, locked
from thence.runs import Run
from thence.runs.metrics import unit_of
from thence.signals import Interrupted
from thence.sweeps.database import ask_again
from thence.sweeps.leases import ENDED, Lease, LeaseLostError, is_complete, lease_trial
from thence.sweeps.study import OpenSweep
from thence.training import resume, train_recipe
from thence.training.callbacks import Record, StopTraining
from thence.training.dev_evaluation import selection_loss

if TYPE_CHECKING:
    from optuna.trial import TrialState

OUTCOME, PRUNED = "outcome", "given up"
"""Attributes of a trial: what its run came to, and that it ends at an evaluation on dev. The texts
are those that studies made by 0.1 have."""
LONGEST_REASON = 500
"""Characters of the reason of a failure that the study keeps."""

Event = Literal["started", "evaluated", "ended"]
Report = Callable[[Event, int], None]
"""Is told what happened to the trial of this number."""


def work(sweep: OpenSweep, report: Report) -> None:
    """Train trials until all are done, those of other processes too.

    Raises:
        Interrupted: After a signal; the trial can be resumed.
        TextError: If the text cannot be used.
    """
    while True:
        lease = ask_again(partial(lease_trial, sweep))
        if lease is None:
            found = sweep.trials()
            if all(one.state.is_finished() for one in found) and is_complete(sweep.recipe, found):
                return
            time.sleep(sweep.locks.wait)  # Another process may die: its trial must be taken over.
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
    """Train a trial to its end, or until it is pruned, and tell the study."""
    from optuna.trial import TrialState

    trial, folder = lease.trial, sweep.run_folder(lease.trial.number)
    pruned = bool(trial.user_attrs.get(PRUNED))  # Killed before that was told.

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
    """Return whether an error is of this trial alone, so that the others can go on."""
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
        except (BusyError, WriteError):  # Nothing is wrong with the run.
            raise
        except RunError:  # Damaged, since it was killed or the disk was full: made anew.
            with locked(folder):
                shutil.rmtree(folder)
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # Of a process that was killed.
        shutil.rmtree(leftover, ignore_errors=True)
    return train_recipe(sweep.recipe.recipe_of(lease.point), folder, logs=on_evaluation)


def value_of(record: Record) -> float | None:
    """Return what the better of two evaluations on dev has less of; None without a dev split."""
    nats = record.get(f"dev_nats_per_{unit_of(record)}")
    return None if nats is None else selection_loss(nats, record.get("dev_accuracy"))


def best_record(run: Run) -> Record | None:
    """Return the best evaluation on dev; None without a dev split."""
    judged = [record for record in run.metrics() if value_of(record) is not None]
    return min(judged, key=lambda record: float(value_of(record) or 0), default=None)


def outcome_of(run: Run, best: Record) -> dict[str, Any]:
    """Return what a run came to."""
    return {
        "value": value_of(best),
        "nats": best[f"dev_nats_per_{unit_of(best)}"],
        "accuracy": best.get("dev_accuracy"),
        "seconds": run.metrics()[-1]["seconds"],
        "parameters": run.num_parameters,
    }
