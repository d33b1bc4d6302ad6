"""Word averaging: the mean of the embeddings of a document's features, then a linear layer.

    h = (1 / n) sum_i E[f_i]        over the n features of the document
    P(label) = softmax(W h + b)

The features are the tokens and, hashed into buckets, word and character n-grams. With hidden layers
between the mean and the output it is the deep averaging network:

    h_l = ReLU(U_l h_{l-1} + c_l)

Sources: A. Joulin, E. Grave, P. Bojanowski and T. Mikolov 2017, "Bag of tricks for efficient text
classification" (fastText); M. Iyyer, V. Manjunatha, J. Boyd-Graber and H. Daumé III 2015, "Deep
unordered composition rivals syntactic methods for text classification" (hidden layers, dropout of
whole words).

This module has the settings and inference in NumPy. Training is in ``averaging_fit.py`` (compiled
core) and ``averaging_network.py`` (torch).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from thence.array_types import Bool, Float32
from thence.batches.bags import (
    BagOptions,
    Bags,
    Buckets,
    FeatureTable,
    NGramLength,
    bags_of,
    character_bags,
    number_of_features,
)
from thence.models.base import Array, Classes, check_weights, class_log_probs
from thence.models.memory_guard import Size
from thence.settings import DropProbability, PositiveInt, Settings
from thence.tokens import Texts

INITIAL_RANGE = 0.1
"""Initial embeddings are uniform in ± this / E, as in fastText."""


@dataclass(frozen=True)
class AveragingOptions(Settings):
    """Settings of word averaging."""

    embedding_size: Size = 16
    """Size of the embeddings (E)."""
    vectors: str | None = None
    """Begin with the word vectors of this file: GloVe, word2vec (text or binary), .vec, or .bin \
of fastText, which has one for every word; their size is that of the embeddings."""
    ngrams: NGramLength = 2
    """The longest runs of tokens that are features; 1 for tokens alone."""
    character_ngrams: tuple[NGramLength, ...] = ()
    """Lengths of runs of characters that are features too, such as 3 4 5."""
    buckets: Buckets = 1 << 22
    """Buckets that runs are hashed into."""
    min_ngram_count: Size = 2
    """Buckets that occur less often in train are left out."""
    hidden_sizes: tuple[PositiveInt, ...] = ()
    """Sizes of hidden layers between the mean and the output (deep averaging network)."""
    dropout: DropProbability = 0.0
    """Dropout rate of the mean and of the hidden layers."""
    word_dropout: DropProbability = 0.0
    """Dropout rate of whole features."""

    @property
    def bags(self) -> BagOptions:
        """The features of documents (see ``batches/bags.py``)."""
        lengths = tuple(sorted(set(self.character_ngrams)))
        return BagOptions(self.ngrams, lengths, self.buckets)


class Averaging:
    """Word averaging for inference, in NumPy.

    Args:
        options: Its settings.
        vocabulary_size: Number of token ids (V).
        classes: The labels that it predicts.
    """

    def __init__(self, options: AveragingOptions, vocabulary_size: int, classes: Classes) -> None:
        self.options, self.classes, self.vocabulary_size = options, classes, vocabulary_size
        size = number_of_features(vocabulary_size, options.bags)
        self.table = FeatureTable(np.arange(vocabulary_size), size)
        self._weights: Mapping[str, Array] = {}

    def classify(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        return classify(texts, self.options, self.table, self._weights, self.classes)

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has a character n-gram that occurred in train."""
        return knows_characters(texts, self.options, self.table)

    def tensors(self) -> dict[str, Array]:
        """Return the weights by name, and the features that have an embedding (``kept``)."""
        return {**self._weights, "kept": self.table.kept.astype(np.int32)}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        if "kept" not in tensors:
            raise ValueError("kept is missing")
        table = self.table.restored(tensors["kept"])
        weights = {name: value for name, value in tensors.items() if name != "kept"}
        check_weights(weights)
        shapes = {name: value.shape for name, value in weights.items()}
        if shapes != (expected := self._shapes(len(table.kept))):
            raise ValueError(f"the weights have the shapes {shapes}, not {expected}")
        self.table = table
        self._weights = {name: np.asarray(value, np.float32) for name, value in weights.items()}

    def _shapes(self, num_embeddings: int) -> dict[str, tuple[int, ...]]:
        sizes = (self.options.embedding_size, *self.options.hidden_sizes)
        shapes: dict[str, tuple[int, ...]] = {"embeddings": (num_embeddings, sizes[0])}
        layers = [*pairwise(sizes), (sizes[-1], self.classes.num_classes)]
        names = [*(f"hidden.{number}" for number in range(len(sizes) - 1)), "output"]
        for name, (size_in, size_out) in zip(names, layers, strict=True):
            shapes |= {f"{name}.weight": (size_out, size_in), f"{name}.bias": (size_out,)}
        return shapes

    def num_parameters(self) -> int:
        """Return the number of weights."""
        return sum(value.size for value in self._weights.values())


def classify(
    texts: Texts,
    options: AveragingOptions,
    table: FeatureTable,
    weights: Mapping[str, Array],
    classes: Classes,
) -> Float32[np.ndarray, "documents classes"]:
    """Return the log-probability of each label for each document, by the equations above.

    Args:
        texts: The documents.
        options: The settings of the classifier.
        table: Maps features to rows of E.
        weights: The weights by name: E is ``embeddings``, U and c are ``hidden.0.weight``,
            ``hidden.0.bias`` and so on, W and b ``output.weight`` and ``output.bias``.
        classes: The labels.
    """
    return classify_rows(table.rows(bags_of(texts, options.bags)), options, weights, classes)


def classify_rows(
    bags: Bags, options: AveragingOptions, weights: Mapping[str, Array], classes: Classes
) -> Float32[np.ndarray, "documents classes"]:
    """Return the same as ``classify``, for bags of rows of E."""
    hidden = bags.sums(weights["embeddings"])
    hidden /= np.maximum(bags.sizes, 1)[:, None]
    for layer in range(len(options.hidden_sizes)):
        name = f"hidden.{layer}"
        hidden = np.maximum(hidden @ weights[f"{name}.weight"].T + weights[f"{name}.bias"], 0)
    return class_log_probs(hidden @ weights["output.weight"].T + weights["output.bias"], classes)


def knows_characters(
    texts: Texts, options: AveragingOptions, table: FeatureTable
) -> Bool[np.ndarray, " documents"]:
    """Return whether each document has a character n-gram with an embedding."""
    if not options.character_ngrams:
        return np.zeros(len(texts), bool)
    return table.rows(character_bags(texts, options.bags)).sizes > 0
