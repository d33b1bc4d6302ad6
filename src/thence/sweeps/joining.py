"""Whether a process may join a study in a database: it must try the same, on the same text."""

from typing import TYPE_CHECKING, Any

from thence.corpus import load_splits
from thence.errors import RunError, TextError
from thence.runs.sources import text_hashes
from thence.sweeps.folder import content_of, difference
from thence.sweeps.recipe import SweepRecipe

if TYPE_CHECKING:
    import optuna

RECIPE, TEXT = "recipe", "text"
"""Attributes of a study: what stays the same, and the SHA-256 of the splits of its text."""


def check_joined(study: "optuna.Study", recipe: SweepRecipe) -> None:
    """Note in a new study what it tries; see that another is of the same recipe and text.

    Raises:
        RunError: If it is of another recipe.
        TextError: If it is of another text.
    """
    # Paths may differ from machine to machine: the text is compared by what is in it.
    wanted = {
        name: part
        for name, part in content_of(recipe, in_database=True).items()
        if name not in ("text", "storage")
    }
    hashes = _hashes(recipe)
    attributes = study.user_attrs
    if RECIPE not in attributes:
        study.set_user_attr(TEXT, hashes)
        study.set_user_attr(RECIPE, wanted)
        return
    if (what := difference(attributes[RECIPE], wanted)) is not None:
        raise RunError(
            f"The database has a study '{study.study_name}' already, of another recipe: {what}. "
            "Only trials and time may change; choose another name with --study."
        )
    if attributes[TEXT] != hashes:
        raise TextError(
            f"The text {recipe.text} is not the one that the study '{study.study_name}' in the "
            "database was begun with. Give this machine the same text, or begin another sweep with "
            "another --study."
        )


def _hashes(recipe: SweepRecipe) -> dict[str, Any]:
    one = recipe.any_recipe()
    return text_hashes(load_splits(one.text, one.reading, one.splitting, labelling=one.labelling))
