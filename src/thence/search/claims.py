"""Who works on which trial: each is held by one process, and taken over when that is killed.

A process holds the lock of its trial for as long as it works on it. Whoever finds a running trial
whose lock is free knows that its process has died, and goes on with it. New trials are begun under
one lock for all, so that there are never too many.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thence.search.locks import FileLock
from thence.search.recipe import SweepRecipe
from thence.search.study import make_sampler, suggest

if TYPE_CHECKING:
    import optuna

RUNNING = "RUNNING"
BEGAN, ENDED = "began", "ended"
"""Attributes of a trial: the times when it was taken up last, and when its training was over."""
LOCKS = "locks"


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
    lock: FileLock


def claim(folder: Path, study: "optuna.Study", recipe: SweepRecipe) -> Claim | None:
    """Take up a trial: one that a killed process has left, or else a new one.

    Args:
        folder: Of the sweep.
        study: Of the sweep.
        recipe: Says how many trials there may be, and what to try.

    Returns:
        None where there is nothing to do: all trials are done or held by others.
    """
    with FileLock(folder / LOCKS / "study"):
        trials = study.get_trials(deepcopy=False)
        for found in trials:
            if not found.state.is_finished():
                claimed = _take_over(folder, study, recipe, found)
                if claimed is not None:
                    return claimed
        if is_complete(recipe, trials):
            return None
        study.sampler = make_sampler(recipe, len(trials))
        trial = study.ask()
        lock = _lock(folder, trial.number)
        lock.take()
        return _begin(trial, recipe, lock)


def _take_over(
    folder: Path, study: "optuna.Study", recipe: SweepRecipe, found: "optuna.trial.FrozenTrial"
) -> Claim | None:
    from optuna.trial import Trial

    lock = _lock(folder, found.number)
    if not lock.take(wait=False):
        return None
    # It may have come to its end before the lock was let go.
    (now,) = (t for t in study.get_trials(deepcopy=False) if t.number == found.number)
    if now.state.is_finished():
        lock.release()
        return None
    study.sampler = make_sampler(recipe, found.number)
    return _begin(Trial(study, found._trial_id), recipe, lock)


def _begin(trial: "optuna.Trial", recipe: SweepRecipe, lock: FileLock) -> Claim:
    try:
        point = suggest(trial, recipe)
        trial.set_user_attr(BEGAN, time.time())
    except BaseException:
        lock.release()
        raise
    return Claim(trial, point, lock)


def _lock(folder: Path, number: int) -> FileLock:
    return FileLock(folder / LOCKS / f"trial-{number:04}")


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
