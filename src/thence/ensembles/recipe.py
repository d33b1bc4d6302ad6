"""A recipe of a mixture: several trainings on one text, and how they are mixed.

The settings at the top apply to all runs; each ``[[runs]]`` adds its model and its own settings;
``[mix]`` holds the settings of ``thence mix``::

    text = "ptb"
    tokens = "words"

    [mix]
    cache = 500

    [[runs]]
    model = "ngram"

    [[runs]]
    model = "lstm"
    carry_context = true
    time = "25m"
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thence.atomic import new_folder
from thence.ensembles.members import MixOptions
from thence.ensembles.mix import check_models, mix_into
from thence.errors import RunError, SettingError, nearest
from thence.models.registry import get_family
from thence.recipes.recipe import Recipe, flat_settings, make_recipe, read_toml
from thence.runs.run import Run
from thence.settings import as_in_file, declared_types
from thence.training.callbacks import ProgressFactory, silent_progress
from thence.training.train import resume, train_recipe


@dataclass(frozen=True)
class MixtureRecipe:
    """The recipes of several runs, and how they are mixed.

    Attributes:
        runs: The recipes of the runs, in order.
        options: The settings of the mixture.
    """

    runs: tuple[Recipe, ...]
    options: MixOptions


def read_mixture_recipe(path: Path) -> MixtureRecipe:
    """Read the recipe of a mixture.

    Raises:
        SettingError: If the file cannot be read or is no valid recipe.
    """
    content = read_toml(path)
    own = content.pop("runs", None)
    mixing = content.pop("mix", {})
    if not isinstance(own, list) or not all(isinstance(run, dict) for run in own):
        raise SettingError(f"{path} names no runs to mix; give each a table [[runs]].")
    known = list(declared_types(MixOptions))
    for name in mixing:
        if name not in known:
            raise SettingError(
                f"{path}: there is no setting '{name}' in [mix]; the settings are "
                f"{', '.join(known)}." + nearest(name, known)
            )
    try:
        options = MixOptions(**mixing)
        common = flat_settings(content)
        recipes = tuple(_recipe(common | flat_settings(run)) for run in own)
        check_models([recipe.model for recipe in recipes], options)
    except (RunError, SettingError) as error:
        raise SettingError(f"{path}: {as_in_file(error)}") from error
    return MixtureRecipe(recipes, options)


def _recipe(settings: dict[str, Any]) -> Recipe:
    try:
        text, model = settings.pop("text"), settings.pop("model")
    except KeyError as error:
        raise SettingError(f"a run does not say its {error}.") from error
    if get_family(model).method == "combine":
        raise SettingError("a run of a mixture cannot be a mixture; name the runs it is made of.")
    return make_recipe(text, model, settings)


def train_mixture(
    config: str | Path, output: str | Path, progress: ProgressFactory = silent_progress
) -> Run:
    """Train every run of a mixture's recipe and mix them.

    The runs are kept beside the mixture, in ``OUTPUT-runs``. Called again after an interruption, it
    reuses finished runs and resumes an unfinished one.

    Args:
        config: The recipe.
        output: The run folder to make.
        progress: Opens the progress listener of each training.

    Raises:
        ThenceError: If the recipe, its text or the output cannot be used.
    """
    recipe = read_mixture_recipe(Path(config))
    output = Path(output)
    folder = output.with_name(f"{output.name}-runs")
    with new_folder(output) as new:
        made = []
        for number, part in enumerate(recipe.runs, start=1):
            place = folder / f"{number}-{part.model}"
            if (place / "config.toml").exists():
                made.append(resume(place, progress))
            else:
                made.append(train_recipe(part, place, progress))
        return mix_into(new, made, recipe.options)
