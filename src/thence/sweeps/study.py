"""The study of a sweep: Optuna's list of trials, in a journal file or in a database."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thence.errors import RunError, import_extra
from thence.runs.files import UNUSABLE, check_ordinary
from thence.sweeps.database import open_database
from thence.sweeps.locks import DatabaseLocks, FileLocks, JournalLock
from thence.sweeps.recipe import SweepRecipe
from thence.sweeps.space import Choices, Range

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

JOURNAL = "study.log"
LONGEST_REASON = 200
"""Characters of an error of Optuna that a message quotes at most."""
MIN_EVALUATIONS = 2
"""Number of the evaluation on dev at which a trial can be pruned first: ``min_resource`` of
successive halving and Hyperband, and the warm-up of median pruning."""


@dataclass(frozen=True)
class OpenSweep:
    """A sweep that this process works on.

    Attributes:
        folder: The folder of the sweep.
        recipe: The recipe with its search space.
        study: Optuna's study, the list of trials.
        storage: Optuna's storage of the study.
        locks: The locks that this process shares with the others.
    """

    folder: Path
    recipe: SweepRecipe
    study: "optuna.Study"
    storage: Any
    locks: FileLocks | DatabaseLocks

    def trials(self) -> "list[FrozenTrial]":
        """Return all trials so far, those of other processes too, by number."""
        return self.study.get_trials(deepcopy=False)

    def running_trial(self, number: int) -> "optuna.Trial":
        """Return Optuna's trial of a number, to continue a trial that was started."""
        from optuna.trial import Trial

        study = self.storage.get_study_id_from_name(self.study.study_name)
        return Trial(
            self.study, self.storage.get_trial_id_from_study_id_trial_number(study, number)
        )

    def run_folder(self, number: int) -> Path:
        """Return the run folder of a trial on this machine."""
        return self.folder / f"trial-{number:04}"


def import_optuna() -> Any:  # as untyped as an optional library is
    """Return the module ``optuna``; raises an error that names the extra if it is missing."""
    return import_extra("optuna", "sweep", "thence sweep")


@contextmanager
def quiet_log() -> Iterator[None]:
    """Context manager: Optuna logs only errors, since thence shows its own progress."""
    log = import_optuna().logging
    before = log.get_verbosity()
    log.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        log.set_verbosity(before)


@contextmanager
def _experimental() -> Iterator[None]:
    """Context manager: suppress Optuna's warnings about experimental features."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def open_study(folder: Path, name: str, storage: str | None) -> "tuple[optuna.Study, Any]":
    """Open the study, or create it.

    Args:
        folder: The folder of the sweep.
        name: The name of the study.
        storage: Address of a database; None for a journal file in the folder.

    Returns:
        Optuna's study and its storage.

    Raises:
        RunError: If it cannot be opened.
    """
    optuna = import_optuna()
    with _experimental():
        try:
            opened = _journal(folder) if storage is None else open_database(storage)
            study = optuna.create_study(
                storage=opened, study_name=name, load_if_exists=True, direction="minimize"
            )
        except (OSError, AssertionError, *UNUSABLE) as error:
            raise RunError(
                f"The study in {folder / JOURNAL if storage is None else 'the database'} cannot "
                f"be opened: {str(error)[:LONGEST_REASON] or type(error).__name__}"
            ) from error
    return study, opened


def _journal(folder: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = folder / JOURNAL
    check_ordinary(path)
    lock: Any = JournalLock(path, folder / "locks" / "journal")
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def make_pruner(recipe: SweepRecipe) -> Any:
    """Return Optuna's pruner; its steps are the evaluations on dev, ten per trial by default."""
    pruners = import_optuna().pruners
    if recipe.options.pruner == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=MIN_EVALUATIONS, reduction_factor=2)
    if recipe.options.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=MIN_EVALUATIONS, reduction_factor=2)
    if recipe.options.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=MIN_EVALUATIONS)
    return pruners.NopPruner()


def make_sampler(recipe: SweepRecipe, study: Any, number: int) -> Any:
    """Return Optuna's sampler, which chooses the settings of a trial.

    Each trial has a sampler of its own, seeded by the sweep's seed and the trial's number, so that
    interruptions do not change which settings are tried next.
    """
    optuna = import_optuna()
    if recipe.is_grid:
        return _grid_sampler(study, recipe.grid())
    seed = int(np.random.SeedSequence([recipe.options.seed, number]).generate_state(1)[0])
    if recipe.options.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    several = len(recipe.models) > 1  # Trials of different families have different settings.
    with _experimental():
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=several, constant_liar=True
        )


def _next_point(study: Any, number: int, points: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the first point, as Optuna stores it, that no trial before this number has."""
    stored = [{name: Choices((p[name],)).encoded[0] for name in p} for p in points]
    taken = [trial.params for trial in study.get_trials(deepcopy=False) if trial.number < number]
    return next((point for point in stored if point not in taken), stored[number % len(stored)])


def _grid_sampler(study: Any, points: list[dict[str, Any]]) -> Any:
    """Return a sampler that gives the trial of number n the nth point of the grid.

    If other samplers drew the first trials, it is the first point that no trial before has.
    Optuna's own GridSampler takes points at random, and all of its points have the same settings.
    """
    from optuna.samplers import BaseSampler

    class Grid(BaseSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, part: Any, trial: Any, name: str, distribution: Any) -> Any:
            # Not of `part`: where a pruner has brackets, it is the trials of one bracket only.
            return _next_point(study, trial.number, points)[name]

    return Grid()


def suggest(trial: "optuna.Trial", recipe: SweepRecipe) -> dict[str, Any]:
    """Return the settings of a trial; those that were chosen before stay as they are."""
    point: dict[str, Any] = {}
    with _experimental():
        if "model" in recipe.space:
            point["model"] = _suggest(trial, "model", recipe.space["model"])
        for name in recipe.names_for(point.get("model", recipe.model)):
            point[name] = _suggest(trial, name, recipe.space[name])
    return point


def _suggest(trial: "optuna.Trial", name: str, dimension: Choices | Range) -> Any:
    if isinstance(dimension, Choices):
        return dimension.decoded(trial.suggest_categorical(name, dimension.encoded))
    low, high, log = dimension.low, dimension.high, dimension.log
    if dimension.whole:
        step = int(dimension.step or 1)
        return trial.suggest_int(name, int(low), int(high), step=step, log=log)
    return trial.suggest_float(name, low, high, step=dimension.step, log=log)


def fields_of(params: Mapping[str, Any], recipe: SweepRecipe) -> dict[str, Any]:
    """Return the settings of a trial with values as in a recipe, in the order of the space."""
    return {
        name: dimension.decoded(params[name])
        for name, dimension in recipe.space.items()
        if name in params
    }
