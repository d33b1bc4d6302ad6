"""The classifier of fastText, in its format: imported from its files, or trained here.

Words are what stands between white space, whatever ``word_split`` says; the equations are in
``models/fasttext/predictions.py``. As in fastText, 0.00001 is added to probabilities, so they may
add up to a little more than one. With ``loss='ova'`` or ``'ns'`` each label is a question of its
own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.array_types import Bool, Float32, Int64
from thence.batches.bags import NGramLength
from thence.corpus.documents import Labels
from thence.errors import SettingError
from thence.models.base import Array, Classes
from thence.models.fasttext.contents import Bucket, FastTextModel, Loss, SubwordLength
from thence.models.fasttext.features import END, features, word_ids
from thence.models.fasttext.predictions import predict, word_vectors
from thence.models.fasttext.tensors import from_tensors, to_tensors
from thence.models.memory_guard import Size
from thence.settings import Settings
from thence.tokens import Texts
from thence.tokens.tokenizer import normalized_chunks

QUESTIONS = ("ova", "ns")
"""Losses with which each label is a question of its own."""


@dataclass(frozen=True)
class FastTextOptions(Settings):
    """Settings of the classifier of fastText."""

    embedding_size: Size = 100
    """Size of the embeddings (``dim``)."""
    ngrams: NGramLength = 1
    """The longest runs of words that are features (``wordNgrams``); 1 for words alone."""
    shortest_subword: SubwordLength = 0
    """The shortest runs of characters of a word that are features (``minn``)."""
    longest_subword: SubwordLength = 0
    """The longest of them (``maxn``); 0: there are none."""
    buckets: Bucket = 2_000_000
    """Buckets that runs are hashed into."""
    head: Loss = "softmax"
    """How labels are predicted: softmax, hierarchical softmax (hs), or a yes or no for each (ova, \
or ns: learned from negative samples)."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of fastText's settings that its features and predictions depend on."""
        return {
            "dim": self.embedding_size, "word_ngrams": self.ngrams, "loss": self.head,
            "bucket": self.buckets, "minn": self.shortest_subword, "maxn": self.longest_subword,
            "model": "supervised",
        }  # fmt: skip


class FastText:
    """A classifier in fastText's format.

    Args:
        options: Its settings.
        vocabulary_size: Number of token ids, which it does not need.
        classes: The labels that it predicts.
    """

    def __init__(self, options: FastTextOptions, vocabulary_size: int, classes: Classes) -> None:
        self.options, self.classes = options, classes
        self._model: FastTextModel | None = None
        self._columns = np.arange(classes.num_classes)

    @property
    def contents(self) -> FastTextModel:
        """What a file of fastText holds."""
        assert self._model is not None  # It has been fitted or loaded.
        return self._model

    def fit(
        self,
        texts: Texts,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        dev: tuple[Texts, Labels] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Learn from labelled texts; see ``FittedClassifier``."""
        raise SettingError("`model='fasttext'` is only imported: thence import MODEL.bin -o RUN.")

    def classify(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        chunks = normalized_chunks(texts.documents, texts.tokenizer.options)
        nothing = np.zeros((0, self.classes.num_classes), np.float32)
        parts = [predict(self.contents, chunk)[0] for chunk in chunks]
        chances = np.concatenate([nothing, *parts])
        found = np.empty_like(chances)
        found[:, self._columns] = np.log(np.minimum(chances, 1))
        return found

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has anything, but for its end, that has an embedding."""
        chunks = normalized_chunks(texts.documents, texts.tokenizer.options)
        sizes = [features(self.contents, chunk).sizes for chunk in chunks]
        knows_end = int(word_ids(self.contents, [END])[0] >= 0)
        known: Bool[np.ndarray, " documents"] = (
            np.concatenate([np.zeros(0, int), *sizes]) > knows_end
        )
        return known

    def word_vectors(self, words: Sequence[str]) -> Float32[np.ndarray, "words embedding"]:
        """Return the vector of each word: the mean of its embedding and its subwords'."""
        return word_vectors(self.contents, words)

    def take(self, model: FastTextModel, columns: Int64[np.ndarray, " labels"]) -> None:
        """Classify by a model from now on.

        Args:
            model: It.
            columns: The class of each of its labels.
        """
        self._model, self._columns = model, columns

    def tensors(self) -> dict[str, Array]:
        """Return everything that a file of fastText holds, and the class of each label."""
        return {**to_tensors(self.contents), "columns": self._columns}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        contents = {name: value for name, value in tensors.items() if name != "columns"}
        columns = tensors["columns"]
        model = from_tensors(contents, self.options.arguments)
        is_order = np.array_equal(np.sort(columns), np.arange(self.classes.num_classes))
        if len(model.dictionary.labels) != len(columns) or not is_order:
            raise ValueError("columns does not give each label a class")
        if self.classes.multilabel != (self.options.head in QUESTIONS):
            raise ValueError("its head does not fit its labels")
        self.take(model, columns)

    def num_parameters(self) -> int:
        """Return how many numbers were learned."""
        return sum(
            rows * columns
            for rows, columns in (self.contents.input.shape, self.contents.output.shape)
        )
