"""A classifier that starts from a language model: what it takes from that model's run."""

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from thence.errors import SettingError
from thence.models.registry import LANGUAGE_MODELS
from thence.recipes.recipe import Recipe
from thence.runs import ClassifierRun
from thence.runs.run import Run
from thence.tokens import WordOptions

if TYPE_CHECKING:
    from thence.models.labels.finetuned import FinetunedClassifier

ENCODERS = [name for name, line in LANGUAGE_MODELS.items() if line.reads_sequences]
"""Families of language models that read a document in order, and so can be started from."""


def starts_from_a_run(recipe: Recipe) -> bool:
    """Return whether a recipe's model starts from a run."""
    return hasattr(recipe.options, "start_from")


def encoder_run(recipe: Recipe) -> Run:
    """Open the run that a recipe's model starts from.

    Raises:
        SettingError: If none is named, or it is not the run of a language model that can be
            started from.
        RunError: If it is no run.
    """
    folder = recipe.options.start_from
    if folder is None:
        raise SettingError(
            f"The model '{recipe.model}' starts from a language model, and none is named: add "
            "--start-from RUN (thence train TEXT --model lstm makes one)."
        )
    run = Run(folder)
    if run.recipe.model not in ENCODERS:
        kind = (
            "is a classifier"
            if isinstance(run, ClassifierRun)
            else "does not read a document in order"
        )
        raise SettingError(
            f"--start-from is {folder}, a run of {run.recipe.model}, which {kind}; name that of a "
            f"language model with one of {', '.join(ENCODERS)}."
        )
    return run


def source_runs(recipe: Recipe) -> list[Run]:
    """Return the runs whose weights a recipe's model begins with."""
    if recipe.from_run is not None:
        return [Run(recipe.from_run)]
    return [encoder_run(recipe)] if starts_from_a_run(recipe) else []


def with_language_model(recipe: Recipe) -> Recipe:
    """Return a recipe with what its language model is; one that starts from none stays as it is.

    Raises:
        SettingError: If other tokens are asked for than the language model's, or it cannot be
            started from.
    """
    if not starts_from_a_run(recipe):
        return recipe
    run = encoder_run(recipe)
    tokens = WordOptions(**asdict(run.tokenizer.options))
    for item in fields(WordOptions):
        asked, own = getattr(recipe.tokens, item.name), getattr(tokens, item.name)
        if asked not in (item.default, own):
            raise SettingError(
                f"--{item.name.replace('_', '-')} is {asked}, but a classifier that starts from a "
                f"language model has its tokens, and those of {run.folder} were made otherwise "
                f"({own}). Leave it out, or start from a language model with such tokens."
            )
    given = {name: v for name, v in asdict(run.recipe.options).items() if v is not None}
    encoder = {"model": run.recipe.model, **given}
    options = replace(recipe.options, start_from=str(run.folder.resolve()), encoder=encoder)
    return replace(recipe, options=options, tokens=tokens)


def take_weights(classifier: "FinetunedClassifier", recipe: Recipe) -> None:
    """Copy the language model's weights into a classifier that has learned nothing yet."""
    model: Any = encoder_run(recipe).model
    classifier.start_from(model)
