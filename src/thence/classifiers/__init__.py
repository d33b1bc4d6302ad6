"""Classifiers: one file per family, and the table that names them.

Adding a family touches its file, one line of ``CLASSIFIERS`` and its test (see CONTRIBUTING.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, cast

from thence.classifiers.interface import Classes, Classifier, FittedClassifier

SEQUENCES: Mapping[str, Any] = {"batch_size": 50, "lr": 0.002, "clip": 5.0, "optimizer": "adamw"}
"""Defaults of training for networks that read sequences."""


@dataclass(frozen=True)
class ClassifierFamily:
    """One line of the table of classifiers.

    Attributes:
        module: Where ``create(options, vocabulary_size, classes)`` is; imported when asked for.
        options: Name of the dataclass of settings in that module.
        kind: ``fitted`` to all documents at once, ``trained`` by the loop, or ``mixed`` from other
            runs.
        summary: One line for help and documentation.
        defaults: Settings of training that stand for what is not given.
        usual_epochs: Passes over the train split where nothing else is asked for.
    """

    module: str
    options: str
    kind: Literal["fitted", "trained", "mixed"]
    summary: str
    defaults: Mapping[str, Any] = field(default_factory=lambda: SEQUENCES)
    usual_epochs: float = 5.0

    def options_class(self) -> type[Any]:
        """Return the dataclass of this family's settings."""
        return cast(type[Any], getattr(import_module(self.module), self.options))

    def create(self, options: Any, vocabulary_size: int, classes: Classes) -> Classifier:
        """Make a classifier that has learned nothing yet."""
        create = import_module(self.module).create
        return cast(Classifier, create(options, vocabulary_size, classes))


CLASSIFIERS = {
    "averaging": ClassifierFamily(
        "thence.classifiers.averaging",
        "AveragingOptions",
        "trained",
        "the mean of the embeddings of words and runs of words (fastText, deep averaging)",
        {"batch_size": 64, "lr": 0.2, "optimizer": "adagrad"},
        usual_epochs=2.0,
    ),
    "finetuned": ClassifierFamily(
        "thence.classifiers.finetuned",
        "FinetunedOptions",
        "trained",
        "a language model trained here before, with a head on its states (ULMFiT)",
        {**SEQUENCES, "lr": 0.004},
        usual_epochs=4.0,
    ),
    "linear": ClassifierFamily(
        "thence.classifiers.linear",
        "LinearOptions",
        "fitted",
        "logistic regression on runs of words, weighed by naive Bayes (NBSVM's kind)",
    ),
    "convolution": ClassifierFamily(
        "thence.classifiers.convolution",
        "ConvolutionOptions",
        "trained",
        "filters over a few words in a row, the largest of each (Kim 2014)",
        usual_epochs=6.0,
    ),
    "recurrent": ClassifierFamily(
        "thence.classifiers.recurrent",
        "RecurrentOptions",
        "trained",
        "an LSTM or GRU that reads a document from both sides",
    ),
    "ensemble": ClassifierFamily(
        "thence.classifiers.ensemble",
        "EnsembleOptions",
        "mixed",
        "several runs of classifiers as one, made by thence mix",
    ),
}


__all__ = ["CLASSIFIERS", "Classes", "Classifier", "ClassifierFamily", "FittedClassifier"]
