"""Texts of a sweep that cannot be read again: they are kept in its folder, for all its trials."""

import filecmp
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thence.atomic import cannot_write, whole_file
from thence.errors import RunError
from thence.runs.sources import keep_sources, kept_files, readable_sources
from thence.sweeps.recipe import SweepRecipe


@contextmanager
def kept_in_folder(
    recipe: SweepRecipe, folder: Path, held: Mapping[str, Any]
) -> Iterator[tuple[SweepRecipe, Path]]:
    """Copy what can be read only once.

    Args:
        recipe: What is tried.
        folder: Of the sweep.
        held: Texts that a program holds, by the setting that names them.

    Yields:
        The recipe, with the places that the copies are going to have in the folder, and where they
        are until ``put_copies`` brings them there.

    Raises:
        TextError: If a text cannot be read.
    """
    one = recipe.any_recipe()
    with TemporaryDirectory(prefix="thence-") as made, readable_sources(one, held) as sources:
        keep_sources(Path(made), one, sources)
        kept = kept_files(one, sources)
        paths = {role: str(folder.resolve() / name) for role, name in kept.items()}
        text = paths.pop("text", recipe.text)
        yield replace(recipe, text=text, settings={**recipe.settings, **paths}), Path(made)


def put_copies(copies: Path, folder: Path) -> None:
    """Bring copies into the folder of a sweep, if they are not there yet.

    Raises:
        RunError: If other texts are there, or they cannot be written.
    """
    for copy in sorted(copies.iterdir()):
        place = folder / copy.name
        try:
            if place.exists():
                if not filecmp.cmp(copy, place, shallow=False):
                    raise RunError(
                        f"The sweep {folder} was begun with another text than it is given now; it "
                        f"keeps that in {place.name}. Give the same again, or choose another "
                        "--output."
                    )
                continue
            with copy.open("rb") as source, whole_file(place) as target:
                shutil.copyfileobj(source, target)
        except OSError as error:
            raise cannot_write(place, error) from error
