"""The best run of a sweep: a copy of its folder, judged on test once."""

import json
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from thence.errors import ThenceError
from thence.evaluation import evaluate
from thence.search.results import BEST, VERDICT, Trial, read_verdict
from thence.search.work import best_record, value_of
from thence.training import Run
from thence.training.files import cannot_write, write_atomically

LOOKS = "test-looks.jsonl"
"""In the folder of the best run: each look at test."""


def is_here(folder: Path, trial: Trial) -> bool:
    """Return whether the folder has the run of a trial, and not another machine's.

    What was begun here and brought to its end elsewhere has other looks at dev.
    """
    try:
        best = best_record(Run(folder / trial.name))
    except ThenceError:
        return False
    return best is not None and value_of(best) == trial.value


def keep_best(folder: Path, best: Trial) -> dict[str, Any] | None:
    """Copy the best trial to ``FOLDER/best`` and judge it on test, unless that is done.

    The copy is put in its place with its verdict in it, so that a process that is killed leaves no
    look at test that counts. Looks of a best run that is beaten since go on counting.

    Returns:
        What it has on test; None without a test split.
    """
    place, trial = folder / BEST, folder / best.name
    verdict = read_verdict(folder)
    if verdict.get("run") == best.name:
        return verdict["test"]  # type: ignore[no-any-return]
    for leftover in folder.glob(f".{BEST}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    building: Path | None = None
    try:
        building = Path(mkdtemp(prefix=f".{BEST}.", dir=folder))
        copy = building / BEST
        shutil.copytree(trial, copy, ignore=shutil.ignore_patterns("tensorboard", ".*"))
        if (place / LOOKS).exists():
            shutil.copyfile(place / LOOKS, copy / LOOKS)
        run = Run(copy)
        judged = evaluate(run, "test").to_json() if len(run.documents("test")) else None
        verdict = {"run": best.name, "test": judged}
        write_atomically(copy / VERDICT, json.dumps(verdict).encode("utf-8"))
        if place.exists():
            place.rename(building / "beaten")
        copy.rename(place)
    except OSError as error:
        raise cannot_write(place, error) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)
    return judged
