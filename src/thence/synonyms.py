"""Names that other tools use for our commands, settings and models, for hints in messages."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal


@cache
def synonyms(kind: Literal["commands", "settings", "models"]) -> Mapping[str, str]:
    """Return our names by those of other tools (``synonyms.toml``)."""
    path = Path(__file__).with_suffix(".toml")
    found: Mapping[str, str] = tomllib.loads(path.read_text("utf-8"))[kind]
    return found
