"""The recipe of a sweep: an ordinary recipe with a table ``[sweep]``, the search space.

::

    text = "names"
    model = "mlp"

    [sweep]
    trials = 30
    sampler = "tpe"

    [sweep.space]
    hidden_size = [100, 300]
    lr = {low = 1e-3, high = 1e-1, log = true}
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from thence.corpus.loading import EMPTY
from thence.errors import SettingError, nearest
from thence.models.registry import DEFAULT_CLASSIFIER, DEFAULT_MODEL, get_family, is_classifier
from thence.recipes.options import seconds_of
from thence.recipes.recipe import (
    Recipe,
    flat_settings,
    known_settings,
    make_recipe,
    read_toml,
    setting_groups,
)
from thence.settings import PositiveInt, Seed, Settings, as_in_file, declared_types, validate
from thence.sweeps.space import Choices, Range, Space, grid_points, read_dimension

LARGEST_GRID = 10_000
"""Most points that a grid may have: a larger one is a mistake more often than a plan."""

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["none", "asha", "hyperband", "median"]


@dataclass(frozen=True)
class SweepOptions(Settings):
    """How the search space is explored."""

    trials: PositiveInt | None = None
    """Number of trials (default for a grid: every point once)."""
    time: str | None = None
    """Begin no trial after this time, such as 90s, 30m or 2h; pauses do not count."""
    sampler: Sampler = "tpe"
    """What is tried next: what is like the best so far (tpe), anything (random), or every \
combination in order (grid; also tpe where the trials suffice for it, which would repeat some)."""
    pruner: Pruner = "none"
    """Which trials are ended early, at an evaluation on dev."""
    seed: Seed = 42
    """Seed of what is tried."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.seconds  # Raises SettingError for an invalid time.

    @property
    def seconds(self) -> float | None:
        """The time limit in seconds."""
        return seconds_of(self.time)


def _read_options(table: Mapping[str, Any]) -> SweepOptions:
    """Return the settings of the table ``[sweep]``."""
    names = list(declared_types(SweepOptions))
    for name in table:
        if name not in names:
            raise SettingError(
                f"there is no setting `{name}` in [sweep]; the settings are "
                f"{', '.join(names)} and the table space." + nearest(name, [*names, "space"], "`")
            )
    return SweepOptions(**table)


@dataclass(frozen=True)
class SweepRecipe:
    """A recipe with a search space.

    Attributes:
        text: Path or name of the text to train on.
        model: Name of the family; the first one if the space has several.
        settings: Flat settings that all trials have in common.
        space: The settings that differ between trials, with their values.
        options: How the space is explored.
    """

    text: str
    model: str
    settings: Mapping[str, Any]
    space: Space
    options: SweepOptions

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the model families in the search space."""
        several = self.space.get("model")
        return several.values if isinstance(several, Choices) else (self.model,)

    @property
    def trials(self) -> int | None:
        """The maximum number of trials; None where only a time limit ends the sweep."""
        if not self.is_grid:
            return self.options.trials
        points = len(self.grid())
        return min(points, self.options.trials or points)

    @property
    def is_grid(self) -> bool:
        """Whether every combination is tried: asked for, or the trials suffice (``tpe``)."""
        if self.options.sampler != "tpe":
            return self.options.sampler == "grid"
        left = self.options.trials or 0
        for dimension in self.space.values():
            left //= len(dimension) or left + 1
        return left > 0

    def names_for(self, model: str) -> list[str]:
        """Return the names in the space that are settings of a model."""
        known = known_settings(model)
        return [name for name in self.space if name in known]

    def grid(self) -> list[dict[str, Any]]:
        """Return every combination of values; each family only has its own settings."""
        found: list[dict[str, Any]] = []
        for model in self.models:
            fixed = {"model": Choices((model,))} if "model" in self.space else {}
            own = {name: self.space[name] for name in self.names_for(model)}
            found += grid_points({**fixed, **own})
        return found

    def any_recipe(self) -> Recipe:
        """Return the recipe of some trial; all trials have the same text, read the same way."""
        own = {name: self.space[name].ends()[0] for name in self.names_for(self.models[0])}
        return self.recipe_of({"model": self.models[0], **own})

    def recipe_of(self, point: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a trial, given its values of the space."""
        model = str(point.get("model", self.model))
        settings = {**self.settings, **point}
        settings.pop("model", None)
        if len(self.models) > 1:  # Without settings that only the other models have.
            known = known_settings(model)
            settings = {name: value for name, value in settings.items() if name in known}
        return make_recipe(self.text, model, settings)


