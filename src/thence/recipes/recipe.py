"""A recipe: everything needed to train a model again, as data.

A recipe is written in TOML with one table per group of settings. The keys are the flags of ``thence
train`` with underscores. Each is in one group only, so a recipe can be made from a flat list of
settings.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import tomli_w

from thence.corpus import LabelOptions, ReadingOptions, SplitOptions
from thence.corpus.opening import odd_kind
from thence.errors import SettingError, nearest
from thence.models.registry import FAMILIES, get_family, is_classifier
from thence.recipes.nested_models import check_nested_models
from thence.recipes.options import TrainingOptions
from thence.settings import as_in_file, declared_types, validate
from thence.synonyms import synonyms
from thence.tokens import TokenOptions, WordOptions

GROUPS = {
    "reading": ReadingOptions,
    "splitting": SplitOptions,
    "tokens": TokenOptions,
    "training": TrainingOptions,
}
"""The groups of settings of every language model; ``options`` holds those of its family."""
CLASSIFIER_GROUPS = {**GROUPS, "labelling": LabelOptions, "tokens": WordOptions}
LANGUAGE_ONLY = ("carry_context", "vary_windows")
"""Settings of training that classifiers refuse."""

NOT_SETTINGS = ("model", "output", "config", "progress", "logs")
"""Arguments of ``thence.train`` that are no settings of a recipe."""
FROM_RUN = "from_run"
"""Setting of a recipe that names the run from whose weights the training starts (fine-tuning)."""
PROVENANCE = "provenance"
"""Table of a saved config about its origin; not part of the recipe."""

MAX_BYTES = 16 << 20
"""Largest TOML file, in bytes; configs of mixtures with many members have thousands of bytes."""
DEEP, MAX_DEEP_DOTS = 10, 2000
"""A key with more than ``DEEP`` dots (``a.b.c``) is deep, and the deep keys of a file may have
``MAX_DEEP_DOTS`` in all: the time of Python's TOML parser is quadratic in the parts of a key."""
KEY_ENDS = re.compile(r"[=,\n]")
"""Characters that end a key of TOML outside of quotes."""


