"""Creating a run folder: the files that are written before training begins."""

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
    """Write the tokenizer and the config of a new run, and open it.

    Args:
        folder: An empty folder under a hidden name, which is renamed later
            (``thence.atomic.new_folder``).
        recipe: The settings of the training.
        tokenizer: The tokenizer, made from the train split.
        hashes: SHA-256 hashes of the text: ``Splits.hashes``, or that of an imported file.
        sources: Copies of texts that cannot be read again, to be kept in the run folder.
        more: Further entries of the provenance, such as the labels of a classifier.
        looks: Evaluations on the test split by the runs that this one is built from.

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
    """Return the evaluations on test that a run inherits from the runs it is built from.

    An evaluation that several parents inherited from a common ancestor counts once.

    Args:
        parents: The runs that it is built from.
        test: The documents of its test split; parents with another test split are left out.

    Returns:
        The evaluations by time, each with the name of the ``run`` that was evaluated.
    """
    return merge_looks(
        *(
            [{"run": parent.name, **look} for look in parent.test_looks()]
            for parent in parents
            if parent.is_test_split(test)
        )
    )
