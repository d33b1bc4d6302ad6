"""Reading results that were saved as JSON; the file may be damaged or come from anyone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thence.errors import RunError, SettingError
from thence.runs.files import check_ordinary
from thence.settings import Kind, as_in_file, from_json

UNUSABLE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError,
)  # fmt: skip
"""Errors that damaged content may raise where its form is another library's."""
FORMAT = 1
"""The number of the format of such files; those of sweeps do not say it."""
LARGEST = 1 << 28
"""Bytes of a file of results; one of 10,000 trials has some 3 million."""


def read_saved(path: Path, kind: type[Kind], way_out: str, **more: Any) -> Kind:
    """Return what was saved, as the dataclass that declares it.

    Args:
        path: The file.
        kind: A dataclass based on ``Saved``.
        way_out: What to do where the file is damaged, for the message.
        **more: Parts that the file does not hold, such as where it is.

    Raises:
        OSError: If it cannot be read.
        RunError: If it is no ordinary file, larger than any that was saved, or damaged.
    """
    try:
        content = read_json(path)
        if isinstance(content, Mapping) and content.get("format", FORMAT) != FORMAT:
            raise RunError(f"{path} was written by another version of thence.")
        return from_json(kind, {**content, **more} if isinstance(content, Mapping) else content)
    except (ValueError, SettingError) as error:
        raise RunError(f"{path} is damaged ({as_in_file(error)}); {way_out}.") from error


def read_json(path: Path) -> Any:
    """Return what a file of JSON holds.

    Raises:
        OSError: If it cannot be read.
        RunError: If it is no ordinary file, or larger than any that was saved.
        ValueError: If it is not JSON, or holds lists within lists without end.
    """
    check_ordinary(path)
    if path.stat().st_size > LARGEST:
        raise RunError(f"{path} has {path.stat().st_size:,} bytes, which no result has.")
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("lists within lists without end") from error
