"""How much each field of a sweep matters.

The share of the differences in rank between trials that a field explains by itself: trials are
grouped by its value (numbers of a range into four groups of about equal size), and what remains
within the groups is not its work. What chance alone would explain is taken off (epsilon squared of
Kruskal and Wallis). Ranks, since a single training that went astray would outweigh all others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

GROUPS = 4
"""How many groups numbers are put into."""


def importances(points: Sequence[Mapping[str, Any]], values: Sequence[float]) -> dict[str, float]:
    """Return the share of the differences that each field explains, the greatest first.

    Args:
        points: The fields of each trial; trials that lack a field do not count for it.
        values: What each trial came to.
    """
    names = dict.fromkeys(name for point in points for name in point)
    found = {}
    for name in names:
        having = [place for place, point in enumerate(points) if name in point]
        groups = _groups([points[place][name] for place in having])
        found[name] = _explained(groups, _ranks([values[place] for place in having]))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _groups(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the number of each value's group."""
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if numeric and 2 * len(set(values)) > len(values):
        number = max(1, min(GROUPS, len(values) // 2))
        borders = np.quantile(values, np.arange(1, number) / number)
        return np.searchsorted(borders, values)
    known = {value: place for place, value in enumerate(dict.fromkeys(map(str, values)))}
    return np.array([known[str(value)] for value in values])


def _ranks(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the place of each value in their order, equal ones at the same."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: np.ndarray[Any, np.dtype[np.float64]] = (last - (counts - 1) / 2)[place]
    return ranks


def _explained(
    groups: np.ndarray[Any, np.dtype[np.int64]], values: np.ndarray[Any, np.dtype[np.float64]]
) -> float:
    number, used = len(values), len(set(groups.tolist()))
    if number <= used or used < 2:
        return 0.0
    whole = float(np.sum((values - values.mean()) ** 2))
    if whole == 0:
        return 0.0
    within = sum(
        float(np.sum((own - own.mean()) ** 2))
        for group in set(groups.tolist())
        if len(own := values[groups == group])
    )
    by_chance = (used - 1) * within / (number - used)
    return max(0.0, (whole - within - by_chance) / whole)
