"""How much of a text a classifier knows: where that is nothing, its label says nothing of the text.

A token is known if the train text has it: it has an id of its own, not that of ``<unk>`` nor of the
bytes that spell an unknown word. Classifiers that look at runs of characters know a text too in
which there is one that the train text has; two runs of one bucket are taken for one here as well.

Where nothing is known, all that is left of a linear classifier is how frequent its labels are, and
networks answer by what unknown tokens stood beside in training, or by their biases.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from thence.array_types import Bool, Int64
from thence.models.base import Classifier
from thence.tokens.texts import Texts


@runtime_checkable
class ReadsCharacters(Protocol):
    """A classifier that may read runs of characters."""

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has a run of characters that train has too."""


@dataclass(frozen=True)
class Known:
    """What is known of documents.

    Attributes:
        tokens: Of each document.
        known_tokens: Those of them that the train text has.
        nothing: Whether there is nothing in the document that the classifier knows; true of a
            document without any text.
    """

    tokens: Int64[np.ndarray, " documents"]
    known_tokens: Int64[np.ndarray, " documents"]
    nothing: Bool[np.ndarray, " documents"]

    @property
    def unknown_share(self) -> float:
        """Share of all tokens that the train text lacks, 0 to 1; 0 if there are none."""
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
