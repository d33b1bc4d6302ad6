"""The parity check of exported networks: log-probabilities on random ids, beside those of the run.

It is made before the exported file is put in place. Only rounding errors are tolerated, since
other programs sum in another order.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch

from thence.array_types import Float, Int64
from thence.errors import RunError
from thence.models.base import State
from thence.models.language.neural import NeuralLanguageModel
from thence.models.registry import get_family
from thence.runs import ClassifierRun, LanguageRun
from thence.runs.run import Run

Ids = Int64[np.ndarray, "batch time"]
LogProbs = Float[np.ndarray, "batch time vocab"]

BEYOND = 5
"""Ids that the longest test text has more than the network's context."""
LONG = 60
"""Length of the longest test text, in ids, for networks without a fixed context."""
CELLS = 1 << 26
"""Log-probabilities of a test text at most (256 MB); a longer text is cut."""


def network_of(run: Run, what: str) -> NeuralLanguageModel:
    """Return a run's network as a torch module; ``what`` is the export format, for the message.

    Raises:
        RunError: If the run is not of a network that models language.
    """
    labelled = isinstance(run, ClassifierRun)
    kind = "a classifier" if labelled else f"a run of the model '{run.recipe.model}'"
    if labelled or get_family(run.recipe.model).method != "train":
        raise RunError(
            f"{run.folder} is {kind}; {what} can only hold a network that models language (such "
            "as thence train --model lstm)."
        )
    return cast(LanguageRun, run).network


def random_texts(run: Run) -> list[Ids]:
    """Return random ids of several shapes: one text and more, shorter and longer than context."""
    size = len(run.tokenizer.vocabulary)
    context = getattr(run.recipe.options, "context", LONG - BEYOND)
    longest = max(2, min(context + BEYOND, CELLS // size))
    draw = np.random.default_rng(0)
    shapes = [(1, 1), (3, 1), (1, 7), (3, 7), (1, longest)]
    return [draw.integers(0, size, shape) for shape in shapes]


@torch.inference_mode()
def read_texts(model: NeuralLanguageModel, ids: Ids, state: State = None) -> tuple[LogProbs, State]:
    """Return the log-probabilities of the run's own model after each id, and its last state."""
    model.eval()
    state = model.start(len(ids)) if state is None else state
    hidden, state = model.network(torch.from_numpy(ids).to(model.device), state)
    return model.output_layer.log_probs(hidden).cpu().numpy(), state


def greatest_difference(
    run: Run, model: NeuralLanguageModel, ask: Callable[[Ids], LogProbs], tolerance: float
) -> float:
    """Return the largest difference between an exported network and the run, in nats.

    Args:
        run: The run.
        model: Its model.
        ask: Function from ids to log-probabilities of the exported network.
        tolerance: Largest allowed difference: in nats for log-probabilities above -1, else
            relative.

    Raises:
        RunError: If the difference is larger.
    """
    greatest = 0.0
    for ids in random_texts(run):
        expected, found = read_texts(model, ids)[0], ask(ids)
        difference = np.abs(expected - found)
        if not (difference <= tolerance * np.maximum(1, np.abs(expected))).all():
            raise RunError(
                f"The exported model does not give the same as {run.folder}: log-probabilities "
                f"after {ids.shape[1]} ids differ by up to {difference.max():.2g} nats. "
                "Nothing was written; please report this."
            )
        greatest = max(greatest, float(difference.max()))
    return greatest
