"""The table of all model families, for language and for labels.

A family is one line here: what it is for, how it learns, and where its code is. The module is
imported when a model is made, so that reading the table, and counting, never wait for torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, cast

from thence.errors import SettingError, nearest
from thence.models.base import LanguageModel
from thence.models.labels.base import Classes, Classifier
from thence.synonyms import MODELS

Task = Literal["language", "labels"]
Method = Literal["fit", "train", "combine"]

WINDOWS: Mapping[str, Any] = {"batch_size": 512, "lr": 0.02, "clip": None, "optimizer": "adamw"}
"""Training settings of networks that read windows of a fixed width, where none are given."""
SEQUENCES: Mapping[str, Any] = {"batch_size": 32, "lr": 0.004, "clip": 5.0, "optimizer": "adamw"}
"""Training settings of language models that read sequences, where none are given."""
DOCUMENTS: Mapping[str, Any] = {"batch_size": 50, "lr": 0.002, "clip": 5.0, "optimizer": "adamw"}
"""Training settings of classifiers that read sequences, where none are given."""
DEFAULT_MODEL, DEFAULT_CLASSIFIER = "mlp", "averaging"


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        name: What ``--model`` calls it.
        task: ``language``: predicts the next token. ``labels``: tells the label of a document.
        method: How it learns: ``fit`` to all data at once, ``train`` by gradient steps, or
            ``combine`` other runs.
        module: Where its ``create`` function is.
        options: Name of the dataclass of its settings in that module.
        summary: One line for help and documentation.
        reads_sequences: Whether it reads any number of tokens in order, with a state, rather than
            a window of fixed width or a bag of words.
        defaults: Training settings where none are given.
        epochs: Passes over the train split where neither steps nor epochs are given.
    """

    name: str
    task: Task
    method: Method
    module: str
    options: str
    summary: str
    reads_sequences: bool = False
    defaults: Mapping[str, Any] = field(default_factory=lambda: WINDOWS)
    epochs: float = 5.0

    def options_class(self) -> type[Any]:
        """Return the dataclass of this family's settings."""
        return cast(type[Any], getattr(import_module(self.module), self.options))

    def create(self, options: Any, vocabulary_size: int) -> LanguageModel:
        """Make a language model that has learned nothing yet."""
        create = import_module(self.module).create
        return cast(LanguageModel, create(options, vocabulary_size))

    def create_classifier(self, options: Any, vocabulary_size: int, classes: Classes) -> Classifier:
        """Make a classifier that has learned nothing yet."""
        create = import_module(self.module).create
        return cast(Classifier, create(options, vocabulary_size, classes))


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "bigram-counts",
            "language",
            "fit",
            "thence.models.language.bigram_counts",
            "BigramCountsOptions",
            "counts of symbol pairs with add-k smoothing",
        ),
        Family(
            "ngram",
            "language",
            "fit",
            "thence.models.ngram",
            "NGramOptions",
            "counts of up to N symbols, smoothed: modified Kneser-Ney and others",
        ),
        Family(
            "cache",
            "language",
            "fit",
            "thence.models.language.cache",
            "CacheOptions",
            "counts of the last few hundred symbols; for mixing with others on running text",
        ),
        Family(
            "bigram",
            "language",
            "train",
            "thence.models.language.bigram",
            "BigramOptions",
            "a network of one linear layer on a one-hot input: bigram counts, learned",
        ),
        Family(
            "mlp",
            "language",
            "train",
            "thence.models.language.mlp",
            "MLPOptions",
            "embeddings of a fixed window, tanh layers, softmax (Bengio et al. 2003)",
        ),
        Family(
            "rnn",
            "language",
            "train",
            "thence.models.language.recurrent",
            "RNNOptions",
            "a recurrent network of tanh units (Elman 1990, Mikolov et al. 2010)",
            reads_sequences=True,
            defaults=SEQUENCES,
        ),
        Family(
            "lstm",
            "language",
            "train",
            "thence.models.language.recurrent",
            "LSTMOptions",
            "long short-term memory: a recurrent network with gates and cells",
            reads_sequences=True,
            defaults=SEQUENCES,
        ),
        Family(
            "gru",
            "language",
            "train",
            "thence.models.language.recurrent",
            "GRUOptions",
            "gated recurrent units: gates without cells",
            reads_sequences=True,
            defaults=SEQUENCES,
        ),
        Family(
            "transformer",
            "language",
            "train",
            "thence.models.language.transformer",
            "TransformerOptions",
            "attention to the last places, layer upon layer (Vaswani et al. 2017)",
            reads_sequences=True,
            defaults=SEQUENCES,
        ),
        Family(
            "mixture",
            "language",
            "combine",
            "thence.models.mixture",
            "MixtureOptions",
            "a weighted average of runs, made by thence mix",
        ),
        Family(
            "averaging",
            "labels",
            "train",
            "thence.models.labels.averaging",
            "AveragingOptions",
            "the mean of the embeddings of words and runs of words (fastText, deep averaging)",
            defaults={"batch_size": 64, "lr": 0.2, "optimizer": "adagrad"},
            epochs=2.0,
        ),
        Family(
            "finetuned",
            "labels",
            "train",
            "thence.models.labels.finetuned",
            "FinetunedOptions",
            "a language model trained here before, with a head on its states (ULMFiT)",
            reads_sequences=True,
            defaults={**DOCUMENTS, "lr": 0.004},
            epochs=4.0,
        ),
        Family(
            "linear",
            "labels",
            "fit",
            "thence.models.labels.linear",
            "LinearOptions",
            "logistic regression on runs of words, weighed by naive Bayes (NBSVM's kind)",
            defaults=DOCUMENTS,
        ),
        Family(
            "convolution",
            "labels",
            "train",
            "thence.models.labels.convolution",
            "ConvolutionOptions",
            "filters over a few words in a row, the largest of each (Kim 2014)",
            reads_sequences=True,
            defaults=DOCUMENTS,
            epochs=6.0,
        ),
        Family(
            "recurrent",
            "labels",
            "train",
            "thence.models.labels.recurrent",
            "RecurrentOptions",
            "an LSTM or GRU that reads a document from both sides",
            reads_sequences=True,
            defaults=DOCUMENTS,
        ),
        Family(
            "ensemble",
            "labels",
            "combine",
            "thence.models.labels.ensemble",
            "EnsembleOptions",
            "several runs of classifiers as one, made by thence mix",
            defaults=DOCUMENTS,
        ),
    )
}
LANGUAGE_MODELS = {name: family for name, family in FAMILIES.items() if family.task == "language"}
CLASSIFIERS = {name: family for name, family in FAMILIES.items() if family.task == "labels"}


def get_family(name: str) -> Family:
    """Return the family of that name.

    Raises:
        SettingError: If there is none; lists the names and suggests the nearest.
    """
    if name not in FAMILIES:
        elsewhere = MODELS.get(name.lower().replace("_", "-"))
        hint = nearest(name, FAMILIES) if elsewhere is None else f" Here it is {elsewhere}."
        raise SettingError(
            f"There is no model '{name}'; choose one of {', '.join(FAMILIES)}.{hint}"
        )
    return FAMILIES[name]


def is_classifier(name: str) -> bool:
    """Return whether the family of that name tells labels."""
    return get_family(name).task == "labels"
