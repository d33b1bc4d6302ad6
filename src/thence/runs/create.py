"""Making a run folder: what is written before anything is learned."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thence.atomic import write_atomically
from thence.corpus import Documents
from thence.errors import RunError
from thence.recipes.recipe import Recipe
from thence.runs.looks_at_test import TEST_LOOKS, merge_looks, to_json_lines
from thence.runs.provenance import KEPT, new_provenance
from thence.runs.run import Run
from thence.runs.sources import Sources, keep_sources
from thence.tokens import Tokenizer


def create_run(
    folder: Path,
    recipe: Recipe,
    tokenizer: Tokenizer,
    hashes: Mapping[str, str],
    sources: Sources = Sources(),
    more: Mapping[str, Any] | None = None,
    looks: Sequence[Mapping[str, Any]] = (),
) -> Run:
    """Write what a run begins with: its tokenizer and its config.

    Args:
        folder: An empty one, which is put in place once enough of the run is there
            (``thence.atomic.new_folder``).
        recipe: What is going to be trained.
        tokenizer: Made from the train split.
        hashes: The SHA-256 of what it is made from: ``Splits.hashes``, or that of an ``arpa`` file.
        sources: What was read in place of texts that cannot be read again, to be kept.
        more: What else to say of where it came from: the labels of a classifier.
        looks: Those at the test split by the runs that it is made of.

    Raises:
        RunError: If it cannot be written.
    """
    about = dict(more or {})
    if kept := keep_sources(folder, recipe, sources):
        about[KEPT] = kept
    try:
        provenance = new_provenance(recipe, tokenizer.content_hash(), hashes, about)
        config = recipe.to_toml(provenance).encode("utf-8")
    except UnicodeEncodeError as error:
        raise RunError(f"The run cannot be made: the path {recipe.text!r} is not UTF-8.") from error
    write_atomically(folder / "tokenizer.json", tokenizer.parts())
    if looks:
        write_atomically(folder / TEST_LOOKS, to_json_lines(looks))
    write_atomically(folder / "config.toml", config)
    return Run(folder)


def inherited_looks(parents: Iterable[Run], test: Documents) -> list[dict[str, Any]]:
    """Return the looks that a run begins with which is made of others.

    A look that came to several of the runs from one they were all made of counts once.

    Args:
        parents: The runs it is made of.
        test: The documents of its test split; runs with another test split have not looked at it.

    Returns:
        The looks by time, each with the name of the ``run`` that was evaluated.
    """
    return merge_looks(
        *(
            [{"run": parent.name, **look} for look in parent.test_looks()]
            for parent in parents
            if parent.is_test_split(test)
        )
    )
