"""Saving the weights of a model, and loading them into the model that a recipe describes."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from thence.errors import RunError
from thence.models.base import Classifier, LanguageModel
from thence.models.memory_guard import (
    BYTES_PER_WEIGHT,
    TooLargeError,
    at_most,
    count_parameters,
    machine_memory,
)
from thence.models.registry import get_family
from thence.recipes.nested_models import family_names
from thence.recipes.recipe import Recipe
from thence.runs.files import Array, load_tensors, save_tensors
from thence.runs.provenance import FORMAT
from thence.runs.snapshots import restored

LARGE_FILE = 1 << 26
"""Bytes from which what was fitted is memory-mapped: less is read sooner than it is asked."""

Model = TypeVar("Model", bound=LanguageModel | Classifier)


def save_model(path: Path, tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Write the weights of a model, with metadata such as the identity of the run and the step."""
    save_tensors(path, tensors, {"format": FORMAT, **about})


def load_model(
    path: Path, recipe: Recipe, identity: str | None, make: Callable[[], Model]
) -> Model:
    """Make a model and fill it from its weights file.

    A config may ask for any size, and a run may come from anyone: no network is made that is larger
    than the file.

    Args:
        path: The weights file.
        recipe: Of the run, with the family and its options.
        identity: Identity of the run that the weights must belong to; None for any.
        make: Makes the untrained model.

    Raises:
        RunError: If the file is damaged or belongs to another model.
    """
    family = get_family(recipe.model)
    # Networks change their numbers in place; what was fitted is only read.
    tensors, about = load_tensors(path, LARGE_FILE if family.method == "fit" else None)
    tensors = restored(tensors, about)
    if identity is not None and about.get("run") != identity:
        raise RunError(
            f"{path} belongs to another run: it was trained with another recipe or on another "
            "text. Restore this run's own, or train again."
        )
    numbers = sum(value.size for value in tensors.values())
    try:
        with _limit(recipe, numbers):
            model = make()
        with _limit(recipe, numbers):  # Some tables have the size that the file gives them.
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
    """Limit the size of torch modules made within the block; counts need no limit."""
    families = [get_family(name) for name in family_names(recipe.model, recipe.options)]
    if any(family.pretrained for family in families):
        # The whole language model is made, whose output layer is not in the file.
        return at_most(machine_memory() // BYTES_PER_WEIGHT)
    if any(family.supplier for family in families):
        count_parameters()  # Theirs may import torch only when they make a model.
    neural = any(family.method == "train" or family.task == "labels" for family in families)
    return at_most(numbers) if neural else nullcontext()
