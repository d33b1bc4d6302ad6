"""The ``fasttext`` classifier: imported from fastText's files, or trained here as fastText does.

Words are separated by white space, whatever ``word_split`` is; the equations are in
``models/fasttext/predictions.py``. As in fastText, 0.00001 is added to probabilities, so their sum
may be a little above one. With the heads ``ova`` and ``ns`` each label has a sigmoid of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.array_types import Bool, Float32, Int64
from thence.batches.bags import NGramLength
from thence.corpus import Documents
from thence.corpus.documents import Labels
from thence.errors import SettingError
from thence.models.base import Array, Classes
from thence.models.fasttext.contents import Bucket, FastTextModel, Loss, SubwordLength
from thence.models.fasttext.features import END, features, word_ids
from thence.models.fasttext.predictions import predict, word_vectors
from thence.models.fasttext.tensors import from_tensors, taken, to_tensors
from thence.models.memory_guard import Size
from thence.settings import PositiveFloat, PositiveInt, Settings
from thence.tokens import Texts
from thence.tokens.tokenizer import normalized_chunks

BINARY_HEADS = ("ova", "ns")
"""Heads that predict each label by a sigmoid of its own."""

SMALLEST = np.finfo(np.float32).tiny
"""Lower bound of probabilities before the logarithm: a product along a path may round to 0."""


@dataclass(frozen=True)
class FastTextOptions(Settings):
    """Settings of the classifier of fastText."""

    embedding_size: Size = 16
    """Size of the embeddings (``dim``)."""
    ngrams: NGramLength = 1
    """The longest runs of words that are features (``wordNgrams``); 1 for words alone."""
    shortest_subword: SubwordLength = 0
    """The shortest runs of characters of a word that are features (``minn``)."""
    longest_subword: SubwordLength = 0
    """The longest of them (``maxn``); 0: there are none."""
    buckets: Bucket = 2_000_000
    """Buckets that runs are hashed into."""
    head: Loss | None = None
    """How labels are predicted: softmax, hierarchical softmax (hs), or a yes or no for each (ova; \
ns: learned from negative samples). Default: softmax; ova where a document may have several."""
    passes: PositiveInt = 5
    """Passes over the train split (``epoch``)."""
    rate: PositiveFloat = 0.1
    """The learning rate, which falls to 0 (``lr``)."""
    negatives: PositiveInt = 5
    """Labels drawn as negative samples, for head ns (``neg``)."""


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
    def head(self) -> Loss:
        """The head, with the default filled in."""
        return self.options.head or ("ova" if self.classes.multilabel else "softmax")

    @property
    def arguments(self) -> dict[str, Any]:
        """The settings by fastText's names, without those of training."""
        options = self.options
        return {
            "dim": options.embedding_size, "word_ngrams": options.ngrams, "loss": self.head,
            "minn": options.shortest_subword, "maxn": options.longest_subword,
            "model": "supervised",
        }  # fmt: skip

    @property
    def contents(self) -> FastTextModel:
        """The model, as a fastText file holds it."""
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
        """Fit the classifier; see ``FittedClassifier``."""
        from thence.models.labels.fasttext_fit import fit_fasttext

        if self.classes.multilabel != (self.head in BINARY_HEADS):
            kind = "may have several labels" if self.classes.multilabel else "has one label"
            heads = "'ova' or 'ns'" if self.classes.multilabel else "'softmax' or 'hs'"
            raise SettingError(f"`head` is {self.head!r}, but here a document {kind}: use {heads}.")
        options = self.options
        has_runs = options.ngrams > 1 or options.longest_subword > 0
        settings = {
            **self.arguments, "epoch": options.passes, "neg": options.negatives,
            "bucket": options.buckets if has_runs else 0,
        }  # fmt: skip
        self.set_model(*fit_fasttext(texts, labels, sample_weight, settings, options.rate))

    def classify(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        parts = [predict(self.contents, part)[0] for part in _normalized(texts)]
        probs = np.concatenate([np.zeros((0, self.classes.num_classes), np.float32), *parts])
        found = np.empty_like(probs)
        found[:, self._columns] = np.log(np.clip(probs, SMALLEST, 1))
        return found

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has a feature with an embedding, besides ``</s>``."""
        sizes = [features(self.contents, part).sizes for part in _normalized(texts)]
        knows_end = int(word_ids(self.contents, [END])[0] >= 0)
        known: Bool[np.ndarray, " documents"]
        known = np.concatenate([np.zeros(0, int), *sizes]) > knows_end
        return known

    def word_vectors(self, words: Sequence[str]) -> Float32[np.ndarray, "words embedding"]:
        """Return the vector of each word: the mean of its embedding and its subwords'."""
        return word_vectors(self.contents, words)

    def set_model(self, model: FastTextModel, columns: Int64[np.ndarray, " labels"]) -> None:
        """Replace the model.

        Args:
            model: The new model.
            columns: The class of each of its labels.
        """
        self._model, self._columns = model, columns

    def tensors(self) -> dict[str, Array]:
        """Return the contents of a fastText file, and the class of each label."""
        return {**to_tensors(self.contents), "columns": self._columns}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        left, classes = dict(tensors), self.classes.num_classes
        columns = taken(left, "columns", np.int64, (classes,))
        model = from_tensors(left, self.arguments)
        is_order = np.array_equal(np.sort(columns), np.arange(classes))
        if len(model.dictionary.labels) != classes or not is_order:
            raise ValueError("columns does not give each label a class")
        if self.classes.multilabel != (self.head in BINARY_HEADS):
            raise ValueError("its head does not fit its labels")
        self.set_model(model, columns)

    def num_parameters(self) -> int:
        """Return the number of weights."""
        return sum(
            rows * columns
            for rows, columns in (self.contents.input.shape, self.contents.output.shape)
        )


def _normalized(texts: Texts) -> Iterator[Documents]:
    """Yield the documents in chunks, normalised by the tokenizer's options (lower case, NFC)."""
    options = texts.tokenizer.options
    if options.lowercase or options.nfc:
        yield from normalized_chunks(texts.documents, options)
    else:
        yield texts.documents
