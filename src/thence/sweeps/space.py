"""The search space of a sweep: for each setting the values that may be tried."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from thence.errors import SettingError, nearest
from thence.settings import as_in_file, validate

RANGE_KEYS = ("low", "high", "step", "log")
NUMBER = int | float


@dataclass(frozen=True)
class Choices:
    """A categorical setting: a list of values.

    Attributes:
        values: The values, in the order of the recipe.
    """

    values: tuple[Any, ...]

    @property
    def encoded(self) -> list[Any]:
        """The values in types that Optuna can store: other ones than numbers and text as JSON."""
        return [v if isinstance(v, int | float | str) else json.dumps(v) for v in self.values]

    def decoded(self, kept: Any) -> Any:
        """Return the value that Optuna has stored as ``kept``."""
        return self.values[self.encoded.index(kept)]

    def points(self) -> tuple[Any, ...]:
        """Return every value, for a grid search."""
        return self.values

    def __len__(self) -> int:
        return len(self.values)

    def ends(self) -> tuple[Any, ...]:
        """Return the values to check: if they are valid, so are all others."""
        return self.values

    def to_toml(self) -> Any:
        """Return the values as they are written in a recipe."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A numeric setting: all numbers from ``low`` to ``high``.

    Attributes:
        low: The smallest number.
        high: The largest number.
        step: The distance between two numbers; None for a continuous range.
        log: Whether numbers are drawn uniformly in their logarithm.
        whole: Whether only integers are tried.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    whole: bool = False

    def decoded(self, kept: Any) -> Any:
        """Return the value that Optuna has stored as ``kept``."""
        return int(kept) if self.whole else float(kept)

    def points(self) -> tuple[Any, ...]:
        """Return every value, for a grid search; empty for a continuous range."""
        found = (self.low + place * (self.step or 0) for place in range(len(self)))
        return tuple(self.decoded(round(value, 12)) for value in found)

    def __len__(self) -> int:
        if self.step is None or self.log:
            return 0
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def ends(self) -> tuple[Any, ...]:
        """Return the values to check: if they are valid, so are all others."""
        return (self.low, self.high)

    def to_toml(self) -> Any:
        """Return the range as it is written in a recipe."""
        found = {"low": self.low, "high": self.high, "step": self.step, "log": self.log}
        return {name: value for name, value in found.items() if value is not None}


Space = Mapping[str, Choices | Range]


def read_dimension(name: str, written: Any, kinds: Sequence[type]) -> Choices | Range:
    """Return the search space of one setting.

    Args:
        name: The name of the setting.
        written: Its value in the recipe: a list of choices, or the table of a range.
        kinds: Which of ``int`` and ``float`` the setting may be; empty if it is not a number.

    Raises:
        SettingError: If ``written`` is neither, or empty, or low is not below high.
    """
    if isinstance(written, dict):
        return _read_range(name, written, kinds)
    if not isinstance(written, list | tuple):
        raise SettingError(
            f"the space of '{name}' is {written!r}; it must be a list of choices such as [1, 2], "
            "or a table such as {low = 1, high = 9}."
        )
    values = [tuple(value) if isinstance(value, list) else value for value in written]
    if not values:
        raise SettingError(f"the space of '{name}' is empty; give at least one choice.")
    twice = next((value for at, value in enumerate(values) if value in values[:at]), None)
    if twice is not None:
        raise SettingError(f"the space of '{name}' has {twice!r} twice; leave one out.")
    return Choices(tuple(values))


def _read_range(name: str, table: Mapping[str, Any], kinds: Sequence[type]) -> Range:
    where = f"the space of '{name}'"
    for key in table:
        if key not in RANGE_KEYS:
            raise SettingError(
                f"{where} has an unknown part '{key}'; a range has {', '.join(RANGE_KEYS)}."
                + nearest(key, RANGE_KEYS)
            )
    if not kinds:
        raise SettingError(f"{where} is a range, but '{name}' is no number; give a list instead.")
    whole = float not in kinds
    try:
        low, high = (validate(key, table[key], int if whole else float) for key in RANGE_KEYS[:2])
        step = validate("step", table.get("step"), int | None if whole else float | None)
        log = validate("log", table.get("log", False), bool)
    except KeyError as error:
        raise SettingError(f"{where} lacks {error.args[0]!r}: {{low = 1, high = 9}}.") from error
    except SettingError as error:
        raise SettingError(f"{where}: {as_in_file(error)}") from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingError(f"{where} goes from {low} to {high}; low must be below high.")
    if log and (low <= 0 or step is not None):
        raise SettingError(f"{where} is logarithmic; it must begin above 0 and has no step.")
    if step is not None and not 0 < step <= high - low:
        raise SettingError(f"{where} has step {step}; it must be from above 0 to high - low.")
    if whole and not log:
        step = step or 1
    return Range(low, high, step, log, whole)


def grid_points(space: Space) -> list[dict[str, Any]]:
    """Return every combination of values; the last field changes fastest.

    Raises:
        SettingError: If a setting has a continuous range.
    """
    for name, dimension in space.items():
        if not dimension.points():
            raise SettingError(
                f"the space of '{name}' has no steps, so that a grid cannot try every value; give "
                'a list, or a step, or sampler = "random".'
            )
    combinations = product(*(dimension.points() for dimension in space.values()))
    return [dict(zip(space, values, strict=True)) for values in combinations]
