"""Leases on trials: each trial is held by one process, and taken over when that is killed.

A process holds the lock of its trial for as long as it works on it. Whoever finds a running trial
whose lock is free knows that its process has died, and resumes it. New trials are begun under one
lock for all, so that there are never too many. ``locks.py`` has the locks of processes that share a
folder, ``database_locks.py`` those of machines that share only a database.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thence.sweeps.locks import Lock
from thence.sweeps.recipe import SweepRecipe
from thence.sweeps.study import OpenSweep, make_sampler, suggest

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

BEGAN, ENDED, WHERE = "began", "ended", "where"
"""Attributes of a trial: the times when it was leased last, and when its training was over; and the
machine and folder of its run, where machines share no folder."""


@dataclass(frozen=True)
class Lease:
    """A trial that this process holds.

    Attributes:
        trial: Optuna's.
        point: Its fields.
        lock: Is released when the work is over.
    """

    trial: "optuna.Trial"
    point: dict[str, Any]
    lock: Lock

    def check(self) -> None:
        """Check that the trial is still this process's.

        Raises:
            LeaseLostError: If another has taken it over, since this process seemed dead.
        """
        if not self.lock.held():
            raise LeaseLostError


class LeaseLostError(Exception):
    """Another process works on the trial now, since this one gave no sign of life."""


def lease_trial(sweep: OpenSweep) -> Lease | None:
    """Take a trial: one that a killed process has left, or else a new one.

    Returns:
        None where there is nothing to do: all trials are done or held by others.
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
        sweep.study.sampler = make_sampler(sweep.recipe, len(trials))
        trial = sweep.study.ask()
        lock = _lock(sweep, trial.number)
        lock.take()
        return _begin(sweep, trial, lock)


def _take_over(sweep: OpenSweep, number: int) -> Lease | None:
    lock = _lock(sweep, number)
    if not lock.take(wait=False):
        return None
    if sweep.trials()[number].state.is_finished():  # Its process ended it before it let go.
        lock.release()
        return None
    sweep.study.sampler = make_sampler(sweep.recipe, number)
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
    """Return whether no more trials are to be begun."""
    if recipe.trials is not None and len(trials) >= recipe.trials:
        return True
    left = seconds_left(recipe, trials)
    return left is not None and left <= 0


def seconds_left(recipe: SweepRecipe, trials: "Sequence[FrozenTrial]") -> float | None:
    """Return how much of the time limit is left; None without one.

    Time counts once while any process works, and not while none does.
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
