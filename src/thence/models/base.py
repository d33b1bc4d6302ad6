"""What a language model is: a state machine with a score.

Counts, networks and whatever combines them all satisfy this one interface, so evaluation,
comparison, generation and serving are each written once. Arrays at this border are NumPy's, so
that a count model never needs torch; all log-probabilities are natural logarithms (nats).
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Integer

from thence.tokens import TokenStore

State = Any
"""What a model remembers of the text so far: a value, which ``step`` never changes in place."""

Array = np.ndarray[Any, np.dtype[Any]]


@runtime_checkable
class LanguageModel(Protocol):
    """Next-token distributions, step by step, and the score of a whole store.

    ``step`` and ``score`` give the same numbers: the score of a target is the log-probability
    that ``step`` gave it after everything before. No score depends on what comes later, and
    without carried context none depends on another document.
    """

    vocabulary_size: int

    def start(self, batch_size: int) -> State:
        """Return the state before any text; the first id to step with is the boundary."""

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: State
    ) -> tuple[Float[np.ndarray, "batch vocab"], State]:
        """Read one id per row; return log-probabilities of the next and the new state."""

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target of a store, in order.

        Args:
            store: What to judge.
            carry_context: Whether a document sees what the documents before it said (running
                text) or starts afresh at the boundary.
        """

    def tensors(self) -> dict[str, Array]:
        """Return everything learned, by name, for the weights file."""

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Take back what ``tensors`` gave.

        Raises:
            ValueError: If a name or shape does not fit this model.
        """

    def num_parameters(self) -> int:
        """Return how many numbers were learned or counted."""


@runtime_checkable
class CountedModel(LanguageModel, Protocol):
    """A language model made by counting, in one pass and without a training loop."""

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Count a store; what was counted before is forgotten.

        Args:
            store: The train tokens.
            carry_context: Whether context reaches across documents.
            dev: Tokens to fit the few numbers by that cannot be counted, where there are some.

        Returns:
            The log-probability of the whole store in nats where counting gives it, so that it
            need not be scored; else None.
        """
