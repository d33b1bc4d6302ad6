"""The fields of a sweep as axes: where on it each value has its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.reports.drawing import shortened
from thence.sweeps import Sweep

FAR = 4.0
"""How many times further up than three quarters of the trials are spread a loss is left out."""
LONGEST_TICK = 14


@dataclass(frozen=True)
class Field:
    """A field as an axis.

    Attributes:
        name: Of the field.
        values: The different values that were tried; of a range the ends of it.
        ticks: Where the names of choices stand, and the names; None for the numbers of a range.
        is_log: Whether the axis is logarithmic.
        is_whole: Whether there are only whole numbers on it.
    """

    name: str
    values: tuple[Any, ...]
    ticks: tuple[list[int], list[str]] | None
    is_log: bool
    is_whole: bool = False

    def place(self, value: Any) -> float:
        """Return where a value is on the axis; nan for a trial that has none."""
        if value is None:
            return float("nan")
        if self.ticks is None:
            return float(value)
        return float([_key(one) for one in self.values].index(_key(value)))


def fields_in(sweep: Sweep) -> list[Field]:
    """Return the fields of a sweep, in the order of the space."""
    found = []
    for name, written in sweep.space.items():
        if isinstance(written, dict):
            ends = (written["low"], written["high"])
            is_whole = all(isinstance(end, int) for end in ends)
            found.append(Field(name, ends, None, bool(written.get("log")), is_whole))
            continue
        names = [shortened(_text(value), LONGEST_TICK) for value in written]
        found.append(Field(name, tuple(written), (list(range(len(names))), names), False))
    return found


def _key(value: Any) -> str:
    return str(list(value)) if isinstance(value, list | tuple) else f"{type(value)}{value}"


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def clipped(values: Sequence[float]) -> float | None:
    """Return the top of an axis that leaves out a few losses far above the others; None for all.

    >>> clipped([2.0, 2.1, 2.2, 2.3, 9.0])
    3.5
    """
    if len(values) < 4:
        return None
    low, quarter = np.quantile(values, [0, 0.75])
    top = float(quarter + FAR * (quarter - low))
    return round(top, 12) if max(values) > top > low else None
