"""The table of model families, for language and for labels, open to those of other packages.

A family is one entry: what it is for, how it learns, and where its code is. The code is imported
when a model is made, so that reading the table, and counting, never wait for torch.

A package adds a family with an entry point, a script with ``register_model``::

    [project.entry-points."thence.models"]
    decaying-unigram = "decaying_unigram:FAMILY"

Only entry points of installed packages count, so opening a run never executes code that came with
the run. They are looked up when a name is none of ours, which start-up never waits for.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from importlib import import_module
from typing import Any, Literal, cast, get_args

from thence.errors import SettingError, nearest
from thence.models.base import Classes, Classifier, LanguageModel
from thence.plugins import Plugins
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
        name: What ``--model`` calls it: small letters, digits and hyphens.
        task: ``language``: predicts the next token. ``labels``: predicts the label of a document.
        method: How it learns: ``fit`` to all data at once, ``train`` by gradient steps, or
            ``combine`` other runs.
        options: The frozen dataclass of its settings, each with a default; or ``module:name``.
        make: Makes a model that has learned nothing yet, from its options, the vocabulary size
            and, for labels, the classes; or ``module:name``.
        summary: One line for help and documentation.
        reads_sequences: Whether it reads any number of tokens in order, with a state, rather than
            a window of fixed width or a bag of words.
        window: Whether the setting ``context`` is the width of the window that it reads.
        word_vectors: Whether the setting ``vectors`` names word vectors that it begins with.
        pretrained: Whether the settings ``start_from`` and ``encoder`` hold a language model that
            it begins with.
        adapts: Whether it remembers the text that it is evaluated on, as a cache does.
        bags: Whether it is trained on bags of features, whose steps gain nothing from threads.
        truncates: Whether it reads only the first ``max_length`` tokens of a document.
        training: Training settings where none are given.
        epochs: Passes over the train split where neither steps nor epochs are given.
        supplier: The package and version that it comes from, as pip writes it
            (``decaying-unigram==0.1``); empty for those of thence.
    """

    name: str
    task: Task
    method: Method
    options: type[Any] | str
    make: Callable[..., Any] | str
    summary: str
    reads_sequences: bool = False
    window: bool = False
    word_vectors: bool = False
    pretrained: bool = False
    adapts: bool = False
    bags: bool = False
    truncates: bool = False
    training: Mapping[str, Any] = field(default_factory=lambda: WINDOWS)
    epochs: float = 5.0
    supplier: str = ""

    def options_class(self) -> type[Any]:
        """Return the dataclass of this family's settings."""
        return cast(type[Any], _imported(self.options))

    def make_options(self, settings: Mapping[str, Any]) -> Any:
        """Return settings by name, as a file has them, as the dataclass."""
        kept = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
        return self.options_class()(**kept)

    def language_model(self, options: Any, vocabulary_size: int) -> LanguageModel:
        """Make a language model that has learned nothing yet."""
        return cast(LanguageModel, _imported(self.make)(options, vocabulary_size))

    def classifier(self, options: Any, vocabulary_size: int, classes: Classes) -> Classifier:
        """Make a classifier that has learned nothing yet."""
        return cast(Classifier, _imported(self.make)(options, vocabulary_size, classes))


def _imported(thing: Any) -> Any:
    """Return a class or function, or what ``module:name`` says."""
    if not isinstance(thing, str):
        return thing
    module, _, name = thing.partition(":")
    return getattr(import_module(module), name)


def _built_in(
    task: Task, name: str, method: Method, options: str, make: str, summary: str, **facts: Any
) -> Family:
    """Return the entry of a family of this package.

    Args:
        task: What it is for.
        name: What ``--model`` calls it.
        method: How it learns.
        options: The dataclass of its settings, ``module:name`` below ``thence.models``.
        make: What makes a model, likewise.
        summary: One line for help.
        facts: The other attributes of a family.
    """
    within = "thence.models."
    return Family(name, task, method, within + options, within + make, summary, **facts)


