"""Which runs have a network to export, and whether the exported one gives the same numbers.

It is compared with the run on random ids before it is put in place.

Nothing is asked of an exported file but what it says: log-probabilities for ids from the start of
a text. They may differ from the run's by rounding only, which another order of sums brings.
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
"""So many ids more than the context is long are read, where it has a length."""
LONG = 60
"""Ids of the longest text for networks whose memory has no length."""
CELLS = 1 << 26
"""Log-probabilities of one text at most (256 MB): a longer text is cut."""


def network_of(run: Run, what: str) -> NeuralLanguageModel:
    """Return a run's network.

    Raises:
        RunError: If the run has none, or is a classifier.
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
    """Return ids in several shapes: one and many, shorter and longer than the context."""
    size = len(run.tokenizer.vocabulary)
    context = getattr(run.recipe.options, "context", LONG - BEYOND)
    longest = max(2, min(context + BEYOND, CELLS // size))
    draw = np.random.default_rng(0)
    shapes = [(1, 1), (3, 1), (1, 7), (3, 7), (1, longest)]
    return [draw.integers(0, size, shape) for shape in shapes]


@torch.inference_mode()
def read_texts(model: NeuralLanguageModel, ids: Ids, state: State = None) -> tuple[LogProbs, State]:
    """Return what the run's own model says after each id, and its state after the last."""
    model.eval()
    state = model.start(len(ids)) if state is None else state
    hidden, state = model.network(torch.from_numpy(ids).to(model.device), state)
    return model.output_layer.log_probs(hidden).cpu().numpy(), state


def greatest_difference(
    run: Run, model: NeuralLanguageModel, ask: Callable[[Ids], LogProbs], tolerance: float
) -> float:
    """Return how far an exported network is from the run at most, in nats.

    Args:
        run: The run.
        model: Its model.
        ask: Gives the exported network's log-probabilities.
        tolerance: How far it may be, relative to log-probabilities below -1.

    Raises:
        RunError: If it is farther.
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
