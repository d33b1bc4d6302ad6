"""The config of a run and its table ``[provenance]``: format number, versions, hashes, checksum."""

import json
import platform
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from thence.errors import RunError, SettingError
from thence.models.registry import is_known, suppliers
from thence.plugins import missing
from thence.recipes.nested_models import family_names
from thence.recipes.recipe import FROM_RUN, PROVENANCE, Recipe, read_toml
from thence.runs.looks_at_test import TEST, Fingerprint
from thence.runs.sources import STANDARD_INPUT
from thence.settings import as_in_file, check_parts, shown
from thence.tokens.options import is_tokenizer, tokenizer_suppliers

FORMAT = 2
"""Format number of run folders, written into every config; see ``MIGRATIONS``."""
CLUSTER, FROM, KEPT = "cluster", "from", "kept"
"""Tables of the provenance: ``ClusterCounts``, ``ParentRun``, and the kept texts.

``kept`` names, for each text that can be read only once, the file in the run folder with its copy.
"""
KEPT_NAME = re.compile(r"(?:(?:text|dev|test|unlabelled)(?:\.[a-z]+)?)?")
"""Allowed file names in ``kept``: no paths, so that a stranger's run reads no other file."""
SPLITS = ("train", "dev", "test")
IMPORTED = frozenset({"arpa", "fasttext"})
"""Keys of the hashes of an imported run: the format of the file that it was imported from."""
PACKAGES = "packages"
"""Table with the packages of other authors that supplied the run's models or tokenizers."""
SUPPLIED: Sequence[tuple[str, str, Callable[[str], bool]]] = (
    ("models", "model", is_known),
    ("tokenizers", "tokenizer", is_tokenizer),
)
"""For each table in it: the table, what its keys name, and the test whether that is installed."""


@dataclass(frozen=True)
class ParentRun:
    """The run that a training was fine-tuned from: its name, identity, and weights' step."""

    run: str
    identity: str
    step: int


@dataclass(frozen=True)
class ClusterCounts:
    """Amounts of text that were counted on a cluster."""

    files: int
    documents: int
    tokens: int
    bytes: int


FIELDS: dict[str, Any] = {
    "thence": str,
    "python": str,
    "made": str,
    "tokenizer": str,
    "checksum": str,
    "sha256": Mapping[str, str],
    "vectors": str | None,
    "launches": tuple[str, ...] | None,
    KEPT: Mapping[str, str] | None,
    CLUSTER: ClusterCounts | None,
    FROM: ParentRun | None,
    TEST: Fingerprint | None,
}
"""Fields of ``[provenance]`` with their types; those that may be None are optional."""
LABEL_FIELDS: dict[str, Any] = {"labels": tuple[str, ...], "multilabel": bool}
"""Further fields of classifiers."""
Content = dict[str, Any]
"""A config as parsed from TOML."""


def _from_format_1(content: Content) -> Content:
    """Migrate a config of thence 0.1.

    It called ``multilabel`` ``several``, and had no ``kept`` for the copy of standard input.
    """
    provenance = dict(content[PROVENANCE])
    if "several" in provenance:
        provenance["multilabel"] = provenance.pop("several")
    if content.get("text") == STANDARD_INPUT:
        provenance.setdefault(KEPT, {"text": "text"})
    return {**content, PROVENANCE: provenance}


MIGRATIONS: Mapping[int, Callable[[Content], Content]] = {1: _from_format_1}
"""For each older format, the function that converts a config to the next format.

A change to the meaning of a file in the run folder raises ``FORMAT`` by one and adds a function
here. Older runs are migrated in memory whenever they are opened. Their files stay unchanged, and so
do checksum and identity, which are hashes of the config as it was written.
"""


def migrate(
    content: Content,
    config: Path,
    migrations: Mapping[int, Callable[[Content], Content]] = MIGRATIONS,
) -> Content:
    """Return the content of a config, converted to the newest format.

    Raises:
        RunError: If it has no provenance, or is of a format this version does not know.
    """
    provenance = content.get(PROVENANCE)
    if not isinstance(provenance, dict):
        raise RunError(f"{config} does not say where the run came from: it has no [{PROVENANCE}].")
    number, oldest, newest = provenance.get("format"), min(migrations), max(migrations) + 1
    if type(number) is not int or not oldest <= number <= newest:
        raise RunError(
            f"The run {config.parent} has format {shown(number)}; this thence, "
            f"{_version()}, reads formats {oldest} to {newest}. Install the version that "
            f"made it, thence {shown(provenance.get('thence'))}, or a newer one."
        )
    for older in range(number, newest):
        content = migrations[older](content)
    return content


