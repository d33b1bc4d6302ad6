"""Texts that can be read only once: the copies that are read instead, and that a run keeps.

A recipe names its text, and perhaps files of dev, test and unlabelled text. Three kinds of these
can be read only once:

| source                                    | what is read        | what the run keeps             |
|-------------------------------------------|---------------------|--------------------------------|
| standard input, ``-``                     | a copy of its bytes | the copy, ``text``             |
| a pipe: ``<(...)``, ``/dev/fd/N``, a FIFO | a copy of its bytes | the copy, ``text.csv`` or such |
| texts that a program holds                | the documents       | the documents, ``text.jsonl``  |

The files are called ``text``, ``dev``, ``test`` and ``unlabelled``, with the suffix of the source
if it is a table. The table ``kept`` in the provenance of the run names them; an empty name means
that only the hash of the text was kept.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thence.atomic import WriteError, whole_file
from thence.corpus import (
    Documents,
    Replacements,
    Splits,
    read_held_out,
    read_memory,
    write_texts,
)
from thence.corpus.loading import EMPTY
from thence.corpus.memory import is_path_or_name
from thence.corpus.opening import odd_kind
from thence.corpus.reading import inner_suffix, read_file, read_standard_input
from thence.corpus.tables import TABLES
from thence.errors import SettingError, TextError
from thence.recipes.recipe import Recipe

STANDARD_INPUT = "-"
ROLES = ("text", "dev", "test", "unlabelled")
"""The settings of a recipe that name a source of text."""
IN_MEMORY: Mapping[str, str] = {role: f"{role} in memory" for role in ROLES}
"""Names that stand in a recipe, in place of a path, for texts that were given in memory."""


def named_sources(recipe: Recipe) -> dict[str, str]:
    """Return the names of the sources that a recipe has, by their role (``ROLES``)."""
    found = {"text": recipe.text, "dev": recipe.splitting.dev, "test": recipe.splitting.test}
    if recipe.labelling is not None:
        found["unlabelled"] = recipe.labelling.unlabelled
    return {role: name for role, name in found.items() if name is not None}


def take_from_memory(given: dict[str, Any]) -> dict[str, Any]:
    """Take texts in memory out of settings, and put their names (``IN_MEMORY``) in their place.

    Args:
        given: Settings, of which those of ``ROLES`` may be texts; changed in place.

    Returns:
        The texts by their role.
    """
    held = {
        role: given[role]
        for role in ROLES
        if given.get(role) is not None and not is_path_or_name(given[role])
    }
    given.update({role: IN_MEMORY[role] for role in held})
    return held


def read_held(recipe: Recipe, held: Mapping[str, Any]) -> dict[str, Documents]:
    """Turn texts in memory into documents, with the reading options of the recipe.

    Returns:
        The documents by their name in the recipe.

    Raises:
        TextError: If they are not an iterable of strings, or hold no text.
        SettingError: If the recipe is of a classifier, or a setting does not fit.
    """
    if held.keys() - {"unlabelled"} and recipe.labelling is not None:
        raise SettingError(
            "Texts in memory come without labels here. Train a classifier on lists of texts and "
            "labels with thence.TextClassifier, or write both to a table (.csv, .jsonl)."
        )
    if held and recipe.reading.document == "file":
        raise SettingError(
            "document 'file' does not fit texts in memory, where each text is a document. Leave it "
            "out."
        )
    return {
        IN_MEMORY[role]: read_memory(texts, recipe.reading, f"The {IN_MEMORY[role]}")
        for role, texts in held.items()
    }


@dataclass(frozen=True)
class Sources:
    """Copies of texts that can be read only once.

    Attributes:
        replacements: Copies of pipes, and documents in memory, by the source's name in the recipe.
        keep: Whether the run keeps the texts, or only their hashes.
    """

    replacements: Replacements = field(default_factory=dict)
    keep: bool = True


@contextmanager
def readable_sources(
    recipe: Recipe,
    held: Mapping[str, Any] = EMPTY,
    keep: bool = True,
    known: Replacements = EMPTY,
) -> Iterator[Sources]:
    """Context manager: copies pipes and standard input to temporary files; reads texts in memory.

    Args:
        recipe: The recipe that names the sources.
        held: Texts in memory, by their role.
        keep: Whether the run is going to keep them.
        known: Sources that were copied before, as in ``Sources.replacements``.

    Raises:
        TextError: If a source cannot be read.
        SettingError: If a setting does not fit a text in memory.
    """
    in_memory: Replacements = {**known, **read_held(recipe, held)}
    for name in named_sources(recipe).values():
        if name in IN_MEMORY.values() and name not in in_memory and not Path(name).exists():
            raise TextError(
                f"The recipe was made with a {name.replace(' in memory', '')} in memory, which is "
                "not in it. Give it again, as in thence.train(texts, config=...), or name a file."
            )
    once = {
        name: role
        for role, name in named_sources(recipe).items()
        if name not in in_memory and is_read_once(name)
    }
    with _copied(once) as copies:
        yield Sources({**in_memory, **copies}, keep)


@contextmanager
def readable(name: str) -> Iterator[str | Path]:
    """Context manager: yields a path that can be read repeatedly, a copy if ``name`` is a pipe."""
    is_pipe = name != STANDARD_INPUT and is_read_once(name)
    with _copied({name: "text"} if is_pipe else {}) as copies:
        yield copies.get(name, name)


@contextmanager
def _copied(roles: Mapping[str, str]) -> Iterator[dict[str, Path]]:
    """Context manager: yields temporary copies of sources by name.

    In error messages that are raised inside it, the copies' paths are replaced by the names.
    """
    if not roles:
        yield {}
        return
    with TemporaryDirectory(prefix="thence-") as folder:
        copies = {name: copy_source(name, Path(folder) / role) for name, role in roles.items()}
        try:
            yield copies
        except (TextError, SettingError) as error:
            message = str(error)
            for name, copy in copies.items():
                message = message.replace(str(copy), display_name(name))
            if message == str(error):
                raise
            kind = TextError if isinstance(error, TextError) else SettingError
            raise kind(message) from error


def is_read_once(name: str) -> bool:
    """Return whether a source can be read only once: standard input, a pipe, a here-document."""
    path = Path(name)
    is_stream = odd_kind(path) is not None and odd_kind(path, pipes=True) is None
    if name == STANDARD_INPUT or is_stream:
        return True
    try:
        # The shell has already unlinked the file of a here-document; only a descriptor is left.
        return path.is_file() and not path.resolve().exists()
    except (OSError, ValueError):
        return False


def copy_source(name: str, folder: Path) -> Path:
    """Copy standard input or a pipe into a new folder; return the path of the copy.

    Raises:
        TextError: If it cannot be read, or is larger than memory.
        WriteError: If there is no space for the copy.
    """
    if name == STANDARD_INPUT:
        path, data = folder / "standard-input", read_standard_input()
    else:
        path, data = folder / f"pipe{_suffix(name)}", read_file(Path(name))
    try:
        folder.mkdir()
        path.write_bytes(data)
    except OSError as error:
        raise WriteError(path, error, "Set TMPDIR to a folder with more space.") from error
    return path


def _suffix(name: str) -> str:
    """Return the suffix of a table, or none; compression is recognised by its bytes."""
    suffix = inner_suffix(name)
    return suffix if suffix in TABLES else ""


def kept_files(recipe: Recipe, sources: Sources) -> dict[str, str]:
    """Return the names of the files that keep the sources, by role; "" where it is not kept.

    Args:
        recipe: The recipe that names the sources.
        sources: Their copies.
    """
    files = {}
    for role, name in named_sources(recipe).items():
        there = sources.replacements.get(name)
        if there is not None:
            suffix = ".jsonl" if isinstance(there, Documents) else _suffix(there.name)
            files[role] = role + suffix if sources.keep else ""
    return files


def keep_sources(folder: Path, recipe: Recipe, sources: Sources) -> dict[str, str]:
    """Write the copies of sources to a folder; return the file names by role (``kept_files``).

    Args:
        folder: The folder to write to, such as that of a new run.
        recipe: The recipe that names the sources.
        sources: Their copies.

    Raises:
        RunError: If they cannot be written.
    """
    named, files = named_sources(recipe), kept_files(recipe, sources)
    for role, file in files.items():
        if not file:
            continue
        there, place = sources.replacements[named[role]], folder / file
        try:
            with whole_file(place) as target:
                if isinstance(there, Documents):
                    write_texts(there, target, recipe.reading)
                else:
                    with there.open("rb") as copy:
                        shutil.copyfileobj(copy, target)
        except OSError as error:
            raise WriteError(place, error) from error
    return files


def kept_sources(folder: Path, recipe: Recipe, kept: Mapping[str, str]) -> dict[str, Path]:
    """Return the paths of the kept texts of a run, by their name in the recipe.

    Args:
        folder: The run folder.
        recipe: The recipe of the run.
        kept: File name of each source, by role; empty where it was not kept.
    """
    named = named_sources(recipe)
    return {named[role]: folder / file for role, file in kept.items() if file and role in named}


def display_name(name: str) -> str:
    """Return the name of a source for messages, given its name in a recipe."""
    if name in (STANDARD_INPUT, "/dev/stdin"):
        return "standard input"
    return "a pipe" if name.startswith(("/dev/fd/", "/proc/self/fd/")) else name


def default_run_name(name: str) -> str:
    """Return the default name of a run on this source, to which a number may be added."""
    special = {"standard input": "stdin", "a pipe": "pipe", IN_MEMORY["text"]: "memory"}
    stem = special.get(display_name(name)) or Path(name).name.split(".")[0]
    return re.sub(r"[*?\[\]]", "", stem) or "text"  # The name may be a glob pattern.


def read_dev_and_test(recipe: Recipe) -> dict[str, Documents]:
    """Read dev and test from the files that the recipe names; no documents where it names none."""
    paths = {"dev": recipe.splitting.dev, "test": recipe.splitting.test}
    return {
        name: Documents.from_strings([]) if path is None else read_held_out(path, recipe.reading)
        for name, path in paths.items()
    }


def named_splits(splits: Splits, names: Sequence[str]) -> Splits:
    """Return splits of labelled documents with label ids in the order of ``names``."""
    parts = {part: getattr(splits, part).named(names) for part in ("train", "dev", "test")}
    return replace(splits, **parts)
