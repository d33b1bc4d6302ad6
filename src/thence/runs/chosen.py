"""Whether a run was chosen, or weighed, on the very dev split that it is judged on.

The best of many has been lucky too: on text that had no say in the choice it does worse.
"""

from collections.abc import Sequence

from thence.errors import ThenceError
from thence.runs.run import Run
from thence.runs.saved_json import UNUSABLE, read_json

BEST_OF_SWEEP = "best-of-sweep.json"
"""In the folder of a sweep's best run: which trial of how many it is, and what it has on test."""
BEST_OF_TIME = "best.json"
"""In the folder of a run that the autopilot made: what was tried."""
WORSE = "expect the test number to be worse"


def chosen_among(count: int | None, what: str) -> str:
    """Return in words that a run was chosen on dev among so many.

    >>> chosen_among(30, "trials")
    'chosen on dev among 30 trials: expect the test number to be worse'
    """
    number = "several" if count is None else f"{count:,}"
    return f"chosen on dev among {number} {what}: {WORSE}"


def tried_on_dev(count: int | None) -> str:
    """Return the same of what the autopilot made of so many models."""
    return chosen_among(count, "models, with weights from dev")


def choice_on_dev(run: Run) -> str | None:
    """Return in words what of a run was chosen on dev; None where nothing says so.

    A run that stopped at its best look at dev counts as not chosen: that is little luck.
    """
    sweep, tried = (_content(run, name) for name in (BEST_OF_SWEEP, BEST_OF_TIME))
    if sweep is not None:
        trials = sweep.get("trials")
        count = trials if isinstance(trials, int) else None
        return None if count == 1 else chosen_among(count, "trials")
    if tried is not None:
        models = tried.get("tried")
        return tried_on_dev(len(models) if isinstance(models, list) else None)
    if run.recipe.model in ("mixture", "ensemble"):
        return f"weights learned on dev: {WORSE}"
    return None


def choices_on_dev(runs: Sequence[Run]) -> str:
    """Return a sentence on each run of which something was chosen on dev; empty without any."""
    found = ((run.name, choice_on_dev(run)) for run in runs)
    return " ".join(f"{name}: {choice}." for name, choice in found if choice)


def _content(run: Run, name: str) -> dict[str, object] | None:
    try:
        return dict(read_json(run.folder / name))
    except (OSError, ThenceError, *UNUSABLE):
        return None
