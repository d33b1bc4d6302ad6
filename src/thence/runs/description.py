"""What a run is, in one line: made of what its folder says, without loading the model."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from thence.errors import ThenceError
from thence.models.registry import get_family
from thence.runs.files import number_of_values
from thence.runs.metrics import unit_of

if TYPE_CHECKING:
    from thence.runs.run import Run


def describe(run: "Run") -> str:
    """Return a line such as ``mlp, 41,437 parameters, given-names, dev 2.5079 nats per token``.

    What cannot be read is left out.
    """
    parts = [run.recipe.model]
    for part in (_parameters, _text, _dev, _state):
        with suppress(ThenceError, OSError):
            parts.append(part(run))
    return ", ".join(filter(None, parts))


def _parameters(run: "Run") -> str:
    """Return how many there are; of a counted model the file holds more than its counts."""
    weights = run.folder / "model.safetensors"
    if get_family(run.recipe.model).method == "train" and weights.exists():
        return f"{number_of_values(weights):,} parameters"
    is_loaded = not {"model", "classifier"}.isdisjoint(run.__dict__)
    return f"{run.num_parameters:,} parameters" if is_loaded else ""


def _text(run: "Run") -> str:
    return Path(run.text_name).name


def _dev(run: "Run") -> str:
    """Return the best look at dev."""
    looks = run.metrics()
    unit = unit_of(looks[-1]) if looks else "token"
    losses = [nats for look in looks if (nats := look.get(f"dev_nats_per_{unit}")) is not None]
    found = [f"dev {min(losses):.4f} nats per {unit}"] if losses else []
    accuracies = [look["dev_accuracy"] for look in looks if "dev_accuracy" in look]
    return f"dev accuracy {max(accuracies):.2%}" if accuracies else "".join(found)


def _state(run: "Run") -> str:
    if run.imported:
        return "imported"
    return "finished" if run.finished else "not finished"
