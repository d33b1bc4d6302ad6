"""Where a run came from: the table ``provenance`` of its config, and the config's checksum."""

import json
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from thence.errors import RunError, SettingError
from thence.models.registry import is_known, suppliers
from thence.plugins import missing
from thence.recipes.nested_models import family_names
from thence.recipes.recipe import FROM_RUN, PROVENANCE, Recipe
from thence.recipes.validation import check_type, shown
from thence.runs.looks_at_test import FACTS_OF_TEST, TEST

FORMAT = 1
FACTS: Mapping[str, Any] = {
    "thence": str,
    "python": str,
    "made": str,
    "tokenizer": str,
    "checksum": str,
    "sha256": Mapping[str, Any],
}
FACTS_OF_LABELS: Mapping[str, Any] = {"labels": tuple[str, ...], "several": bool}
CLUSTER = "cluster"
"""A table that says what was read on a cluster: numbers of files, documents, tokens and bytes."""
FROM = "from"
"""A table that says from which run a training went on, and at which step of that."""
FACTS_OF_PARENT: Mapping[str, Any] = {"run": str, "identity": str, "step": int}
FACTS_OF_CLUSTER = ("files", "documents", "tokens", "bytes")
KEPT = "kept"
"""A table of the texts that cannot be read again, with the files of the run that hold them."""
KEPT_NAME = re.compile(r"(?:(?:text|dev|test)(?:\.[a-z]+)?)?")
"""What such a file may be called, which is in the run folder and nowhere else."""
SPLITS = ("train", "dev", "test")
PACKAGES = "packages"
"""A table of the packages that supplied models or tokenizers, where they are not thence's own."""
SUPPLIED: Sequence[tuple[str, str, Callable[[str], bool]]] = (("models", "model", is_known),)
"""The tables in it, what is named there, and whether it is here."""


def provenance_of(
    recipe: Recipe, tokenizer: str, hashes: Mapping[str, str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what to write of where a run came from, but for the checksum.

    Args:
        recipe: What is going to be trained.
        tokenizer: The hash of the tokenizer.
        hashes: The SHA-256 of what the run is made from.
        more: What else to say.
    """
    names = family_names(recipe.model, recipe.options)
    packages = {"models": suppliers(names)}
    return {
        "format": FORMAT,
        "thence": version("thence"),
        "python": platform.python_version(),
        "made": now(),
        "tokenizer": tokenizer,
        "sha256": dict(hashes),
        **more,
    } | ({PACKAGES: packages} if any(packages.values()) else {})


def check_packages(content: Mapping[str, Any], folder: Path) -> None:
    """Refuse a run whose model or tokenizer comes from a package that is not installed here.

    Args:
        content: The config.
        folder: The run, for the message.

    Raises:
        RunError: Says what to install.
    """
    provenance = content.get(PROVENANCE)
    packages = provenance.get(PACKAGES) if isinstance(provenance, dict) else None
    if packages is None:
        return
    try:
        check_type(PACKAGES, packages, Mapping[str, Any])
        for group, what, known in SUPPLIED:
            suppliers = check_type(group, packages.get(group, {}), Mapping[str, Any])
            for name, supplier in suppliers.items():
                if not known(name):
                    what_is_missing = f"The {what} of the run {folder}"
                    raise RunError(missing(what_is_missing, name, check_type(name, supplier, str)))
    except SettingError as error:
        raise RunError(f"The packages that {folder} names are unusable: {error}") from error


def check_provenance(content: Mapping[str, Any], config: Path, labelled: bool) -> dict[str, Any]:
    """Return where a run came from, checked to be whole and of the right types.

    Args:
        content: The config.
        config: Its file, for messages.
        labelled: Whether the run must name labels.

    Raises:
        RunError: If it is of another format, was changed or is damaged.
    """
    found = content.get(PROVENANCE)
    if not isinstance(found, dict):
        raise RunError(f"{config} does not say where the run came from: it has no [{PROVENANCE}].")
    if found.get("format") != FORMAT:
        raise RunError(
            f"The run {config.parent} has format {shown(found.get('format'))}, this thence reads "
            f"{FORMAT}; use the version that made it ({shown(found.get('thence'))})."
        )
    facts = {**FACTS, **(FACTS_OF_LABELS if labelled else {})}
    try:
        for name, kind in facts.items():
            if name not in found:
                raise SettingError(f"it does not say its '{name}'.")
            check_type(name, found[name], kind)
        check_type("vectors", found.get("vectors"), str | None)
        check_type("launches", found.get("launches", ()), tuple[str, ...])
        for name, value in found["sha256"].items():
            check_type(name, value, str)
        for name, value in check_type(KEPT, found.get(KEPT, {}), Mapping[str, Any]).items():
            if not KEPT_NAME.fullmatch(check_type(name, value, str)):
                raise SettingError(f"it keeps its {shown(name)} in {shown(value)}.")
        if "arpa" not in found["sha256"] and set(found["sha256"]) != set(SPLITS):
            raise SettingError("it does not say the hashes of its text.")
        if CLUSTER in found:
            counted = check_type(CLUSTER, found[CLUSTER], Mapping[str, Any])
            for name in FACTS_OF_CLUSTER:
                check_type(name, counted.get(name), int)
        if FROM in found:
            parent = check_type(FROM, found[FROM], Mapping[str, Any])
            for name, kind in FACTS_OF_PARENT.items():
                check_type(name, parent.get(name), kind)
        if TEST in found:
            test = check_type(TEST, found[TEST], Mapping[str, Any])
            for name, kind in FACTS_OF_TEST.items():
                check_type(name, test.get(name), kind)
        if labelled and len(set(found["labels"])) != len(found["labels"]):
            raise SettingError("a label occurs twice.")
        if labelled and len(found["labels"]) < 2 - found["several"]:
            raise SettingError("there are too few labels to tell apart.")
        checksum = config_checksum(content)
    except SettingError as error:
        raise RunError(f"The [{PROVENANCE}] of {config} is unusable: {error}") from error
    except (RecursionError, ValueError) as error:
        raise RunError(f"{config} holds what no run does: {str(error)[:200]}.") from error
    if found["checksum"] != checksum:
        raise RunError(
            f"{config} was changed after the run was made, or is damaged; restore it from a "
            "copy or train again (only the paths of texts may be changed)."
        )
    return found


def config_checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a config, apart from the checksum itself and from where texts are.

    A text may be moved, and its path in the config changed: its content has hashes of its own. So
    may the run that a training went on from, of which the provenance has the identity.
    """
    apart = {
        "text": ("",),
        FROM_RUN: ("",),
        "splitting": ("dev", "test"),
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
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
