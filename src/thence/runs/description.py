"""What a run is, in a line of words; and whether it was selected on its own dev split.

Both are made of what the run folder says, without loading the model.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from thence.errors import ThenceError
from thence.models.registry import get_family
from thence.runs.files import number_of_values
from thence.runs.folder import RunFolder
from thence.runs.metrics import best_line
from thence.runs.saved_json import UNUSABLE, read_json

BEST_OF_SWEEP = "best-of-sweep.json"
"""File of a sweep's best run: which trial of how many it is, and its result on test."""
BEST_OF_TIME = "best.json"
"""File of a run that the autopilot made: the models that were tried."""
WORSE = "expect the test number to be worse"
"""The best of many has been lucky too: on text that had no part in the choice it does worse."""


def describe(run: RunFolder) -> str:
    """Return a line such as ``mlp, 41,437 parameters, given-names, dev 2.5079 nats per token``.

    What cannot be read is left out.
    """
    parts = [run.recipe.model]
    for part in (_parameters, _text, _dev, _state):
        with suppress(ThenceError, OSError):
            parts.append(part(run))
    return ", ".join(filter(None, parts))


def _parameters(run: RunFolder) -> str:
    """Return how many there are; of a counted model the file holds more than its counts."""
    weights = run.folder / "model.safetensors"
    if get_family(run.recipe.model).method == "train" and weights.exists():
        return f"{number_of_values(weights):,} parameters"
    is_loaded = not {"model", "classifier"}.isdisjoint(run.__dict__)
    return f"{run.num_parameters:,} parameters" if is_loaded else ""


def _text(run: RunFolder) -> str:
    return Path(run.text_name).name


def _dev(run: RunFolder) -> str:
    best = best_line(run.metrics())
    if "dev_accuracy" in best:
        return f"dev accuracy {best['dev_accuracy']:.2%}"
    loss = best.get(f"dev_nats_per_{run.loss_unit}")
    return "" if loss is None else f"dev {loss:.4f} nats per {run.loss_unit}"


def _state(run: RunFolder) -> str:
    if run.imported:
        return "imported"
    return "finished" if run.finished else "not finished"


def chosen_among(count: int | None, what: str) -> str:
    """Return in words that a run was chosen on dev among so many.

    >>> chosen_among(30, "trials")
    'chosen on dev among 30 trials: expect the test number to be worse'
    """
    number = "several" if count is None else f"{count:,}"
    return f"chosen on dev among {number} {what}: {WORSE}"


def combined_on_dev(count: int | None) -> str:
    """Return in words that a run combines the best on dev of so many models."""
    return chosen_among(count, "models, with weights from dev")


def choice_on_dev(run: RunFolder) -> str | None:
    """Return in words what of a run was chosen on dev; None if nothing is known to be.

    A run that stopped at its best loss on dev counts as not chosen: that is little luck.
    """
    sweep, best = (_content(run, name) for name in (BEST_OF_SWEEP, BEST_OF_TIME))
    if sweep is not None:
        trials = sweep.get("trials")
        count = trials if isinstance(trials, int) else None
        return None if count == 1 else chosen_among(count, "trials")
    if best is not None:
        tried = best.get("tried")
        return combined_on_dev(len(tried) if isinstance(tried, list) else None)
    if get_family(run.recipe.model).method == "combine":
        return f"weights learned on dev: {WORSE}"
    return None


def choices_on_dev(runs: Sequence[RunFolder]) -> str:
    """Return a sentence on each run of which something was chosen on dev; empty without any."""
    found = ((run.name, choice_on_dev(run)) for run in runs)
    return " ".join(f"{name}: {choice}." for name, choice in found if choice)


def _content(run: RunFolder, name: str) -> dict[str, object] | None:
    try:
        return dict(read_json(run.folder / name))
    except (OSError, ThenceError, *UNUSABLE):
        return None