def read_sweep_recipe(
    path: Path,
    trials: PositiveInt | None = None,
    time: str | None = None,
    named: Mapping[str, Any] = EMPTY,
) -> SweepRecipe:
    """Read the recipe of a sweep.

    Args:
        path: The recipe, a TOML file.
        trials: Number of trials, in place of the recipe's.
        time: Time limit, in place of the recipe's.
        named: ``text``, ``dev`` and ``test`` in place of those of the recipe.

    Raises:
        SettingError: If the recipe is not valid.
    """
    content = read_toml(path)
    table = content.pop("sweep", None)
    if not isinstance(table, dict) or not isinstance(table.get("space"), dict):
        raise SettingError(
            f"{path} does not say what to try; give it a table [sweep] with trials = 30, and a "
            "table [sweep.space] with the fields and their values."
        )
    try:
        options = _read_options({name: value for name, value in table.items() if name != "space"})
        options = replace(
            options,
            trials=options.trials if trials is None else trials,
            time=options.time if time is None else time,
        )
        recipe = _read({**flat_settings(content), **named}, table["space"], options)
    except SettingError as error:
        raise SettingError(f"{path}: {as_in_file(error)}") from error
    return recipe


def _read(
    settings: dict[str, Any], written: Mapping[str, Any], options: SweepOptions
) -> SweepRecipe:
    if "text" not in settings:
        raise SettingError("the recipe does not say its 'text'.")
    text = validate("text", settings.pop("text"), str)
    default = DEFAULT_CLASSIFIER if "label" in settings else DEFAULT_MODEL
    model = settings.pop("model", default)
    space: dict[str, Choices | Range] = {}
    if "model" in written:
        space["model"] = read_dimension("model", written["model"], ())
    models = space["model"].ends() if "model" in space else (model,)
    _check_models(models)
    for name, value in written.items():
        if name != "model":
            _check_name(name, models)
            space[name] = read_dimension(name, value, _numbers(name, models))
    if not space:
        raise SettingError("[sweep.space] is empty; name at least one field with its values.")
    known = {name for one in models for name in known_settings(one)}
    if stray := [name for name in settings if name not in known]:
        make_recipe(
            text, models[0], {stray[0]: settings[stray[0]]}
        )  # Raises SettingError with the reason.
    recipe = SweepRecipe(text, str(models[0]), settings, space, options)
    _check_values(recipe)
    return recipe


def _check_models(models: tuple[Any, ...]) -> None:
    for model in models:
        if get_family(validate("model", model, str)).method == "combine":
            raise SettingError("a mixture is made of runs, not trained; sweep over its runs.")
    if len({is_classifier(model) for model in models}) > 1:
        raise SettingError(
            f"the models {', '.join(models)} are not all classifiers or all language models; "
            "their losses cannot be compared. Make a sweep of each kind."
        )


def _check_name(name: str, models: tuple[str, ...]) -> None:
    known = {key: group for model in models for key, group in known_settings(model).items()}
    if name == "text" or known.get(name) in ("reading", "splitting", "labelling"):
        raise SettingError(
            f"'{name}' cannot be in the space: it changes what is evaluated, and trials on "
            "different dev splits cannot be compared. Set it for all trials, outside [sweep]."
        )
    if name not in known:
        raise SettingError(
            f"there is no setting '{name}' for {', '.join(models)}, so it cannot be in the space."
            + nearest(name, [*known, "model"])
        )
    if known[name] == "tokens" and not is_classifier(models[0]):
        raise SettingError(
            f"'{name}' cannot be in the space of a language model: losses per token cannot be "
            "compared where the tokens differ. Make a sweep of each, and thence compare the best."
        )


def _numbers(name: str, models: tuple[str, ...]) -> tuple[type, ...]:
    """Return which of ``int`` and ``float`` a setting may be."""
    model = next(model for model in models if name in known_settings(model))
    group = known_settings(model)[name]
    kind = setting_groups(model)[group]
    hint = get_type_hints(kind)[name]
    return tuple(one for one in (get_args(hint) or (hint,)) if one in (int, float))


def _check_values(recipe: SweepRecipe) -> None:
    """Raise SettingError if a value of the space, or a point of the grid, is not valid."""
    if recipe.options.sampler == "grid":
        points = recipe.grid()
        if len(points) > LARGEST_GRID:
            raise SettingError(
                f'the grid has {len(points):,} points; take fewer values, or sampler = "tpe".'
            )
    else:
        if recipe.options.trials is None and recipe.options.seconds is None:
            raise SettingError('[sweep] names no end; give it trials = 30, or time = "10m".')
        points = []
    for model in recipe.models:
        own = {name: recipe.space[name] for name in recipe.names_for(model)}
        first = {name: dimension.ends()[0] for name, dimension in own.items()}
        points += [{"model": model, **first}]
        points += [
            {"model": model, **first, name: value}
            for name, dimension in own.items()
            for value in dimension.ends()
        ]
    for point in points:
        recipe.recipe_of(point)
