"""Parallel coordinates: each trial of a sweep as a line through its fields to its loss."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thence.reports.drawing import (
    COLOUR_MAP,
    INK,
    ORANGE,
    new_figure,
    plain,
    set_titles,
    shortened,
)
from thence.reports.sweep_fields import Field, clipped
from thence.sweeps import Trial

MOST_LINES = 300
"""Trials that are drawn: the best."""
SWAY = 0.04
"""How far apart lines run that have the same choice, at most."""


def draw_parallel(
    trials: Sequence[Trial],
    values: Sequence[float],
    fields: Sequence[Field],
    name: str,
    more_is_better: bool,
) -> Figure:
    """Draw finished trials as lines.

    Args:
        trials: Best first.
        values: The loss or accuracy of each.
        fields: The axes before that of the value.
        name: Of the value.
        more_is_better: Whether it is an accuracy.
    """
    trials, values = trials[:MOST_LINES], values[:MOST_LINES]
    top = None if more_is_better else clipped(values)
    low, high = min(values), max(values) if top is None else top
    figure, axes = new_figure(max(7.5, 1.5 * (len(fields) + 1)), 4.2)
    colours = matplotlib.colormaps[COLOUR_MAP]
    for rank in reversed(range(len(trials))):
        share = rank / max(1, len(trials) - 1)
        sway = SWAY * math.sin(2.4 * rank)  # Lines through one choice lie beside each other.
        heights = [
            _height(field, trials[rank].fields.get(field.name))
            + (sway if field.ticks is not None and len(field.values) > 1 else 0)
            for field in fields
        ]
        heights.append(_share(min(values[rank], high), low, high))
        # From blue to yellow: seen on white and, all but the lightest, on black.
        color = ORANGE if rank == 0 else colours(0.3 + 0.65 * share)
        width = 2.6 if rank == 0 else 1.1
        axes.plot(range(len(heights)), heights, color=color, linewidth=width, zorder=2 - share)
    for place, field in enumerate(fields):
        _axis(axes, place, field)
    for height, value in ((0.0, low), (1.0, high)):
        _label(axes, len(fields), height, f"{value:.2%}" if more_is_better else f"{value:.4g}")
    names = [shortened(field.name, 18) for field in fields] + [name.partition(" (")[0]]
    axes.set_xticks(range(len(names)), names, **plain())
    for place in range(len(names)):
        axes.axvline(place, color=INK, linewidth=0.8, zorder=3)
    axes.set_xlim(-0.3, len(fields) + 0.45)
    axes.set_ylim(-0.08, 1.08)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    title = "All fields side by side (orange: the best; blue is better than yellow)"
    set_titles(axes, title, "", "")
    return figure


def _axis(axes: Axes, place: int, field: Field) -> None:
    if field.ticks is None:
        for value in field.values:
            _label(axes, place, _height(field, value), f"{value:.4g}")
        return
    for value, text in zip(field.values, field.ticks[1], strict=True):
        _label(axes, place, _height(field, value), text)


def _label(axes: Axes, place: int, height: float, text: str) -> None:
    box = {"boxstyle": "round,pad=0.15", "facecolor": axes.get_facecolor(), "edgecolor": "none"}
    style: dict[str, Any] = {
        "color": INK,
        "fontsize": "small",
        "va": "center",
        "bbox": box,
        "zorder": 4,
    }
    axes.text(place + 0.06, height, text, **style, **plain())


def _height(field: Field, value: object) -> float:
    """Return the height of a value, from 0 to 1; nan for none."""
    place = field.place(value)
    if field.ticks is not None:
        return 0.5 if len(field.values) == 1 else place / (len(field.values) - 1)
    low, high = (float(end) for end in field.values)
    if field.is_log:
        return _share(math.log(place), math.log(low), math.log(high)) if place > 0 else math.nan
    return _share(place, low, high)


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high == low else (value - low) / (high - low)