@dataclass(frozen=True)
class Config:
    """The config of a run.

    Attributes:
        path: The file.
        written: Its content as written.
        content: Its content in the newest format.
    """

    path: Path
    written: Content
    content: Content

    @property
    def settings(self) -> Content:
        """The recipe as written, without defaults of settings that were added in later versions."""
        return {name: value for name, value in self.written.items() if name != PROVENANCE}


def read_config(path: Path) -> Config:
    """Read the config of a run, and migrate it to the newest format.

    Raises:
        RunError: If its format is unknown, or a package that it needs is not installed.
        SettingError: If it is not TOML.
    """
    written = read_toml(path)
    content = migrate(written, path)
    _check_packages(content[PROVENANCE].get(PACKAGES, {}), path.parent)
    return Config(path, written, content)


def _check_packages(packages: Any, folder: Path) -> None:
    """Raise ``RunError`` if a package that supplied the model or tokenizer is not installed."""
    try:
        check_parts({PACKAGES: packages}, {PACKAGES: Mapping[str, Mapping[str, str]]})
        for group, what, known in SUPPLIED:
            for name, supplier in packages.get(group, {}).items():
                if not known(name):
                    raise RunError(
                        missing(f"The run {folder} needs the {what} {shown(name)}", supplier)
                    )
    except SettingError as error:
        raise RunError(
            f"The packages that {folder} names are unusable: {as_in_file(error)}"
        ) from error


def new_provenance(
    recipe: Recipe, tokenizer: str, hashes: Mapping[str, str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the provenance of a new run, with its checksum.

    Args:
        recipe: The recipe of the run.
        tokenizer: SHA-256 of the tokenizer.
        hashes: SHA-256 of the texts, by split.
        more: Further entries.
    """
    supplied = {
        "models": suppliers(family_names(recipe.model, recipe.options)),
        "tokenizers": tokenizer_suppliers(recipe.tokens.tokens),
    }
    packages = {group: names for group, names in supplied.items() if names}
    provenance = {
        "format": FORMAT,
        "thence": _version(),
        "python": platform.python_version(),
        "made": now(),
        "tokenizer": tokenizer,
        "sha256": dict(hashes),
        **more,
    } | ({PACKAGES: packages} if packages else {})
    checksum = config_checksum(tomllib.loads(recipe.to_toml(provenance)))
    return {"checksum": checksum, **provenance}


@cache
def _version() -> str:
    """Return the installed version of thence. Reading it is slow, so opening a run avoids it."""
    from importlib.metadata import version

    return version("thence")


def check_provenance(config: Config, labelled: bool) -> dict[str, Any]:
    """Return the provenance of a run after checking its fields and its checksum.

    Raises:
        RunError: If a field is missing or of another type, or the checksum does not match.
    """
    found: dict[str, Any] = config.content[PROVENANCE]
    try:
        _check_fields(found, labelled)
        checksum = config_checksum(config.written)
    except SettingError as error:
        raise RunError(
            f"The [{PROVENANCE}] of {config.path} is unusable: {as_in_file(error)}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise RunError(f"{config.path} holds what no run does: {str(error)[:200]}.") from error
    if found["checksum"] != checksum:
        raise RunError(
            f"{config.path} was changed after the run was made, or is damaged; restore it from a "
            "copy or train again (only the paths of texts may be changed)."
        )
    return found


def _check_fields(found: Mapping[str, Any], labelled: bool) -> None:
    """Raise ``SettingError`` if a field is missing, of another type, or has an invalid value."""
    check_parts(found, FIELDS | (LABEL_FIELDS if labelled else {}))
    for name, value in found.get(KEPT, {}).items():
        if not KEPT_NAME.fullmatch(value):
            raise SettingError(f"it keeps its {shown(name)} in {shown(value)}.")
    if not IMPORTED & found["sha256"].keys() and set(found["sha256"]) != set(SPLITS):
        raise SettingError("it does not say the hashes of its text.")
    if labelled and len(set(found["labels"])) != len(found["labels"]):
        raise SettingError("a label occurs twice.")
    if labelled and len(found["labels"]) < 2 - found["multilabel"]:
        raise SettingError("there are too few labels to distinguish.")


def config_checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a config without the checksum itself and the paths of texts.

    Texts may be moved and their paths in the config edited, since their content has hashes of its
    own. The same holds for the path of the parent run, whose identity is in the provenance.
    """
    apart = {
        "text": ("",),
        FROM_RUN: ("",),
        "splitting": ("dev", "test"),
        "labelling": ("unlabelled",),
        PROVENANCE: ("checksum",),
    }
    kept = {}
    for name, value in content.items():
        without = apart.get(name, ())
        if isinstance(value, dict):
            kept[name] = {key: item for key, item in value.items() if key not in without}
        elif not without:
            kept[name] = value
    return sha256(json.dumps(kept, sort_keys=True, default=str).encode("utf-8")).hexdigest()


def now() -> str:
    """Return the current time in UTC in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