@dataclass(frozen=True)
class Recipe:
    """All settings of a training: the text, the model, and how it is read and trained.

    Attributes:
        text: A file, a folder, ``-``, or the name of a bundled or downloaded text; or the name
            given to a text in memory (``runs/sources.py``).
        model: Name of the family.
        options: The family's own settings.
        reading: How files are read.
        splitting: How the text is split into train, dev and test.
        tokens: How the text is tokenized.
        training: How the model is trained.
        labelling: Where the labels are; only for classifiers.
        from_run: The run from whose best weights the training starts; see
            ``training/finetuning.py``.
    """

    text: str
    model: str
    options: Any
    reading: ReadingOptions = field(default_factory=ReadingOptions)
    splitting: SplitOptions = field(default_factory=SplitOptions)
    tokens: TokenOptions = field(default_factory=TokenOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    labelling: LabelOptions | None = None
    from_run: str | None = None

    def __post_init__(self) -> None:
        """Fill in the family's defaults of training; check the settings of a classifier."""
        left_open = {
            name: value
            for name, value in get_family(self.model).training.items()
            if getattr(self.training, name) is None
        }
        object.__setattr__(self, "training", replace(self.training, **left_open))
        if not is_classifier(self.model):
            return
        if self.labelling is None:
            object.__setattr__(self, "labelling", LabelOptions())
        for name in LANGUAGE_ONLY:
            if getattr(self.training, name):
                raise SettingError(
                    f"`{name}` is for language models; {self.model} is a "
                    "classifier, which reads each document by itself. Leave it out."
                )

    @property
    def vectors(self) -> str | None:
        """The file of word vectors that initialises the embeddings; None without one."""
        return self.options.vectors if get_family(self.model).word_vectors else None

    def to_toml(self, provenance: Mapping[str, Any] | None = None) -> str:
        """Return the recipe as TOML; settings that are None are left out."""
        content: dict[str, Any] = {"text": self.text, "model": self.model}
        if self.from_run is not None:
            content[FROM_RUN] = self.from_run
        for group in setting_groups(self.model):
            content[group] = _without_none(asdict(getattr(self, group)))
        if provenance:
            content[PROVENANCE] = dict(provenance)
        return tomli_w.dumps(content)


def _without_none(value: Any) -> Any:
    """Return a value without the items of its tables that are None: TOML has no None."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def make_recipe(text: str | Path, model: str, settings: Mapping[str, Any]) -> Recipe:
    """Make a recipe from flat settings, named like the flags of ``thence train``.

    Raises:
        SettingError: If a name is unknown (the message has the nearest one) or a value is invalid.
    """
    if isinstance(text, Iterable) and not isinstance(text, str):
        raise SettingError(
            "A recipe names its text, as a path or a known name; give texts in memory to "
            "thence.train(texts), thence.best or thence.sweep."
        )
    text, model = validate("text", text, str), validate("model", model, str)
    settings = dict(settings)
    from_run = validate(FROM_RUN, settings.pop(FROM_RUN, None), str | None)
    groups = setting_groups(model)
    known = known_settings(model)
    chosen: dict[str, dict[str, Any]] = {group: {} for group in groups}
    for name, value in settings.items():
        if name not in known:
            raise SettingError(
                f"There is no setting `{name}` for the model '{model}'."
                + (hint_for_unknown(name, model) or nearest(name, [*known, *NOT_SETTINGS], "`"))
            )
        hint = declared_types(groups[known[name]])[name]
        chosen[known[name]][name] = validate(name, value, hint)
    made = {group: kind(**chosen[group]) for group, kind in groups.items()}
    check_nested_models(get_family(model), made["options"])
    return Recipe(str(text), model, **made, from_run=from_run)


def hint_for_unknown(name: str, model: str) -> str:
    """Return a hint for an unknown setting of a model, or "".

    The setting may be another tool's name for one of ours, or a setting of other models.

    >>> hint_for_unknown("learning_rate", "ngram")
    ' Did you mean `lr`?'
    >>> hint_for_unknown("heads", "ngram")
    ' It is for the model transformer, and the model here is ngram; name one with `model`.'
    """
    ours = synonyms("settings").get(name, name)
    known = known_settings(model)
    if ours in known:
        return f" Did you mean `{ours}`?"
    if ours != name and (near := nearest(name, known, "`")):
        return near
    same_task = [one for one in FAMILIES if is_classifier(one) == is_classifier(model)]
    owners = [one for one in same_task if ours in known_settings(one)]
    owners = owners or [one for one in FAMILIES if ours in known_settings(one)]
    if not owners:
        return ""
    subject = "It" if ours == name else f"`{ours}`"
    models = f"the models {', '.join(owners)}" if len(owners) > 1 else f"the model {owners[0]}"
    return f" {subject} is for {models}, and the model here is {model}; name one with `model`."


def known_settings(model: str) -> dict[str, str]:
    """Return the group of every setting of a model by name; ``options`` for the model's own."""
    groups = setting_groups(model).items()
    return {item.name: group for group, kind in groups for item in fields(kind)}


def setting_groups(model: str) -> dict[str, type[Any]]:
    """Return the dataclass of each group of settings; ``options`` are the model's own."""
    groups = CLASSIFIER_GROUPS if is_classifier(model) else GROUPS
    return {"options": get_family(model).options_class(), **groups}


def read_settings(path: Path) -> dict[str, Any]:
    """Read a recipe's TOML into flat settings, ``text`` and ``model`` among them.

    Settings may stand in their group's table or at the top.

    Raises:
        SettingError: If the file cannot be read, is not TOML, or has an unknown table.
    """
    content = read_toml(path)
    try:
        return flat_settings(content)
    except SettingError as error:
        raise SettingError(f"{path}: {as_in_file(error)}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        SettingError: If it cannot be read or is not TOML.
    """
    try:
        return read_toml_file(path)
    except OSError as error:
        raise SettingError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SettingError(f"The recipe {path} is not valid TOML: {error}.") from error


def flat_settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recipe's TOML as one table, whether grouped or at the top level.

    Raises:
        SettingError: If there is an unknown table.
    """
    tables = ("options", *CLASSIFIER_GROUPS, PROVENANCE)
    settings: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            if name not in tables:
                raise SettingError(
                    f"there is no table [{name}] in a recipe; the tables are {', '.join(tables)}."
                    + nearest(name, tables)
                )
            if name != PROVENANCE:
                settings.update(value)
        else:
            settings[name] = value
    return settings


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML file that names its text and its model.

    Raises:
        SettingError: If the file cannot be read or is no valid recipe.
    """
    return recipe_of(read_toml(path), path)


def recipe_of(content: Mapping[str, Any], path: Path) -> Recipe:
    """Return the recipe in the parsed content of a file; ``path`` is for messages.

    Raises:
        SettingError: If it is no valid recipe.
    """
    try:
        settings = flat_settings(content)
        text, model = settings.pop("text"), settings.pop("model")
    except KeyError as error:
        raise SettingError(f"The recipe {path} does not say its {error}.") from error
    except SettingError as error:
        raise SettingError(f"{path}: {as_in_file(error)}") from error
    try:
        return make_recipe(text, model, settings)
    except SettingError as error:
        raise SettingError(f"{path}: {as_in_file(error)}") from error


def read_toml_file(path: Path) -> dict[str, Any]:
    """Return the content of an untrusted TOML file, in bounded time and memory.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no file, too large, not TOML or not UTF-8, or has a number of
            thousands of digits; the message says which.
    """
    kind = odd_kind(path, pipes=True)
    if kind is not None:
        raise ValueError(f"it is {kind}, not a file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    text = data.decode("utf-8")
    dots = (key.count(".") for key in KEY_ENDS.split(text))
    if sum(number for number in dots if number > DEEP) > MAX_DEEP_DOTS:
        raise ValueError("it has keys of too many parts (a.b.c)")
    try:
        return tomllib.loads(text)
    except (RecursionError, MemoryError):
        raise ValueError("it has lists within lists without end") from None