_language, _labels = partial(_built_in, "language"), partial(_built_in, "labels")
_recurrent = partial(
    _language,
    method="train",
    make="language.recurrent:create",
    reads_sequences=True,
    training=SEQUENCES,
)
_TABLE = (
    _language(
        "bigram-counts", "fit",
        "language.bigram_counts:BigramCountsOptions", "language.bigram_counts:BigramCounts",
        "counts of symbol pairs with add-k smoothing",
    ),
    _language(
        "ngram", "fit", "ngram:NGramOptions", "ngram:NGram",
        "counts of up to N symbols, smoothed: modified Kneser-Ney and others",
    ),
    _language(
        "cache", "fit", "language.cache:CacheOptions", "language.cache:Cache",
        "counts of the last few hundred symbols; for mixing with others on running text",
        adapts=True,
    ),
    _language(
        "bigram", "train", "language.options:BigramOptions", "language.bigram:create",
        "a network of one linear layer on a one-hot input: bigram counts, learned",
    ),
    _language(
        "mlp", "train", "language.options:MLPOptions", "language.mlp:create",
        "embeddings of a fixed window, tanh layers, softmax (Bengio et al. 2003)",
        window=True,
    ),
    _recurrent(
        "rnn", options="language.options:RNNOptions",
        summary="a recurrent network of tanh units (Elman 1990, Mikolov et al. 2010)",
    ),
    _recurrent(
        "lstm", options="language.options:LSTMOptions",
        summary="long short-term memory: a recurrent network with gates and cells",
    ),
    _recurrent(
        "gru", options="language.options:GRUOptions",
        summary="gated recurrent units: gates without cells",
    ),
    _language(
        "transformer", "train",
        "language.options:TransformerOptions", "language.transformer:create",
        "attention to the last places, layer upon layer (Vaswani et al. 2017)",
        reads_sequences=True, training=SEQUENCES,
    ),
    _language(
        "mixture", "combine", "language.mixture:MixtureOptions", "language.mixture:Mixture",
        "a weighted average of runs, made by thence mix",
    ),
    _labels(
        "averaging", "train", "labels.averaging:AveragingOptions", "labels.averaging:Averaging",
        "the mean of the embeddings of words and runs of words (fastText, deep averaging)",
        word_vectors=True, bags=True, epochs=2.0,
        training={"batch_size": 64, "lr": 0.2, "optimizer": "adagrad"},
    ),
    _labels(
        "finetuned", "train",
        "labels.options:FinetunedOptions", "labels.finetuned:FinetunedClassifier",
        "a language model trained here before, with a head on its states (ULMFiT)",
        reads_sequences=True, pretrained=True, truncates=True, epochs=4.0,
        training={**DOCUMENTS, "lr": 0.004},
    ),
    _labels(
        "linear", "fit", "labels.linear:LinearOptions", "labels.linear:Linear",
        "logistic regression on runs of words, weighed by naive Bayes (NBSVM's kind)",
        training=DOCUMENTS,
    ),
    _labels(
        "convolution", "train", "labels.options:ConvolutionOptions", "labels.convolution:create",
        "filters over a few words in a row, the largest of each (Kim 2014)",
        reads_sequences=True, word_vectors=True, truncates=True, epochs=6.0, training=DOCUMENTS,
    ),
    _labels(
        "recurrent", "train", "labels.options:RecurrentOptions", "labels.recurrent:create",
        "an LSTM or GRU that reads a document from both sides",
        reads_sequences=True, word_vectors=True, truncates=True, training=DOCUMENTS,
    ),
    _labels(
        "ensemble", "combine", "labels.ensemble:EnsembleOptions", "labels.ensemble:Ensemble",
        "several runs of classifiers as one, made by thence mix",
        training=DOCUMENTS,
    ),
)  # fmt: skip
FAMILIES = {family.name: family for family in _TABLE}
"""The families known so far, by name: ours, and those of others that were asked for."""

_plugins = Plugins("thence.models", Family, FAMILIES)


def get_family(name: str) -> Family:
    """Return the family of that name, from an installed package if it is none of ours.

    Raises:
        SettingError: If there is none; lists the names and suggests the nearest.
    """
    family = _plugins.find(name)
    if family is None:
        names = model_names()
        elsewhere = MODELS.get(name.lower().replace("_", "-"))
        hint = nearest(name, names) if elsewhere is None else f" Here it is {elsewhere}."
        raise SettingError(f"There is no model '{name}'; choose one of {', '.join(names)}.{hint}")
    return family


def model_names() -> list[str]:
    """Return the names of all families, ours first, then those of installed packages."""
    return _plugins.names()


def families(task: Task) -> dict[str, Family]:
    """Return the families of a task by name, those of installed packages included."""
    found = {name: get_family(name) for name in model_names()}
    return {name: family for name, family in found.items() if family.task == task}


def is_known(name: str) -> bool:
    """Return whether there is a family of that name."""
    return _plugins.find(name) is not None


def suppliers(names: Iterable[str]) -> dict[str, str]:
    """Return the package and version of each of these families that is not ours."""
    return {name: get_family(name).supplier for name in sorted(names) if _plugins.is_added(name)}


def is_classifier(name: str) -> bool:
    """Return whether the family of that name predicts labels."""
    return get_family(name).task == "labels"


def register_model(family: Family) -> Family:
    """Add a family for as long as this Python process lives, and return it.

    A package that others install needs no call: its entry point is found.

    Raises:
        SettingError: If its name is one of ours, or an attribute cannot be what it is.
    """
    for name, value, choices in (
        ("task", family.task, get_args(Task)),
        ("method", family.method, get_args(Method)),
    ):
        if value not in choices:
            raise SettingError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")
    if not isinstance(family.options, str) and not is_dataclass(family.options):
        raise SettingError(f"The options of the model '{family.name}' are not a dataclass.")
    return _plugins.add(family.name, family)


def summaries() -> list[str]:
    """Return a line for each family; for one that was not asked for yet, its package."""
    return [
        f"{name}: {family.summary if (family := FAMILIES.get(name)) else 'of a package installed'}"
        for name in model_names()
    ]
