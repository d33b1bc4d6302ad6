"""Reading several ids at once: networks read them side by side, other models step by step."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Integer

from thence.models.base import LanguageModel, State


@runtime_checkable
class ReadsAtOnce(Protocol):
    """A language model that reads several ids faster than step by step."""

    def read(
        self, ids: Integer[np.ndarray, "batch time"], state: State, last: bool = False
    ) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
        """Return log-probabilities after each id, or after the last only, and the state."""


def read(
    model: LanguageModel,
    ids: Integer[np.ndarray, "batch time"],
    state: State,
    last: bool = False,
) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
    """Read ids; return the log-probabilities of what follows each, and the state after the last.

    Args:
        model: Any language model.
        ids: At least one per row.
        state: Of as many rows.
        last: Whether only what follows the last id is wanted, which costs less.
    """
    if isinstance(model, ReadsAtOnce):
        return model.read(ids, state, last)
    steps = []
    for column in ids.T:
        log_probs, state = model.step(column, state)
        steps.append(log_probs)
    return np.stack(steps[-1:] if last else steps, axis=1), state
