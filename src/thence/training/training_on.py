"""Training on from a run: its best weights, its tokens and its settings, unless told otherwise.

What is made is a run of its own. What the weights are numbers of cannot change: the model, its
sizes, its tokens, its labels. How they are trained can, and so can the text.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from thence.corpus import LabelledDocuments, Splits
from thence.errors import RunError, SettingError
from thence.models.registry import get_family
from thence.recipes.recipe import FROM_RUN, Recipe, flat_settings
from thence.runs import ClassifierRun
from thence.runs.files import load_metadata
from thence.runs.provenance import FROM
from thence.runs.run import Run, named_splits
from thence.runs.sources import named_sources

DURATION_SETTINGS = ("epochs", "steps", "time")
"""Settings that say when a training ends: where one is given, those of the run do not count."""
MACHINE_SETTINGS = ("threads", "precision", "device")
"""Settings that a training chooses for the machine that it is on."""
TEXT_SETTINGS = ("dev", "test", "column", "encoding", "errors")
"""Settings that belong to the text of a run, and say nothing of another."""
CHANGEABLE_SETTINGS = ("unfreeze", "layer_ratio", "max_length", "start_from")
"""Settings of models that change no weight; those of dropout likewise."""


def settings_from_run(parent: Run, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run, as those of a recipe that goes on from it.

    Args:
        parent: The run.
        given: Settings that come before those of the run; with another ``text``, those that belong
            to the run's own are left out.

    Returns:
        All settings by name, ``text``, ``model`` and ``from_run`` among them.

    Raises:
        SettingError: If another model is asked for.
        RunError: If the run has no weights to go on from, or no text and none is given.
    """
    _check_parent(parent)
    model = given.get("model", parent.recipe.model)
    if model != parent.recipe.model:
        raise SettingError(
            f"--model is {model}, but {parent.folder} is a run of {parent.recipe.model}, and what "
            "goes on from it is the same model. Leave --model out, or --from."
        )
    settings = flat_settings(tomllib.loads(parent.recipe.to_toml()))
    left_out = set(MACHINE_SETTINGS)
    if any(name in given for name in DURATION_SETTINGS):
        left_out |= set(DURATION_SETTINGS)
    if (text := given.get("text")) is not None and not is_same_text(text, parent.recipe.text):
        left_out |= set(TEXT_SETTINGS)
    else:
        settings |= _texts_of(parent)
    settings = {name: value for name, value in settings.items() if name not in left_out}
    return {**settings, **given, "model": model, FROM_RUN: str(parent.folder.resolve())}


def is_same_text(one: Any, other: str) -> bool:
    """Return whether two recipes name the same text, as far as names tell."""
    if not isinstance(one, str | Path):
        return False
    return str(one) == other or Path(one).absolute() == Path(other).absolute()


def _check_parent(parent: Run) -> None:
    """Refuse a run that was not trained step by step."""
    method = get_family(parent.recipe.model).method
    if method != "train":
        how = (
            "is made of other runs"
            if method == "combine"
            else "is made in one go, not step by step"
        )
        again = "mix runs again" if method == "combine" else "train again with other settings"
        raise RunError(
            f"{parent.folder} is a run of {parent.recipe.model}, which {how}: there is no training "
            f"to go on with. Leave --from out and {again}."
        )


def _texts_of(parent: Run) -> dict[str, str]:
    """Return where the texts of a run are read: in its folder, if they could be read only once."""
    found = {}
    for role, name in named_sources(parent.recipe).items():
        if role in parent.kept:
            if not parent.kept[role]:
                raise RunError(
                    f"{parent.folder} has not kept its {role}, only the hash of it; give the text "
                    "again: thence train TEXT --from RUN."
                )
            name = str(parent.folder.resolve() / parent.kept[role])
        found[role] = name
    return found


def parent_run(recipe: Recipe) -> Run | None:
    """Return the run that a training goes on from, if there is one."""
    return None if recipe.from_run is None else Run(recipe.from_run)


def continue_from(recipe: Recipe, parent: Run) -> Recipe:
    """Return a recipe that goes on from a run, with the full path of that.

    Raises:
        SettingError: If it asks for what cannot change.
        RunError: If there is no training to go on with.
    """
    _check_parent(parent)
    if recipe.model != parent.recipe.model:
        settings_from_run(parent, {"model": recipe.model})  # Refuses it.
    return replace(
        recipe,
        options=_with_what_stays(recipe.options, parent.recipe.options, parent),
        tokens=_with_what_stays(recipe.tokens, parent.recipe.tokens, parent),
        from_run=str(parent.folder.resolve()),
    )


def _with_what_stays(own: Any, its: Any, parent: Run) -> Any:
    """Return settings with those of the run where they are open, unless others cannot be."""
    open_ones = {}
    for item in fields(its):
        asked, is_now = getattr(own, item.name), getattr(its, item.name)
        if asked is None:
            open_ones[item.name] = is_now
        elif (
            asked != is_now and "dropout" not in item.name and item.name not in CHANGEABLE_SETTINGS
        ):
            raise SettingError(
                f"--{item.name.replace('_', '-')} is {asked}, but {parent.folder} was trained with "
                f"{is_now}, which cannot change when it is trained on. Leave it out, or train a "
                "new model."
            )
    return replace(own, **open_ones)


def with_labels_of(parent: ClassifierRun, splits: Splits) -> Splits:
    """Return documents with the labels of a classifier by its ids.

    Raises:
        SettingError: If train has a label that the classifier does not know.
    """
    named = named_splits(splits, parent.label_names)
    assert isinstance(named.train, LabelledDocuments)
    new = named.train.labels.names[len(parent.label_names) :]
    multilabel = named.train.labels.multilabel
    if new or multilabel != parent.classes.multilabel:
        what = f"has the label '{new[0]}'" if new else "gives documents another number of labels"
        raise SettingError(
            f"The text {what}, which {parent.folder} does not know; what is told apart cannot "
            "change when a classifier is trained on. Train a new one."
        )
    return named


def parent_provenance(parent: Run) -> dict[str, Any]:
    """Return what a run says of the one that it went on from."""
    return {"run": parent.name, "identity": parent.identity, "step": _step_of(parent)}


def parent_row(run: Run) -> list[tuple[str, str]]:
    """Return what a run went on from, as a row of names and values; none where it began anew."""
    parent = run.provenance.get(FROM)
    return [("trained on from", f"{parent['run']}, step {parent['step']:,}")] if parent else []


def check_parent_unchanged(run: Run, parent: Run) -> None:
    """See that a training that has not taken its weights yet would take the same.

    Raises:
        RunError: If the run that it goes on from was changed since.
    """
    was, now = run.provenance[FROM], parent_provenance(parent)
    if any(was.get(name) != now[name] for name in ("identity", "step")):
        raise RunError(
            f"{run.folder} was begun from {parent.folder} as it was at step {was.get('step')}, "
            "and that run has changed since. Train on from it again, into another folder."
        )


def _step_of(run: Run) -> int:
    path = run.folder / "model.safetensors"
    if not Path(path).exists():
        raise RunError(f"{run.folder} has no weights yet; wait until it was judged once.")
    return int(load_metadata(path).get("step", 0))
