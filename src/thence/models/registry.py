"""The registry of model families, for language and for labels, including those of other packages.

A family is one entry: its task, how it learns, and where its code is. The code is imported when a
model is made, so that neither reading the table nor count models wait for torch.

A package adds a family with an entry point, a script with ``register_model``::

    [project.entry-points."thence.models"]
    decaying-unigram = "decaying_unigram:FAMILY"

Only entry points of installed packages count, so opening a run never executes code that came with
the run. They are looked up only when a name is none of thence's own, so that start-up is quick.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from importlib import import_module
from typing import Any, Literal, cast, get_args

from thence.errors import SettingError, nearest
from thence.models.base import Classes, Classifier, LanguageModel
from thence.models.candidates import Candidate, Kind, Size
from thence.plugins import Plugins
from thence.synonyms import synonyms
from thence.tokens import TokenStore

Task = Literal["language", "labels"]
Method = Literal["fit", "train", "combine"]

WINDOWS: Mapping[str, Any] = {"batch_size": 512, "lr": 0.02, "clip": None, "optimizer": "adamw"}
"""Training settings of networks that read windows of a fixed width, where none are given."""
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
        inference: Makes a model for inference only, without torch, with the arguments and tensors
            of ``make``; or ``module:name``. Empty: the model of ``make`` is used.
        core: The class that trains it with the compiled core, without torch, if its ``fits``
            returns true for the options; or ``module:name``. Empty if there is none.
        reads_sequences: Whether it reads any number of tokens in order, with a state, rather than
            a window of fixed width or a bag of words.
        window: Whether the setting ``context`` is the width of the window that it reads.
        word_vectors: Whether the setting ``vectors`` names pretrained word vectors for its
            embedding.
        pretrained: Whether the settings ``start_from`` and ``encoder`` name a pretrained language
            model.
        adapts: Whether it remembers the text that it is evaluated on, as a cache does.
        bags: Whether it reads bags of features, which its option ``bags`` describes; training on
            them is no faster with several threads.
        unlabelled: Whether ``fit`` takes documents without labels too, as ``unlabelled``.
        truncates: Whether it reads only the first ``max_length`` tokens of a document.
        training: Default training settings.
        epochs: Passes over the train split if neither steps nor epochs are given.
        candidates: The settings with which ``thence best`` tries it, by kind of text.
        size: For trained language models: a function from the kind of text, the units of a hidden
            layer (64 to 1,024) and the options of the candidate to a ``Size``, by which ``thence
            best`` chooses one; or ``module:name``. Without it the options stay at their defaults.
        fit_many: For fitted models: fits several with different options to the same tokens and
            yields each, where that is quicker than one by one; or ``module:name``. Its arguments
            are the models, the tokens, and whether context is carried across documents.
        supplier: The package and version that it comes from, as pip writes it
            (``decaying-unigram==0.1``); empty for those of thence.
    """

    name: str
    task: Task
    method: Method
    options: type[Any] | str
    make: Callable[..., Any] | str
    summary: str
    inference: Callable[..., Any] | str = ""
    core: Callable[..., Any] | str = ""
    reads_sequences: bool = False
    window: bool = False
    word_vectors: bool = False
    pretrained: bool = False
    adapts: bool = False
    bags: bool = False
    unlabelled: bool = False
    truncates: bool = False
    training: Mapping[str, Any] = field(default_factory=lambda: WINDOWS)
    epochs: float = 5.0
    candidates: Mapping[Kind, Sequence[Candidate]] = field(default_factory=dict)
    size: Callable[..., Size] | str | None = None
    fit_many: Callable[..., Iterable[Any]] | str | None = None
    supplier: str = ""

    def options_class(self) -> type[Any]:
        """Return the dataclass of this family's settings."""
        return cast(type[Any], _imported(self.options))

    def make_options(self, settings: Mapping[str, Any]) -> Any:
        """Return the options dataclass of settings by name; lists of a file become tuples."""
        kept = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
        return self.options_class()(**kept)

    def language_model(
        self, options: Any, vocabulary_size: int, inference: bool = False
    ) -> LanguageModel:
        """Make an untrained language model.

        Args:
            options: Its settings.
            vocabulary_size: Number of ids.
            inference: Make the variant for inference, which only needs its tensors loaded.
        """
        return cast(LanguageModel, self._maker(inference)(options, vocabulary_size))

    def classifier(
        self, options: Any, vocabulary_size: int, classes: Classes, inference: bool = False
    ) -> Classifier:
        """Make an untrained classifier; see ``language_model``."""
        return cast(Classifier, self._maker(inference)(options, vocabulary_size, classes))

    def in_core(self) -> Any:
        """Return the class that trains it with the compiled core; None if there is none."""
        return _imported(self.core) if self.core else None

    def _maker(self, inference: bool) -> Any:
        return _imported(self.inference if inference and self.inference else self.make)

    def fit_all(
        self, models: Sequence[Any], store: TokenStore, carry_context: bool
    ) -> Iterator[Any]:
        """Fit language models to the same text, and yield each when it is fitted."""
        if self.fit_many is not None:
            yield from _imported(self.fit_many)(models, store, carry_context)
            return
        for model in models:
            model.fit(store, carry_context)
            yield model

    def sized(self, kind: Kind, hidden: int, options: Mapping[str, Any]) -> Size:
        """Return the settings of a network with so many hidden units; only if it has ``size``."""
        return cast(Size, _imported(self.size)(kind, hidden, **options))


