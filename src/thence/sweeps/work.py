"""Work on one trial: train it, or go on with it, and tell the study how it came out."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thence.atomic import BusyError, WriteError, locked
from thence.errors import RunError, SettingError, TrainingError
from thence.runs import Run
from thence.runs.metrics import unit_of
from thence.signals import Interrupted
from thence.sweeps.claims import ENDED, Claim
from thence.sweeps.recipe import SweepRecipe
from thence.training import resume, train_recipe
from thence.training.callbacks import Record, StopTraining
from thence.training.dev_evaluation import selection_loss

if TYPE_CHECKING:
    import optuna

OUTCOME, GIVEN_UP = "outcome", "given up"
"""Attributes of a trial: what its run came to, and that it is to be ended at a look at dev."""
LONGEST_REASON = 500


def work_on(
    claimed: Claim,
    folder: Path,
    study: "optuna.Study",
    recipe: SweepRecipe,
    looked: Callable[[Record], None],
) -> None:
    """Train a trial to its end, or until it is given up.

    Args:
        claimed: The trial.
        folder: Its run folder; one that is there is gone on with.
        study: Is told of the looks at dev, and of the end.
        recipe: Of the sweep.
        looked: Is called after each look at dev.

    Raises:
        Interrupted: After a signal; the trial can be gone on with.
        ClaimLost: If another process has taken the trial over.
        TextError: If the text cannot be used.
    """
    from optuna.trial import TrialState

    trial = claimed.trial
    pruned = bool(trial.user_attrs.get(GIVEN_UP))  # Killed before it was over.

    def look(record: Record) -> None:
        nonlocal pruned
        claimed.check()
        value = value_of(record)
        number = len(Run(folder).metrics())
        if value is not None and number not in _reported(study, trial):
            trial.report(value, number)
        looked(record)
        if not pruned and trial.should_prune():
            trial.set_user_attr(GIVEN_UP, True)
            pruned = True
        if pruned:
            raise StopTraining

    try:
        run = _train(claimed, folder, recipe, look)
    except Interrupted:
        raise
    except (TrainingError, SettingError, MemoryError, RuntimeError) as error:
        if not isinstance(error, TrainingError | SettingError | MemoryError):
            _reraise_unless_out_of_memory(error)
        outcome = {"reason": (str(error) or "Not enough memory.")[:LONGEST_REASON]}
        _tell(study, claimed, outcome, TrialState.FAIL)
        return
    best = best_record(run)
    if best is None:
        if not len(run.documents("dev")):
            raise SettingError(
                f"Trials are compared on the dev split, and {recipe.text} has none; choose another "
                "split, such as 80/10/10."
            )
        reason = "The loss on dev is infinite: a text there is impossible to the model."
        _tell(study, claimed, {"reason": reason}, TrialState.FAIL)
        return
    state = TrialState.PRUNED if pruned else TrialState.COMPLETE
    _tell(study, claimed, outcome_of(run, best), state)


def _reported(study: "optuna.Study", trial: "optuna.Trial") -> dict[int, float]:
    return study._storage.get_trial(trial._trial_id).intermediate_values


def _tell(study: "optuna.Study", claimed: Claim, outcome: dict[str, Any], state: Any) -> None:
    claimed.check()
    trial = claimed.trial
    trial.set_user_attr(OUTCOME, outcome)
    trial.set_user_attr(ENDED, time.time())
    study.tell(trial, outcome["value"] if state.name == "COMPLETE" else None, state=state)


def _reraise_unless_out_of_memory(error: RuntimeError) -> None:
    import torch

    if not isinstance(error, torch.OutOfMemoryError):
        raise error


def _train(
    claimed: Claim, folder: Path, recipe: SweepRecipe, look: Callable[[Record], None]
) -> Run:
    if (folder / "config.toml").exists():
        try:
            return resume(folder, logs=look)
        except (BusyError, WriteError):  # Nothing is wrong with the run.
            raise
        except RunError:  # Damaged, since it was killed or the disk was full: made anew.
            with locked(folder):
                shutil.rmtree(folder)
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # Of a process that was killed.
        shutil.rmtree(leftover, ignore_errors=True)
    return train_recipe(recipe.recipe_of(claimed.point), folder, logs=look)


def value_of(record: Record) -> float | None:
    """Return what the better of two looks at dev has less of; None without a dev split."""
    nats = record.get(f"dev_nats_per_{unit_of(record)}")
    return None if nats is None else selection_loss(nats, record.get("dev_accuracy"))


def best_record(run: Run) -> Record | None:
    """Return the best look at dev; None without a dev split."""
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
