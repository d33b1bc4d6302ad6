"""Who works on which trial: each is held by one process, and taken over when that is killed.

A process holds the lock of its trial for as long as it works on it. Whoever finds a running trial
whose lock is free knows that its process has died, and goes on with it. New trials are begun under
one lock for all, so that there are never too many. ``locks.py`` has the locks of processes that
share a folder, ``database_locks.py`` those of machines that share a database only.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thence.sweeps.locks import Lock, Locks
from thence.sweeps.recipe import SweepRecipe
from thence.sweeps.study import make_sampler, suggest

if TYPE_CHECKING:
    import optuna

RUNNING = "RUNNING"
BEGAN, ENDED, WHERE = "began", "ended", "where"
"""Attributes of a trial: the times when it was taken up last, and when its training was over; and
the folder and machine of its run, where machines share no folder."""


@dataclass(frozen=True)
class Claim:
    """A trial that this process holds.

    Attributes:
        trial: Optuna's.
        point: Its fields.
        lock: Is let go when the work is over.
    """

    trial: "optuna.Trial"
    point: dict[str, Any]
    lock: Lock

    def check(self) -> None:
        """See that the trial is still this process's.

        Raises:
            ClaimLost: If another has taken it over, since this process seemed dead.
        """
        if not self.lock.held():
            raise ClaimLost


class ClaimLost(Exception):  # noqa: N818  (nobody can mend it, or needs to)
    """A trial is worked on by another process now, since this one could not be heard of."""


def claim(locks: Locks, study: "optuna.Study", recipe: SweepRecipe) -> Claim | None:
    """Take up a trial: one that a killed process has left, or else a new one.

    Args:
        locks: Of the sweep.
        study: Of the sweep.
        recipe: Says how many trials there may be, and what to try.

    Returns:
        None where there is nothing to do: all trials are done or held by others.
    """
    with holding(locks.lock("study")):
        trials = study.get_trials(deepcopy=False)
        for found in trials:
            if not found.state.is_finished():
                claimed = _take_over(locks, study, recipe, found)
                if claimed is not None:
                    return claimed
        if is_complete(recipe, trials):
            return None
        study.sampler = make_sampler(recipe, len(trials))
        trial = study.ask()
        lock = _lock(locks, trial.number)
        lock.take()
        return _begin(trial, recipe, lock, locks.where)


def _take_over(
    locks: Locks, study: "optuna.Study", recipe: SweepRecipe, found: "optuna.trial.FrozenTrial"
) -> Claim | None:
    from optuna.trial import Trial

    lock = _lock(locks, found.number)
    if not lock.take(wait=False):
        return None
    # It may have come to its end before the lock was let go.
    (now,) = (t for t in study.get_trials(deepcopy=False) if t.number == found.number)
    if now.state.is_finished():
        lock.release()
        return None
    study.sampler = make_sampler(recipe, found.number)
    return _begin(Trial(study, found._trial_id), recipe, lock, locks.where)


def _begin(trial: "optuna.Trial", recipe: SweepRecipe, lock: Lock, where: str | None) -> Claim:
    try:
        point = suggest(trial, recipe)
        trial.set_user_attr(BEGAN, time.time())
        if where is not None:
            trial.set_user_attr(WHERE, where)
    except BaseException:
        lock.release()
        raise
    return Claim(trial, point, lock)


def _lock(locks: Locks, number: int) -> Lock:
    return locks.lock(f"trial-{number:04}")


@contextmanager
def holding(lock: Lock) -> Iterator[None]:
    """Hold a lock for a while."""
    lock.take()
    try:
        yield
    finally:
        lock.release()


def is_complete(recipe: SweepRecipe, trials: "Sequence[optuna.trial.FrozenTrial]") -> bool:
    """Return whether no more trials are to be begun."""
    if recipe.trials is not None and len(trials) >= recipe.trials:
        return True
    left = seconds_left(recipe, trials)
    return left is not None and left <= 0


def seconds_left(recipe: SweepRecipe, trials: "Sequence[optuna.trial.FrozenTrial]") -> float | None:
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