def _imported(thing: Any) -> Any:
    """Import ``module:name``; return anything but a string unchanged."""
    if not isinstance(thing, str):
        return thing
    module, _, name = thing.partition(":")
    return getattr(import_module(module), name)


FAMILIES: dict[str, Family] = {}
"""The families known so far, by name: thence's own (``families.py``), and others already used."""

_plugins = Plugins("thence.models", Family, FAMILIES)


def add_built_in(families: Iterable[Family]) -> None:
    """Add families of thence's own, whose names other packages cannot take."""
    _plugins.add_built_in({family.name: family for family in families})


def get_family(name: str) -> Family:
    """Return the family of that name, from an installed package if it is not thence's own.

    Raises:
        SettingError: If there is no such family; lists the names and suggests the nearest.
    """
    family = _plugins.find(name)
    if family is None:
        names = model_names()
        elsewhere = synonyms("models").get(name.lower().replace("_", "-"))
        hint = nearest(name, names) if elsewhere is None else f" Here it is {elsewhere}."
        raise SettingError(f"There is no model '{name}'; choose one of {', '.join(names)}.{hint}")
    return family


def model_names() -> list[str]:
    """Return the names of all families, thence's own first, then those of installed packages."""
    return _plugins.names()


def families(task: Task) -> dict[str, Family]:
    """Return the families of a task by name, those of installed packages included."""
    found = {name: get_family(name) for name in model_names()}
    return {name: family for name, family in found.items() if family.task == task}


def is_known(name: str) -> bool:
    """Return whether there is a family of that name."""
    return _plugins.find(name) is not None


def suppliers(names: Iterable[str]) -> dict[str, str]:
    """Return the package and version of those of these families that are not thence's own."""
    return {name: get_family(name).supplier for name in sorted(names) if _plugins.is_added(name)}


def is_classifier(name: str) -> bool:
    """Return whether the family of that name predicts labels."""
    return get_family(name).task == "labels"


def register_model(family: Family) -> Family:
    """Add a family for as long as this Python process lives, and return it.

    A package that others install needs no call: its entry point is found.

    Raises:
        SettingError: If its name is one of thence's own, or an attribute has a wrong value.
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
    """Return a line of help for each family; those of other packages may not be loaded yet."""
    return [
        f"{name}: {family.summary if (family := FAMILIES.get(name)) else 'of a package installed'}"
        for name in model_names()
    ]
