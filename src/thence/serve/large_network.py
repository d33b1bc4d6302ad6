"""A large network as a server asks it: a single id by NumPy, several by PyTorch.

A step of one text multiplies each weight once, so it takes as long as the weights need from the
processor's cache; PyTorch's calls take as long again (an LSTM of 6.6 million weights: 0.8 against
1.7 ms). From two rows on, PyTorch's matrix products take less time than NumPy's.
"""

from typing import TYPE_CHECKING

import numpy as np

from thence.array_types import Float, Integer
from thence.models.base import State, leaves, map_state
from thence.models.language.inference import InferenceModel
from thence.tokens import TokenStore

if TYPE_CHECKING:
    from thence.models.language.neural import NeuralLanguageModel


class LargeNetwork:
    """A network in both forms, which give the same log-probabilities up to rounding.

    Args:
        single: The network in NumPy, whose states this one has.
        several: The same in PyTorch.
    """

    def __init__(self, single: InferenceModel, several: "NeuralLanguageModel") -> None:
        self.single, self.several = single, several
        self.vocabulary_size = single.vocabulary_size

    def start(self, batch_size: int) -> State:
        """Return the state before any text."""
        return self.single.start(batch_size)

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        return self.several.score(store, carry_context)

    def read(
        self, ids: Integer[np.ndarray, "batch time"], state: State, last: bool = False
    ) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
        """Read ids; return log-probabilities after each, or the last only, and the new state."""
        if ids.size == 1:
            return self.single.read(ids, state, last)
        import torch  # The other network has imported it.

        given = iter(leaves(state))
        tensors = map_state(
            lambda fresh: torch.from_numpy(part) if (part := next(given, None)) is not None
            else fresh,
            self.several.start(len(ids)),
        )  # fmt: skip
        log_probs, after = self.several.read(ids, tensors, last)
        return log_probs, tuple(leaf.numpy() for leaf in leaves(after)[: len(state)])
