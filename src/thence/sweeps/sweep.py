"""A sweep from its recipe to its best run; any number of processes can work on one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from thence.corpus import Source
from thence.errors import RunError, SettingError
from thence.models.registry import is_classifier
from thence.processes import number_of_processes
from thence.runs.run import RUNS
from thence.runs.saved_json import UNUSABLE, number_or_none
from thence.runs.sources import take_from_memory
from thence.signals import Interrupted, signal_number
from thence.sweeps.claims import (
    BEGAN,
    ENDED,
    WHERE,
    Claim,
    ClaimLost,
    claim,
    holding,
    is_complete,
    seconds_left,
)
from thence.sweeps.database import database_errors, hide_password
from thence.sweeps.database_locks import DatabaseLocks
from thence.sweeps.folder import open_folder
from thence.sweeps.joining import check_joined
from thence.sweeps.locks import FileLocks, Locks
from thence.sweeps.persistence import persistently
from thence.sweeps.recipe import SweepRecipe, read_sweep_recipe
from thence.sweeps.results import Sweep, Trial, checked_trial, write_sweep
from thence.sweeps.sources import kept_in_folder, put_copies
from thence.sweeps.study import fields_of, import_optuna, make_pruner, open_study, silenced
from thence.sweeps.winner import clear_trials, is_here, keep_best
from thence.sweeps.work import OUTCOME, work_on

if TYPE_CHECKING:
    import optuna

STATES: dict[str, Literal["running", "finished", "pruned", "failed"]] = {
    "COMPLETE": "finished",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


@dataclass(frozen=True)
class Standing:
    """How far a sweep is, for who looks on.

    Attributes:
        sweep: All trials so far, those of other processes too.
        trial: The trial of this process.
        event: It has begun, was judged on dev, or has ended.
        total: How many trials there will be at most; None where only a time limit ends them.
        seconds_left: Of the time limit.
    """

    sweep: Sweep
    trial: Trial
    event: Literal["begun", "looked", "ended"]
    total: int | None
    seconds_left: float | None


Watcher = Callable[[Standing], None]


def sweep(
    recipe: str | Path,
    output: str | Path | None = None,
    *,
    trials: int | None = None,
    time: str | None = None,
    storage: str | None = None,
    study: str | None = None,
    watch: Watcher | None = None,
    text: Source | None = None,
    dev: Source | None = None,
    test: Source | None = None,
) -> Sweep:
    """Train a recipe with many settings, and keep the best run.

    Every trial is a run folder, ``OUTPUT/trial-0007``; the best is copied to ``OUTPUT/best`` and
    judged on test, once. Called again with the same recipe and folder, also after a crash, it goes
    on where it was; several processes that do so at once share the work.

    Args:
        recipe: A recipe in TOML with a table ``[sweep]``.
        output: The folder of the sweep; by default ``runs/RECIPE-sweep``.
        trials: How many trials, in place of what the recipe says.
        time: How long, in place of what the recipe says.
        storage: Address of a database for the study; by default it is a file in the folder.
            Machines that share the database need not share the folder.
        study: Name of the study in the database; by default that of the folder.
        watch: Is called whenever a trial begins, is judged, or ends.
        text: The text, in place of the recipe's: its path or name, or the texts themselves, which
            the folder keeps.
        dev: The same for dev.
        test: The same for test.

    Raises:
        ThenceError: If the recipe, its text or the folder cannot be used.
        Interrupted: After Ctrl-C, SIGTERM or SIGHUP; all is saved.
    """
    import_optuna()
    if number_of_processes() > 1:
        raise SettingError(
            "A sweep is not for torchrun; start thence sweep several times instead, with the same "
            "recipe and folder, and the processes share its trials."
        )
    if study is not None and storage is None:
        raise SettingError("--study names a study in a database; give its address with --storage.")
    named: dict[str, Any] = {"text": text, "dev": dev, "test": test}
    named = {role: source for role, source in named.items() if source is not None}
    held = take_from_memory(named)
    read = read_sweep_recipe(Path(recipe), trials, time, named)
    folder = Path(output) if output is not None else RUNS / f"{Path(recipe).stem}-sweep"
    again = f"thence sweep {quote(str(recipe))} --output {quote(str(folder))}"
    if storage is not None:
        again += _storage_flags(storage, study)
    with (
        kept_in_folder(read, folder, held) as (read, copies),
        silenced(),
        _opened(folder, read, storage, study, copies) as (opened, locks),
    ):
        opened.pruner = make_pruner(read)
        snapshot(folder, opened, read)  # Refuses a study that was changed.
        _until_done(locks, folder, opened, read, watch or (lambda standing: None), again)
        return _finish(folder, opened, read)


@contextmanager
def _opened(
    folder: Path, read: SweepRecipe, storage: str | None, name: str | None, copies: Path
) -> Iterator[tuple["optuna.Study", Locks]]:
    """Open the folder and the study of a sweep, with the locks of its processes."""
    name = open_folder(folder, read, storage is not None, name)
    with FileLocks(folder).lock("study"):
        put_copies(copies, folder)
    study = open_study(folder, name, storage)
    if storage is None:
        yield study, FileLocks(folder)
        return
    with database_errors():
        locks = DatabaseLocks(storage, name, folder)
        with locks.beating():
            with holding(locks.lock("study")):
                check_joined(study, read)
            yield study, locks


def _storage_flags(storage: str, study: str | None) -> str:
    named = "" if study is None else f" --study {quote(study)}"
    return f" --storage {quote(hide_password(storage))}{named}"


def _until_done(
    locks: Locks,
    folder: Path,
    study: "optuna.Study",
    read: SweepRecipe,
    watch: Watcher,
    again: str,
) -> None:
    """Work until all trials are done; stop in order where that is wished."""
    try:
        _work(locks, folder, study, read, watch)
    except (Interrupted, KeyboardInterrupt) as error:
        write_sweep(snapshot(folder, study, read))
        done = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
        of = f" of {read.trials}" if read.trials is not None else ""
        raise Interrupted(
            f"Stopped after {done}{of} trials, all saved. Go on with: {again}", signal_number(error)
        ) from error


def _work(
    locks: Locks, folder: Path, study: "optuna.Study", recipe: SweepRecipe, watch: Watcher
) -> None:
    """Work on trials until all are done, those of other processes too."""
    while True:
        claimed = persistently(partial(claim, locks, study, recipe))
        if claimed is not None:
            try:
                with suppress(ClaimLost):
                    _work_on(claimed, folder, study, recipe, watch)
            finally:
                claimed.lock.release()
            continue
        found = study.get_trials(deepcopy=False)
        if all(trial.state.is_finished() for trial in found) and is_complete(recipe, found):
            return
        time.sleep(locks.wait)  # Another process may die, and its trial must be taken over.


def _work_on(
    claimed: Claim, folder: Path, study: "optuna.Study", recipe: SweepRecipe, watch: Watcher
) -> None:
    number = claimed.trial.number

    def tell(event: Literal["begun", "looked", "ended"]) -> None:
        so_far = snapshot(folder, study, recipe)
        left = seconds_left(recipe, study.get_trials(deepcopy=False))
        watch(Standing(so_far, so_far.trials[number], event, recipe.trials, left))

    tell("begun")
    place = folder / f"trial-{number:04}"
    work_on(claimed, place, study, recipe, lambda record: tell("looked"))
    tell("ended")


def snapshot(folder: Path, study: "optuna.Study", recipe: SweepRecipe) -> Sweep:
    """Return all trials so far."""
    space = {name: dimension.to_toml() for name, dimension in recipe.space.items()}
    unit = "document" if is_classifier(recipe.model) else "token"
    try:
        trials = tuple(_trial(found, recipe) for found in study.get_trials(deepcopy=False))
    except UNUSABLE as error:
        raise RunError(
            f"The study of {folder} holds what no sweep writes ({error}); begin another sweep in "
            "another folder."
        ) from error
    return Sweep(folder, unit, space, trials)


def _trial(found: "optuna.trial.FrozenTrial", recipe: SweepRecipe) -> Trial:
    point = fields_of(found.params, recipe)
    state = STATES.get(found.state.name, "running")
    where = found.user_attrs.get(WHERE)
    for moment in (BEGAN, ENDED):
        number_or_none(found.user_attrs.get(moment))
    if state == "running":
        values = found.intermediate_values
        value = min(values.values(), default=None)
        nats = None if is_classifier(recipe.model) else value
        return Trial(found.number, point, state, value, nats, where=where)
    return checked_trial(found.number, point, state, found.user_attrs.get(OUTCOME, {}), where)


def _finish(folder: Path, study: "optuna.Study", recipe: SweepRecipe) -> Sweep:
    """Keep the best run and write the result; of several processes one does, the others wait.

    A best run of another machine is kept there.
    """
    with FileLocks(folder).lock("best"):
        clear_trials(folder)
        done = snapshot(folder, study, recipe)
        if done.best_trial.where is None or is_here(folder, done.best_trial):
            done = replace(done, test=keep_best(folder, done.best_trial, len(done.ranked())))
        write_sweep(done)
    return done
