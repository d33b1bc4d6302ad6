"""The documents of a run, read again and checked to be what it was trained on."""

from collections.abc import Mapping
from pathlib import Path

from thence.corpus import Documents, Splits, load_splits
from thence.errors import TextError
from thence.runs.files import check_ordinary
from thence.runs.folder import RunFolder
from thence.runs.provenance import FROM
from thence.runs.sources import (
    IN_MEMORY,
    STANDARD_INPUT,
    display_name,
    named_sources,
    named_splits,
    read_dev_and_test,
)


def read_splits(run: RunFolder) -> Splits:
    """Read the documents of a run again.

    Raises:
        TextError: If the text is gone or is not what the run was trained on, or if the run was
            imported and has none.
        RunError: If a text is a pipe or a device.
    """
    run.check_text()
    if run.cluster_counts is not None:
        raise TextError(
            f"The train text of {run.folder} was read on a cluster, "
            f"{run.cluster_counts['files']:,} files at {run.text_name}, and is not read here; "
            "judge on dev or test, or on another text."
        )
    _check_sources(run)
    recipe = run.recipe
    splits = load_splits(
        recipe.text,
        recipe.reading,
        recipe.splitting,
        labelling=recipe.labelling,
        instead=run.sources.instead,
    )
    return check_splits(run, splits)


def check_splits(run: RunFolder, splits: Splits) -> Splits:
    """Return documents with the ids of labels that the run has.

    Raises:
        TextError: If they are not what the run was trained on.
    """
    if FROM in run.provenance and "labels" in run.provenance:
        # A classifier that went on from another keeps the ids of that one's labels.
        splits = named_splits(splits, run.provenance["labels"])
    if splits.hashes() != run.provenance["sha256"]:
        name = run.recipe.text
        text = f"The text {name}" if display_name(name) == name != IN_MEMORY["text"] else "The text"
        raise TextError(
            f"{text} is not what {run.folder} was trained on: it has changed since. Bring the old "
            "text back, or judge on a file of its own."
        )
    return splits


def _check_sources(run: RunFolder) -> None:
    """Refuse texts that are gone or never end."""
    for role, name in named_sources(run.recipe).items():
        file = run.kept_texts.get(role)
        if file == "" or (file is None and name == STANDARD_INPUT):
            raise TextError(
                f"The run {run.folder} keeps only the hash of its {role}. "
                "Judge on another text (thence evaluate RUN TEXT), or give the same again: "
                "thence resume RUN --text TEXT goes on with it."
            )
        # Whoever made the run chose these paths, which may lead to what never ends.
        path = run.folder / file if file is not None else Path(name)
        check_ordinary(path)
        is_known = role == "text" and path.is_absolute()
        if (is_known or file is not None) and not path.exists():
            raise TextError(
                f"The {role} that {run.folder} was made with, {path}, is no longer there; "
                "bring it back, or judge on another text."
            )


def read_held_out_splits(run: RunFolder) -> Mapping[str, Documents]:
    """Read dev and test of a run that was counted on a cluster, from files of their own.

    Raises:
        TextError: If one has changed.
        RunError: If one is a pipe or a device.
    """
    splitting = run.recipe.splitting
    for path in (splitting.dev, splitting.test):
        if path is not None:
            check_ordinary(Path(path))
    held_out = read_dev_and_test(run.recipe)
    for name, documents in held_out.items():
        if documents.content_hash() != run.provenance["sha256"][name]:
            raise TextError(
                f"The {name} text {getattr(splitting, name)} is not what {run.folder} was made "
                "with: it has changed since. Bring the old text back, or judge on a file of its "
                "own."
            )
    return held_out
