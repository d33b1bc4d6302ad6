"""How much each field of a sweep matters.

A one-way analysis of variance of the trials' ranks: trials are grouped by the value of a field
(numbers of a range into four groups of about equal size), and the field explains what does not
remain within the groups. What chance alone would explain is subtracted, by the variance that all
fields together leave unexplained. Ranks are compared, not losses, since a single training that
diverged would outweigh all others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

GROUPS = 4
"""Groups of about equal size that numbers are put into."""

Integers = np.ndarray[Any, np.dtype[np.int64]]
Reals = np.ndarray[Any, np.dtype[np.float64]]


def importances(points: Sequence[Mapping[str, Any]], values: Sequence[float]) -> dict[str, float]:
    """Return the share of the differences that each field explains, the greatest first.

    Args:
        points: The fields of each trial; those that lack a field are a group of their own.
        values: The loss or accuracy of each trial.
    """
    if not points:
        return {}
    names = dict.fromkeys(name for point in points for name in point)
    ranks = _ranks(values)
    tables = {name: _indicators([point.get(name) for point in points]) for name in names}
    whole = float(ranks @ ranks)
    noise = _noise(list(tables.values()), ranks)
    found = {}
    for name, table in tables.items():
        groups = table.shape[1]
        explained = whole - _residual(table, ranks) - (groups - 1) * noise
        found[name] = max(0.0, explained / whole) if whole and groups > 1 else 0.0
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _ranks(values: Sequence[float]) -> Reals:
    """Return the centred rank of each value; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    centred: Reals = ranks - ranks.mean()
    return centred


def _indicators(values: Sequence[Any]) -> Reals:
    """Return a 1 for the group of each value: a row per value, a column per group."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    places: Integers
    if len(numbers) == len(values) and 2 * len(set(values)) > len(values):
        number = max(1, min(GROUPS, len(values) // 2))
        borders = np.quantile(numbers, np.arange(1, number) / number)
        places = np.searchsorted(borders, numbers)
    else:
        places = np.unique([str(value) for value in values], return_inverse=True)[1]
    table: Reals = (places[:, None] == np.unique(places)).astype(np.float64)
    return table


def _residual(table: Reals, ranks: Reals) -> float:
    """Return the sum of squares that a least-squares fit of the columns leaves."""
    fitted = table @ np.linalg.lstsq(table, ranks, rcond=None)[0]
    return float(np.sum((ranks - fitted) ** 2))


def _noise(tables: Sequence[Reals], ranks: Reals) -> float:
    """Return what one more group would explain by chance; infinity where that is unknown."""
    together = np.hstack(tables)
    free = len(ranks) - int(np.linalg.matrix_rank(together))
    return _residual(together, ranks) / free if free > 0 else float("inf")
