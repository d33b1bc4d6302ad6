"""The best run of a sweep: a copy of its run folder, evaluated on test once."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from thence.atomic import WriteError, sync_folder, sync_tree, write_atomically
from thence.errors import ThenceError
from thence.evaluation.evaluate import evaluate
from thence.runs import Run
from thence.runs.files import refuse_links
from thence.runs.looks_at_test import TEST_LOOKS, merge_looks, read_test_looks, to_json_lines
from thence.sweeps.results import BEST, KeptBest, Trial, read_kept_best, write_kept_best
from thence.sweeps.worker import best_record, value_of

NEW, OLD = BEST, "beaten"
"""Names in a hidden folder beside the best run: the new run before it is put in place, and the old
run that it replaces."""


def is_here(folder: Path, trial: Trial) -> bool:
    """Return whether the run of a trial is in this folder, complete, and not on another machine.

    A trial that was started here and finished elsewhere has other evaluations on dev here.
    """
    try:
        best = best_record(Run(folder / trial.name))
    except ThenceError:
        return False
    return best is not None and value_of(best) == trial.value


def keep_best(folder: Path, best: Trial, trials: int | None = None) -> Mapping[str, Any] | None:
    """Copy the best trial to ``FOLDER/best`` and evaluate it on test, unless that was done before.

    The copy is evaluated before it is put in place, so a killed process leaves no recorded look at
    test. Looks that were recorded for an older best run are kept. The caller must hold the lock
    ``best`` of the sweep.

    Args:
        folder: The folder of the sweep.
        best: Its best trial.
        trials: Number of finished trials that the best one was chosen from.

    Returns:
        The evaluation on test, as JSON; None without a test split.
    """
    place, trial = folder / BEST, folder / best.name
    building: Path | None = None
    try:
        recover(folder)
        kept = read_kept_best(folder)
        if kept is not None and kept.run == best.name:
            if kept.trials != trials:  # More have been tried since, and none is better.
                write_kept_best(place, replace(kept, trials=trials))
            return kept.test
        refuse_links(trial)  # copytree would copy the files that the links point to.
        building = Path(mkdtemp(prefix=f".{BEST}.", dir=folder))
        copy = building / NEW
        shutil.copytree(trial, copy, ignore=shutil.ignore_patterns("tensorboard", ".*"))
        _take_looks(copy, place)
        run = Run(copy)
        test = evaluate(run, "test").to_json() if len(run.documents("test")) else None
        write_kept_best(copy, KeptBest(best.name, test, trials))
        sync_tree(copy)
        if place.exists():
            place.rename(building / OLD)
        copy.rename(place)
        sync_folder(folder)
        _take_looks(place, building / OLD)  # The old run may have been evaluated meanwhile.
    except OSError as error:
        raise WriteError(place, error) from error
    finally:
        if building is not None:
            recover(folder)
    return test


def recover(folder: Path) -> None:
    """Clean up after a ``keep_best`` that was killed or could not write.

    A best run that was moved away and not yet replaced is put back. If it was replaced, only its
    recorded looks at test are still needed: they are added to those of the new best run.

    Args:
        folder: The folder of the sweep, whose lock ``best`` must be held.
    """
    place = folder / BEST
    for leftover in folder.glob(f".{BEST}.*"):
        old = leftover / OLD
        if old.exists() and not place.exists():
            old.rename(place)
        elif old.exists():
            _take_looks(place, old)
        shutil.rmtree(leftover, ignore_errors=True)


def clear_trials(folder: Path) -> None:
    """Remove the hidden, half-made run folders that killed processes have left.

    Args:
        folder: The folder of a sweep all of whose trials have ended.
    """
    for leftover in folder.glob(".trial-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _take_looks(run: Path, other: Path) -> None:
    """Add the looks at test that are recorded in the run ``other`` to those of ``run``."""
    own, others = (_looks(path) for path in (run, other))
    if (both := merge_looks(own, others)) != own:
        write_atomically(run / TEST_LOOKS, to_json_lines(both))


def _looks(run: Path) -> list[dict[str, Any]]:
    with suppress(ThenceError):  # A damaged record must not stop the sweep.
        return read_test_looks(run / TEST_LOOKS)
    return []
