"""What a classifier is: texts to the log-probabilities of their labels.

Counts and networks satisfy this one interface, so that evaluation, comparison, explanation and
serving are each written once. Arrays at this border are NumPy's; all logarithms are natural.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from thence.corpus.labels import Labels
from thence.tokens.texts import Texts

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Classes:
    """What is told apart.

    Attributes:
        number: How many labels there are (C), at least 2, or 1 where there may be several.
        several: Whether a document may have any number of them: each label is then a question of
            its own, answered yes or no.
    """

    number: int
    several: bool = False


@runtime_checkable
class Classifier(Protocol):
    """Tells labels apart."""

    classes: Classes

    def classify(self, texts: Texts) -> Float[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document.

        With one label per document a row's probabilities sum to one; where there may be several,
        each is the probability of a yes.
        """

    def tensors(self) -> dict[str, Array]:
        """Return everything learned, by name, for the weights file."""

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Take back what ``tensors`` gave.

        Raises:
            ValueError: If a name or shape does not fit this classifier.
        """

    def num_parameters(self) -> int:
        """Return how many numbers were learned."""


@runtime_checkable
class FittedClassifier(Classifier, Protocol):
    """A classifier that is fitted to all texts at once, without the training loop."""

    def fit(
        self,
        texts: Texts,
        labels: Labels,
        importance: Float32[np.ndarray, " documents"],
        dev: tuple[Texts, Labels] | None = None,
    ) -> None:
        """Learn from labelled texts; what was learned before is forgotten.

        Args:
            texts: The train documents.
            labels: Theirs.
            importance: How much each document counts.
            dev: Documents to choose settings by that were left open, where there are some.
        """
