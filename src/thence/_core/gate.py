"""Online learning of a mixture's gate by the compiled core: see ``gate.c``."""

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Float64


@cache
def _adapt() -> Callable[..., int]:
    found: Callable[..., int] = function(
        "adapt_gate",
        *(Pointer, Pointer, Pointer, Size, Size, Size, ctypes.c_double, Pointer, Pointer),
    )
    return found


def adapt_gate(
    gate: Float64[np.ndarray, "features models"],
    scores: Float64[np.ndarray, "targets models"],
    features: Float64[np.ndarray, "targets features"],
    rate: float,
) -> Float64[np.ndarray, " targets"]:
    """Return the log-probability of each target under the mixture; the gate learns in between.

    Args:
        gate: Weights of the softmax regression, changed by a gradient step after each target.
        scores: Log-probability of each target by each model.
        features: What the gate knows of the context of each target.
        rate: The learning rate.

    Raises:
        ValueError: If the shapes do not fit.
    """
    targets, models = scores.shape
    found, room = np.empty(targets), np.empty(models)
    fits = features.shape == (targets, len(gate)) and gate.shape[1] == models
    if not fits or _adapt()(
        address(scores, np.float64), address(features, np.float64), address(gate, np.float64),
        targets, models, len(gate), rate, room.ctypes.data, found.ctypes.data,
    ):  # fmt: skip
        raise ValueError("the scores or features do not fit the gate")
    return found
