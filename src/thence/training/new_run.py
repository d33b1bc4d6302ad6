"""The beginning of a new run: its folder, its resolved recipe, and the provenance of its data."""

from collections.abc import Callable, Set
from dataclasses import asdict, replace
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any

from thence.atomic import is_taken
from thence.corpus import Replacements
from thence.corpus.loading import EMPTY, is_there
from thence.errors import SettingError
from thence.models.registry import get_family, is_classifier
from thence.recipes.recipe import Recipe
from thence.runs.create import create_run, inherited_looks
from thence.runs.files import RUNS
from thence.runs.looks_at_test import TEST, Fingerprint
from thence.runs.provenance import FROM
from thence.runs.run import Run
from thence.runs.sources import Sources, default_run_name
from thence.training.data import TrainingData
from thence.training.finetuning import parent_provenance, parent_run, source_runs
from thence.training.word_vectors import vector_coverage


def default_run_folder(text: str, name: str) -> Path:
    """Return ``runs/TEXT-NAME``, with a number added if that exists or is being made."""
    stem = f"{default_run_name(text)}-{name}"
    names = chain([stem], (f"{stem}-{number}" for number in count(2)))
    return next(path for name in names if not is_taken(path := RUNS / name))


def run_folder(text: str, name: str, output: str | Path | None) -> Path:
    """Return the folder of a new run: ``output``, or the default."""
    return default_run_folder(text, name) if output is None else Path(output)


def refuse_combined(model: str) -> None:
    """Raise SettingError for a model that is a combination of runs, which cannot be trained."""
    if get_family(model).method == "combine":
        raise SettingError(
            f"The model '{model}' is not trained on a text but made of runs: thence mix RUN RUN -o "
            "RUN."
        )


def resolve_paths(recipe: Recipe, replacements: Replacements = EMPTY) -> Recipe:
    """Return a recipe whose paths are absolute, so that the run can be resumed from any folder.

    Args:
        recipe: The recipe with paths as the user wrote them.
        replacements: Sources that are replaced by other files; their names are kept.
    """
    is_path = recipe.text not in replacements and is_there(Path(recipe.text))
    text = str(Path(recipe.text).resolve()) if is_path else recipe.text
    given: dict[str, Any] = {
        name: str(Path(path).resolve())
        for name in ("dev", "test")
        if (path := getattr(recipe.splitting, name)) is not None and path not in replacements
    }
    options, labelling = recipe.options, recipe.labelling
    more = labelling and labelling.unlabelled
    if labelling and more and more not in replacements and Path(more).exists():
        labelling = replace(labelling, unlabelled=str(Path(more).resolve()))
    if (vectors := recipe.vectors) is not None:
        options = replace(options, vectors=str(Path(vectors).resolve()))
    tokens, splitting = recipe.tokens, replace(recipe.splitting, **given)
    if tokens.vocabulary is not None:
        tokens = replace(tokens, vocabulary=str(Path(tokens.vocabulary).resolve()))
    return replace(
        recipe, text=text, splitting=splitting, tokens=tokens, options=options, labelling=labelling
    )


def resolve_recipe(recipe: Recipe, data: TrainingData, replacements: Replacements) -> Recipe:
    """Return a recipe with absolute paths and with all open settings chosen.

    A run's config has all settings of its training, so those that depend on the machine and the
    data (threads, precision, learning rate) are chosen before anything is written.
    """
    recipe = resolve_paths(recipe, replacements)
    if data.vectors is not None:
        options = replace(recipe.options, embedding_size=data.vectors.dimension)
        recipe = replace(recipe, options=options)
    if get_family(recipe.model).method == "fit":
        return recipe
    from thence.training.gradient_steps import resolve_training

    return resolve_training(recipe, data)


def data_provenance(recipe: Recipe, data: TrainingData) -> dict[str, Any]:
    """Return the provenance of a run's data: test, labels, unlabelled text and word vectors."""
    about: dict[str, Any] = {TEST: asdict(Fingerprint.of(data.splits.test))}
    if not is_classifier(recipe.model):
        return about
    labels = data.train_labels
    about |= {"labels": list(labels.names), "multilabel": labels.multilabel}
    if data.unlabelled is not None:
        about["unlabelled"] = asdict(Fingerprint.of(data.unlabelled.documents))
    if data.vectors is not None:
        about["vectors"] = vector_coverage(data.vectors, data.train, data.tokenizer)
    return about


def new_run_writer(
    recipe: Recipe, data: TrainingData, sources: Sources, launches: Set[str]
) -> Callable[[Path], Run]:
    """Return a function that writes the tokenizer and the config of a new run into a folder.

    The text is hashed once, however often the function is called; each folder is written once.

    Args:
        recipe: The recipe, from ``resolve_recipe``.
        data: The data of the training.
        sources: The files that replace texts which cannot be read again.
        launches: Ids of the ``torchrun`` of each machine, to recognise the run after a restart.
    """
    more = data_provenance(recipe, data)
    if (parent := parent_run(recipe)) is not None:
        more[FROM] = parent_provenance(parent)
    if launches:
        more["launches"] = sorted(launches)
    looks = inherited_looks(source_runs(recipe), data.splits.test)
    hashes = data.splits.hashes()

    @cache
    def write(folder: Path) -> Run:
        return create_run(folder, recipe, data.tokenizer, hashes, sources, more, looks)

    return write
