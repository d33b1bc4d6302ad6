"""A large network for serving: single steps of a few texts in C, larger batches in PyTorch.

A step of one text uses each weight once, so its time is that of reading the weights from memory.
The core reads them in 16 bits (an LSTM of 6.6 million weights: 0.5 ms; in single precision NumPy
takes 1.1 ms, PyTorch 2 ms). It processes texts one by one, so for more than a few texts PyTorch's
matrix products take less time. Without the core, NumPy does the steps of a single text.
"""

from typing import TYPE_CHECKING

import numpy as np

from thence._core import library
from thence.array_types import Float, Integer
from thence.models.base import State, leaves, map_state
from thence.models.language.inference import InferenceModel
from thence.tokens import TokenStore

if TYPE_CHECKING:
    from thence.models.language.neural import NeuralLanguageModel

FEW_TEXTS = 6
"""Up to this many texts, the compiled core takes a step in less time than PyTorch (measured)."""


class LargeNetwork:
    """A network in two implementations, whose log-probabilities differ by about 1e-4 nats.

    Args:
        single: The network in NumPy; its states are those of this model.
        several: The same network in PyTorch.
    """

    def __init__(self, single: InferenceModel, several: "NeuralLanguageModel") -> None:
        self.single, self.several, self._few = single, several, 1
        if library() is not None:
            self.single, self._few = single.rounded(), FEW_TEXTS
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
        if ids.shape[1] == 1 and len(ids) <= self._few:
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
