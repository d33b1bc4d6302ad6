"""What a classifier is: texts to the log-probabilities of their labels.

Counts and networks satisfy this one interface, so that evaluation, comparison, explanation and
serving are each written once. Arrays at this border are NumPy's; all logarithms are natural.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64

from thence.corpus.labels import Labels
from thence.tokens.texts import Texts

Array = np.ndarray[Any, np.dtype[Any]]

LEAST, MOST = -700.0, -1e-30
"""Between these are log-probabilities of answers: neither a yes nor a no is sure."""


@dataclass(frozen=True)
class Classes:
    """What is told apart.

    Attributes:
        num_classes: How many labels there are (C), at least 2, or 1 where there may be several.
        multilabel: Whether a document may have any number of them: each label is then a question of
            its own, answered yes or no.
    """

    num_classes: int
    multilabel: bool = False


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
        sample_weight: Float32[np.ndarray, " documents"],
        dev: tuple[Texts, Labels] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Learn from labelled texts; what was learned before is forgotten.

        Args:
            texts: The train documents.
            labels: Theirs.
            sample_weight: How much each document counts.
            dev: Documents to choose settings by that were left open, where there are some.
            should_stop: Asked now and then whether to end with what has been learned so far.
        """


def log_probs_of_truth(
    log_probs: Float[np.ndarray, "documents classes"], labels: Labels
) -> Float64[np.ndarray, " questions"]:
    """Return the log-probability of every true answer; a label that train lacks is none.

    Where a document may have several labels, each is a question of its own.

    Args:
        log_probs: What a classifier says of the documents.
        labels: What is true of them; the first names are the classes.
    """
    classes = log_probs.shape[1]
    likely = np.clip(log_probs.astype(np.float64), LEAST, MOST)
    found: Float64[np.ndarray, " questions"]
    if labels.multilabel:
        no = np.maximum(np.log(-np.expm1(likely)), LEAST)
        found = np.where(labels.matrix()[:, :classes] > 0, likely, no).ravel()
    else:
        known = np.flatnonzero(labels.single < classes)
        found = likely[known, labels.single[known]]
    return found
