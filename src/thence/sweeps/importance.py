"""How much each field of a sweep matters.

The share of the differences in rank between trials that a field explains by itself: trials are
grouped by its value (numbers of a range into four groups of about equal size), and what remains
within the groups is not its work. What chance alone would explain is taken off, as far as the sum
of what all fields do leaves differences unexplained. Ranks, since a single training that went
astray would outweigh all others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

GROUPS = 4
"""How many groups numbers are put into."""

Whole = np.ndarray[Any, np.dtype[np.int64]]
Real = np.ndarray[Any, np.dtype[np.float64]]


def importances(points: Sequence[Mapping[str, Any]], values: Sequence[float]) -> dict[str, float]:
    """Return the share of the differences that each field explains, the greatest first.

    Args:
        points: The fields of each trial; those that lack a field are a group of their own.
        values: What each trial came to.
    """
    if not points:
        return {}
    names = dict.fromkeys(name for point in points for name in point)
    ranks = _ranks(values)
    tables = {name: _membership([point.get(name) for point in points]) for name in names}
    whole = float(ranks @ ranks)
    noise = _noise(list(tables.values()), ranks)
    found = {}
    for name, table in tables.items():
        groups = table.shape[1]
        explained = whole - _left(table, ranks) - (groups - 1) * noise
        found[name] = max(0.0, explained / whole) if whole and groups > 1 else 0.0
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _ranks(values: Sequence[float]) -> Real:
    """Return the place of each value in their order from the middle, equal ones at the same."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    centred: Real = ranks - ranks.mean()
    return centred


def _membership(values: Sequence[Any]) -> Real:
    """Return which group each value is in: a row per value, a column per group."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    places: Whole
    if len(numbers) == len(values) and 2 * len(set(values)) > len(values):
        number = max(1, min(GROUPS, len(values) // 2))
        borders = np.quantile(numbers, np.arange(1, number) / number)
        places = np.searchsorted(borders, numbers)
    else:
        places = np.unique([str(value) for value in values], return_inverse=True)[1]
    table: Real = (places[:, None] == np.unique(places)).astype(np.float64)
    return table


def _left(table: Real, ranks: Real) -> float:
    """Return the sum of squares that is left when each column has what fits it best."""
    fitted = table @ np.linalg.lstsq(table, ranks, rcond=None)[0]
    return float(np.sum((ranks - fitted) ** 2))


def _noise(tables: Sequence[Real], ranks: Real) -> float:
    """Return what a group more would explain by chance; all, where nothing can be told."""
    together = np.hstack(tables)
    free = len(ranks) - int(np.linalg.matrix_rank(together))
    return _left(together, ranks) / free if free > 0 else float("inf")
