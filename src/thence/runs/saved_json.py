"""Reading results that were saved as JSON; the file may be damaged or come from anyone.

``read_json`` reads the file. The other functions check a value: they return it, or raise
``ValueError``. ``UNUSABLE`` has all errors that they, and indexing into the content, may raise.
"""

import json
import math
from pathlib import Path
from typing import Any

from thence.errors import RunError
from thence.runs.files import check_ordinary

UNUSABLE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError,
)  # fmt: skip
LARGEST = 1 << 28
"""Bytes of a file of results; one of 10,000 trials has some 3 million."""
MOST = 1e12
"""Value that every number of a result is below."""
LONGEST = 10_000
"""Characters of a text in a result; reasons of failure have at most 500."""
SHOWN = 40
MOST_LEVELS = 3
"""Of lists in lists; a space with values that are lists has two."""


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


def number(value: Any, least: float = -1.0, most: float = MOST) -> float:
    """Return a number above ``least`` and below ``most``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least < value < most:
        raise ValueError(f"{cut(value)} is no number that belongs there")
    return value


def number_or_none(value: Any, least: float = -1.0, most: float = MOST) -> float | None:
    """Return a number as ``number`` does, or None."""
    return None if value is None else number(value, least, most)


def whole(value: Any, most: float = MOST) -> int:
    """Return a whole number from 0 up."""
    if not isinstance(value, int):
        raise ValueError(f"{cut(value)} is no whole number")
    return int(number(value, most=most))


def loss(value: Any) -> float:
    """Return a loss; None stands for an infinite one."""
    return math.inf if value is None else number(value)


def text(value: Any) -> str:
    """Return a text of bearable length."""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise ValueError(f"{cut(value)} is no text that belongs there")
    return value


def table(value: Any) -> dict[str, Any]:
    """Return a table of values that settings have: plain ones, lists and tables of a few levels."""
    if not isinstance(value, dict):
        raise ValueError(f"{cut(value)} is no table")
    for one in value.values():
        _check_setting(one)
    return value


def _check_setting(value: Any, deeper: int = MOST_LEVELS) -> None:
    if isinstance(value, dict | list | tuple) and deeper:
        for one in value.values() if isinstance(value, dict) else value:
            _check_setting(one, deeper - 1)
    elif isinstance(value, str):
        text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number that belongs there")
    elif not isinstance(value, bool | int | float | None):
        raise ValueError(f"{cut(value)} is no value of a setting")


def cut(value: Any) -> str:
    """Return a value for a message."""
    try:
        return repr(value)[:SHOWN]
    except (ValueError, RecursionError):
        return "a value"
