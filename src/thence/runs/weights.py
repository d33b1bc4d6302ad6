"""Saving the weights of a model, and loading them into a model built from a recipe."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from thence.errors import RunError
from thence.models.base import Classifier, LanguageModel
from thence.models.memory_guard import (
    BYTES_PER_WEIGHT,
    TooLargeError,
    count_parameters,
    limit_parameters,
    machine_memory,
)
from thence.models.registry import get_family
from thence.recipes.nested_models import family_names
from thence.recipes.recipe import Recipe
from thence.runs.files import Array, load_tensors, save_tensors
from thence.runs.provenance import FORMAT
from thence.runs.snapshots import to_single_precision

LARGE_FILE = 1 << 26
"""Size in bytes from which on the tables of fitted models are memory-mapped; smaller ones are read
at once, which is faster."""

Model = TypeVar("Model", bound=LanguageModel | Classifier)


def save_model(path: Path, tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Write the weights of a model, with metadata such as the identity of the run and the step."""
    save_tensors(path, tensors, {"format": FORMAT, **about})


def load_model(
    path: Path, recipe: Recipe, identity: str | None, make: Callable[[], Model]
) -> Model:
    """Make a model and load its weights.

    A run may come from a stranger, and its config may ask for any size: no network is allocated
    that is larger than the file.

    Args:
        path: The weights file.
        recipe: The recipe of the run, with the family and its options.
        identity: Identity of the run that the weights must belong to; None for any.
        make: Returns the untrained model.

    Raises:
        RunError: If the file is damaged or belongs to another model.
    """
    family = get_family(recipe.model)
    # Networks write to their weights in place, so only fitted models may be memory-mapped.
    tensors, about = load_tensors(path, LARGE_FILE if family.method == "fit" else None)
    tensors = to_single_precision(tensors, about)
    if identity is not None and about.get("run") != identity:
        raise RunError(
            f"{path} belongs to another run: it was trained with another recipe or on another "
            "text. Restore this run's own, or train again."
        )
    numbers = sum(value.size for value in tensors.values())
    try:
        with _limit(recipe, numbers):
            model = make()
        with _limit(recipe, numbers):  # Some layers are allocated only here, by the file's shapes.
            model.load_tensors(tensors)
    except TooLargeError as error:
        raise RunError(
            f"{path} does not fit the run's config: it holds {numbers:,} numbers, and the config "
            "asks for a larger network. Restore both from a copy, or train again."
        ) from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError(f"{path} does not fit the run's config: {error}") from error
    return model


def _limit(recipe: Recipe, numbers: int) -> AbstractContextManager[None]:
    """Return a context manager that limits the parameters of torch modules made inside it."""
    families = [get_family(name) for name in family_names(recipe.model, recipe.options)]
    if any(family.pretrained for family in families):
        # The whole language model is made, whose output layer is not in the file.
        return limit_parameters(machine_memory() // BYTES_PER_WEIGHT)
    if any(family.supplier for family in families):
        count_parameters()  # A package may import torch only when it makes a model; hook it now.
    neural = any(family.method == "train" or family.task == "labels" for family in families)
    return limit_parameters(numbers) if neural else nullcontext()
