"""``sweep``: from a recipe to the best run; any number of processes can share one sweep."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from thence.corpus import Source
from thence.errors import RunError, SettingError
from thence.models.registry import is_classifier
from thence.processes import number_of_processes
from thence.runs.files import RUNS, UNUSABLE
from thence.runs.sources import take_from_memory
from thence.settings import Number, check_parts, from_json
from thence.signals import Interrupted, signal_number
from thence.sweeps.best import clear_trials, is_here, keep_best
from thence.sweeps.database import database_errors, hide_password
from thence.sweeps.folder import check_joined, kept_in_folder, open_folder, put_copies
from thence.sweeps.locks import DatabaseLocks, FileLocks
from thence.sweeps.recipe import SweepRecipe, read_sweep_recipe
from thence.sweeps.results import Sweep, Trial, Unit, check_trials, write_sweep
from thence.sweeps.study import (
    OpenSweep,
    fields_of,
    import_optuna,
    make_pruner,
    open_study,
    quiet_log,
)
from thence.sweeps.worker import BEGAN, ENDED, OUTCOME, WHERE, Event, seconds_left, work

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

STATES: dict[str, Literal["running", "finished", "pruned", "failed"]] = {
    "COMPLETE": "finished",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


@dataclass(frozen=True)
class SweepProgress:
    """The progress of a sweep.

    Attributes:
        sweep: The result so far, with the trials of other processes.
        trial: The trial of this process.
        event: What happened: the trial was started, was evaluated on dev, or has ended.
        total: Maximum number of trials; None where only a time limit ends the sweep.
        seconds_left: Seconds left of the time limit; None without one.
    """

    sweep: Sweep
    trial: Trial
    event: Event
    total: int | None
    seconds_left: float | None


Watcher = Callable[[SweepProgress], None]


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
        trials: Number of trials, instead of the recipe's.
        time: Time limit, instead of the recipe's.
        storage: Address of a database for the study; by default it is a file in the folder.
            Machines that share the database need not share the folder.
        study: Name of the study in the database; by default that of the folder.
        watch: Is called whenever a trial is started, is evaluated on dev, or has ended.
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
        raise SettingError("`study` names a study in a database; give its address with `storage`.")
    named: dict[str, Any] = {"text": text, "dev": dev, "test": test}
    named = {role: source for role, source in named.items() if source is not None}
    held = take_from_memory(named)
    read = read_sweep_recipe(Path(recipe), trials, time, named)
    folder = Path(output) if output is not None else RUNS / f"{Path(recipe).stem}-sweep"
    again = f"thence sweep {quote(str(recipe))} --output {quote(str(folder))}"
    if storage is not None:
        named_study = "" if study is None else f" --study {quote(study)}"
        again += f" --storage {quote(hide_password(storage))}{named_study}"
    with (
        kept_in_folder(read, folder, held) as (read, copies),
        quiet_log(),
        _open(folder, read, storage, study, copies) as opened,
    ):
        opened.study.pruner = make_pruner(read)
        snapshot(opened)  # Raises RunError for a study that other programs have changed.
        _work(opened, watch, again)
        return _finish(opened)


@contextmanager
def _open(
    folder: Path, recipe: SweepRecipe, storage: str | None, name: str | None, copies: Path
) -> Iterator[OpenSweep]:
    """Context manager: open the folder and the study of a sweep, and the locks that it needs."""
    name = open_folder(folder, recipe, storage is not None, name)
    with FileLocks(folder).lock("study"):
        put_copies(copies, folder)
    study, opened = open_study(folder, name, storage)
    if storage is None:
        yield OpenSweep(folder, recipe, study, opened, FileLocks(folder))
        return
    with database_errors():
        locks = DatabaseLocks(storage, name, folder)
        with locks.heartbeats():
            with locks.lock("study"):
                check_joined(study, recipe)
            yield OpenSweep(folder, recipe, study, opened, locks)


def _work(sweep: OpenSweep, watch: Watcher | None, again: str) -> None:
    """Train until all trials are done; after a signal, raise an error that says how to continue."""

    def report(event: Event, number: int) -> None:
        if watch is not None:
            so_far, left = snapshot(sweep), seconds_left(sweep.recipe, sweep.trials())
            trial = so_far.trials[number]
            watch(SweepProgress(so_far, trial, event, sweep.recipe.trials, left))

    try:
        work(sweep, report)
    except (Interrupted, KeyboardInterrupt) as error:
        write_sweep(snapshot(sweep))
        done = sum(trial.state.is_finished() for trial in sweep.trials())
        of = f" of {sweep.recipe.trials}" if sweep.recipe.trials is not None else ""
        raise Interrupted(
            f"Stopped after {done}{of} trials, all saved. Continue with: {again}",
            signal_number(error),
        ) from error


def snapshot(sweep: OpenSweep) -> Sweep:
    """Return the result so far.

    Raises:
        RunError: If the study has content that no sweep writes.
    """
    recipe = sweep.recipe
    space = {name: dimension.to_toml() for name, dimension in recipe.space.items()}
    try:
        trials = tuple(_trial(found, recipe) for found in sweep.trials())
        check_trials(trials)
    except (SettingError, *UNUSABLE) as error:
        raise RunError(
            f"The study of {sweep.folder} holds what no sweep writes ({error}); start another "
            "sweep in another folder."
        ) from error
    unit: Unit = "document" if is_classifier(recipe.model) else "token"
    return Sweep(sweep.folder, unit, space, trials)


def _trial(found: "FrozenTrial", recipe: SweepRecipe) -> Trial:
    point, about = fields_of(found.params, recipe), found.user_attrs
    check_parts(about, dict.fromkeys((BEGAN, ENDED), Number | None))
    state, outcome = STATES.get(found.state.name, "running"), about.get(OUTCOME, {})
    if state == "running":
        value = min(found.intermediate_values.values(), default=None)
        outcome = {"value": value, "nats": None if is_classifier(recipe.model) else value}
    trial = {"number": found.number, "fields": point, "state": state, "where": about.get(WHERE)}
    return from_json(Trial, {**outcome, **trial})


def _finish(sweep: OpenSweep) -> Sweep:
    """Copy the best run, evaluate it and write the result; other processes wait for the lock.

    If the best run is on another machine, that machine copies and evaluates it.
    """
    folder = sweep.folder
    with FileLocks(folder).lock("best"):
        clear_trials(folder)
        done = snapshot(sweep)
        if done.best_trial.where is None or is_here(folder, done.best_trial):
            done = replace(done, test=keep_best(folder, done.best_trial, len(done.ranked())))
        write_sweep(done)
    return done
