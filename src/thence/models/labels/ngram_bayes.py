"""Bayes' rule over an n-gram language model of each label: a generative classifier.

A language model of each label gives the probability p(x | y) of a document x of n targets (its
known tokens and its end), and then

    p(y | x)  ~  p(y) p(x | y)^a,    a = 1 / (T sqrt(n))

p(y) is the share of the train documents with the label. The tokens of a document are not as
independent as the models assume, so the exponent a keeps a long document from being decided beyond
doubt: T is the temperature with the highest likelihood of dev, or of each fifth of train by models
of the other fifths. If multilabel, each label has two models, of the documents with it and of the
others, and a probability of its own.

Unknown tokens are left out, since how probable one is says how much text a label has.

With order 1 this is multinomial naive Bayes. Language models see what a linear classifier of the
same n-grams does not, which of two words follows a third, and are wrong about other documents: an
ensemble of both is better than either.

Sources: F. Peng, D. Schuurmans and S. Wang 2004, "Augmenting naive Bayes classifiers with
statistical language models"; in an ensemble, G. Mesnil, T. Mikolov, M. Ranzato and Y. Bengio 2014,
"Ensemble of generative and discriminative techniques for sentiment analysis of movie reviews".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from thence.array_types import Float32
from thence.corpus.documents import Labels
from thence.deadline import check_deadline
from thence.errors import SettingError
from thence.models.base import Array, Classes, class_log_probs
from thence.models.labels.linear_choice import folds_of
from thence.models.labels.temperature import learn_temperature
from thence.models.mixture_weights import join_tensors, load_joined
from thence.models.ngram import NGram, NGramOptions
from thence.settings import NonNegativeInt, Range, Settings
from thence.tokens import Texts, TokenStore

FOLDS = 5
"""Folds of train for the temperature where there is no dev split."""
MAX_TABLES = 40_000_000
"""Largest number of labels times tokens: each takes 16 bytes, even if it never occurs."""
PRIOR_DOCUMENTS = 1.0
"""Documents added to those of each label, so that a label of no document is possible."""


@dataclass(frozen=True)
class NGramBayesOptions(Settings):
    """Settings of the ``ngram-bayes`` classifier."""

    order: Annotated[int, Range(ge=1, le=100, why="longer n-grams hardly ever recur")] = 3
    """Tokens in the longest n-gram: one less is the context."""
    prune: tuple[NonNegativeInt, ...] = ()
    """Leave out n-grams with this count or less: a threshold for order 2, 3, ... and beyond."""


class NGramBayes:
    """The classifier.

    Args:
        options: Its settings.
        vocabulary_size: Number of token ids (V).
        classes: The labels that it predicts.
    """

    def __init__(self, options: NGramBayesOptions, vocabulary_size: int, classes: Classes) -> None:
        self.options, self.classes, self.vocabulary_size = options, classes, vocabulary_size
        self._log_prior: Float32[np.ndarray, " classes"] = np.zeros(classes.num_classes, np.float32)
        self._temperature = 1.0
        self._models = self._untrained()

    def _untrained(self) -> list[NGram]:
        """Return a model for each label; if multilabel, then one for the others of each label."""
        options = NGramOptions(self.options.order, prune=self.options.prune)
        count = self.classes.num_classes * (2 if self.classes.multilabel else 1)
        if count * self.vocabulary_size > MAX_TABLES:
            raise SettingError(
                f"{count:,} language models of {self.vocabulary_size:,} tokens each are too large "
                "to keep in memory. Use a lower `max_size` of the vocabulary, or `model='linear'`."
            )
        return [NGram(options, self.vocabulary_size) for _ in range(count)]

    def fit(
        self,
        texts: Texts,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        dev: tuple[Texts, Labels] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Count the documents of each label; see ``FittedClassifier``.

        Sample weights count in p(y); documents of weight 0 are left out.
        """
        self._count(texts.store, labels, sample_weight)
        if dev is not None:
            evidence, known = self._evidence(dev[0]), dev[1]
        elif should_stop():
            return
        else:
            evidence, known = self._held_out_evidence(texts, labels, sample_weight), labels
        self._temperature = learn_temperature(evidence, known, self.classes, self._log_prior)

    def refitted(
        self, texts: Texts, labels: Labels, sample_weight: Float32[np.ndarray, " documents"]
    ) -> "NGramBayes":
        """Return a classifier with counts of other texts, and this temperature."""
        other = NGramBayes(self.options, self.vocabulary_size, self.classes)
        other._count(texts.store, labels, sample_weight)
        other._temperature = self._temperature
        return other

    def _count(
        self, store: TokenStore, labels: Labels, sample_weight: Float32[np.ndarray, " documents"]
    ) -> None:
        """Count the documents of each label, and how many there are."""
        self._models = self._untrained()
        matrix = labels.matrix()[:, : self.classes.num_classes] > 0
        groups = [*matrix.T, *(~matrix.T if self.classes.multilabel else ())]
        for model, group in zip(self._models, groups, strict=True):
            check_deadline()
            chosen = np.flatnonzero(group & (sample_weight > 0))
            if len(chosen):  # Without documents, every token is as probable as another.
                model.fit(store.take(chosen))
        self._log_prior = np.log(sample_weight @ matrix + PRIOR_DOCUMENTS).astype(np.float32)
        if self.classes.multilabel:
            without = np.log(sample_weight @ ~matrix + PRIOR_DOCUMENTS)
            self._log_prior -= without.astype(np.float32)

    def _held_out_evidence(
        self, texts: Texts, labels: Labels, sample_weight: Float32[np.ndarray, " documents"]
    ) -> Float32[np.ndarray, "documents classes"]:
        """Return the evidence of each document by models of the other folds."""
        found = np.zeros((len(labels), self.classes.num_classes), np.float32)
        folds = folds_of(labels, FOLDS)
        for fold in range(FOLDS):
            held_out = np.flatnonzero(folds == fold)
            other = NGramBayes(self.options, self.vocabulary_size, self.classes)
            other._count(texts.store, labels, np.where(folds == fold, 0, sample_weight))
            found[held_out] = other._evidence(texts.take(held_out))
        return found

    def _evidence(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return log p(x | y) / sqrt(n) for each label; if multilabel, less that of the others."""
        store = texts.store
        is_known = ~texts.tokenizer.vocabulary.are_unknown(store.targets)
        sums = [store.sum_by_document(model.score(store) * is_known) for model in self._models]
        lengths = store.sum_by_document(is_known.astype(np.float64))
        found = np.stack(sums, axis=1) / np.sqrt(lengths)[:, None]
        if self.classes.multilabel:
            found = found[:, : self.classes.num_classes] - found[:, self.classes.num_classes :]
        narrow: Float32[np.ndarray, "documents classes"] = found.astype(np.float32)
        return narrow

    def classify(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        logits = self._evidence(texts) / np.float32(self._temperature) + self._log_prior
        return class_log_probs(logits, self.classes)

    def tensors(self) -> dict[str, Array]:
        """Return the tables of each language model, log p(y) and the temperature."""
        return {
            "log_prior": self._log_prior,
            "temperature": np.array(self._temperature),
            **join_tensors(self._models),
        }

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        models = self._untrained()
        others = load_joined(models, tensors)
        if others.keys() != {"log_prior", "temperature"}:
            raise ValueError(f"{', '.join(others)} are not the tensors of n-gram Bayes")
        log_prior, temperature = others["log_prior"], others["temperature"]
        if log_prior.shape != self._log_prior.shape or log_prior.dtype != np.float32:
            raise ValueError("the prior does not fit the labels")
        if not np.isfinite(log_prior).all():
            raise ValueError("the prior has no finite numbers")
        if temperature.shape != () or temperature.dtype.kind != "f" or not 0 < temperature < np.inf:
            raise ValueError("the temperature is no number above 0")
        self._models, self._log_prior = models, log_prior
        self._temperature = float(temperature)

    def num_parameters(self) -> int:
        """Return the number of n-grams of all models, of labels, and the temperature."""
        return sum(model.num_parameters() for model in self._models) + len(self._log_prior) + 1
