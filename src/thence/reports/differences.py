"""The settings of runs, and those in which they differ."""

from collections.abc import Sequence
from typing import Any

from thence.recipes.recipe import PROVENANCE
from thence.recipes.toml_files import read_toml_file
from thence.runs import Run

ABSENT = "–"
HASHES = f"{PROVENANCE}.sha256."
LONGEST = 80
"""Characters of a value that are shown."""
SHOWN = 8
"""Digits of a hash: enough to tell texts apart."""


def settings_of(run: Run) -> list[tuple[str, Any]]:
    """Return everything that the config says, as dotted names and values."""
    return flat(read_toml_file(run.folder / "config.toml"))


def differing_settings(runs: Sequence[Run]) -> list[list[str]]:
    """Return a row for each setting that not all runs have alike: its name, then a value for each.

    Of where a run came from only what its text was counts, as a hash, and the version.
    """
    found = [dict(_compared(run)) for run in runs]
    names = dict.fromkeys(name for settings in found for name in settings)
    rows = ([name, *(settings.get(name, ABSENT) for settings in found)] for name in names)
    return [[row[0], *map(_shortened, row[1:])] for row in rows if len(set(row[1:])) > 1]


def _shortened(text: str) -> str:
    """Leave out the middle of a long value, as of a path: such often differ at the end."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}…{text[-half:]}"


def _compared(run: Run) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in settings_of(run):
        if name.startswith(HASHES):
            rows.append((f"{name.removeprefix(HASHES)} (SHA-256)", f"{str(value)[:SHOWN]}…"))
        elif name == f"{PROVENANCE}.thence" or not name.startswith(f"{PROVENANCE}."):
            rows.append((name.removeprefix(f"{PROVENANCE}."), str(value)))
    return rows


def flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested tables as dotted names and values.

    >>> flat({"model": "mlp", "training": {"lr": 0.1}})
    [('model', 'mlp'), ('training.lr', 0.1)]
    """
    rows: list[tuple[str, Any]] = []
    for name, value in content.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows
