"""Names of our commands, settings and models in other tools, for suggestions in messages."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal


@cache
def synonyms(kind: Literal["commands", "settings", "models"]) -> Mapping[str, str]:
    """Return what to write here, by its name elsewhere; the file is read when first asked for."""
    path = Path(__file__).with_suffix(".toml")
    found: Mapping[str, str] = tomllib.loads(path.read_text("utf-8"))[kind]
    return found
