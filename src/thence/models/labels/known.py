"""Which tokens of a text a classifier knows: if none, its prediction does not depend on the text.

A token is known if it occurred in train: it has an id of its own, not that of ``<unk>`` nor those
of the bytes that spell an unknown word. Classifiers with character n-grams also know a text that
has a character n-gram of train; n-grams in the same bucket count as equal here.

If nothing is known, a linear classifier predicts by its bias alone, and networks by their biases or
by the contexts that ``<unk>`` had in training.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from thence.array_types import Bool, Int64
from thence.models.base import Classifier
from thence.tokens import Texts


@runtime_checkable
class ReadsCharacters(Protocol):
    """A classifier that may read character n-grams."""

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has a character n-gram that occurred in train."""


@dataclass(frozen=True)
class Known:
    """How much of each document a classifier knows.

    Attributes:
        tokens: Number of tokens of each document.
        known_tokens: Number of them that occurred in train.
        nothing: Whether the classifier knows nothing in the document; true for an empty one.
    """

    tokens: Int64[np.ndarray, " documents"]
    known_tokens: Int64[np.ndarray, " documents"]
    nothing: Bool[np.ndarray, " documents"]

    @property
    def unknown_share(self) -> float:
        """Share of all tokens that did not occur in train, 0 to 1; 0 if there are no tokens."""
        return 1 - int(self.known_tokens.sum()) / max(int(self.tokens.sum()), 1)


def known_of(classifier: Classifier, texts: Texts) -> Known:
    """Return how much a classifier knows of texts."""
    store = texts.store
    is_known = store.targets < len(texts.tokenizer.vocabulary.symbols)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_known)])
    known = before[store.offsets[1:] - 1] - before[store.offsets[:-1] - 1]
    nothing = known == 0
    unsure = np.flatnonzero(nothing)
    if len(unsure) and isinstance(classifier, ReadsCharacters):
        nothing[unsure] = ~classifier.knows_characters(texts.take(unsure))
    return Known(store.target_counts - 1, known, nothing)
