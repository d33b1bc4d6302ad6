"""The learning curves of several runs in one picture, against the steps and against the time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter

from thence.reports.curves import Metrics, column, has_curves
from thence.reports.drawing import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    Picture,
    new_stack,
    plain,
    set_titles,
    shortened,
)
from thence.runs import Run

COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#8c6bb1", "#a08000", "#c0392b", "#56b4e9")
"""Told apart with most kinds of colour vision, and seen on white and on black."""
MARKERS = "osD^vPX"
LONGEST_NAME = 40
LONGEST_OF_THREE = 22
"""Characters of a name with which three have room beside each other in the legend."""
LARGE_RATIO = 10
"""How much longer than the shortest the longest training is for a logarithmic axis."""
X_AXES = {"step": "training steps", "seconds": "seconds of training"}


def comparison_picture(runs: Mapping[str, Run], unit: str) -> Picture | None:
    """Draw the dev curves of runs that were judged on the same text; None where none has any.

    Args:
        runs: By name.
        unit: ``nats per token``, ``bits per byte`` or ``accuracy``.
    """
    curves = {name: (run.metrics(), _heights(run, unit)) for name, run in runs.items()}
    curves = {name: curve for name, curve in curves.items() if np.isfinite(curve[1]).any()}
    if not any(has_curves(metrics) for metrics, _ in curves.values()):
        return None
    named = ", ".join(curves)
    description = f"{unit.capitalize()} on dev against training steps and time, of {named}."
    return Picture("comparison", "Learning curves", description, draw_curves(curves, unit))


def _heights(run: Run, unit: str) -> Float[np.ndarray, " looks"]:
    metrics = run.metrics()
    if unit == "accuracy":
        return column(metrics, "dev_accuracy")
    nats = column(metrics, "dev_nats_per_token")
    if unit == "nats per token":
        return nats
    return nats / (math.log(2) * run.store("dev").bytes_per_target)


def draw_curves(
    curves: Mapping[str, tuple[Metrics, Float[np.ndarray, " looks"]]], unit: str
) -> Figure:
    """Draw curves twice, by steps and by time; a model that was made in one step is a dashed line.

    Args:
        curves: The lines of ``metrics.jsonl`` and the height at each, by name.
        unit: What the heights are.
    """
    height = 7 + 0.1 * len(curves)
    figure, both = new_stack(7.5, height, [1, 1], one_x=False)
    title = "Accuracy on dev" if unit == "accuracy" else "Loss on dev"
    y = "share of documents right" if unit == "accuracy" else f"loss ({unit})"
    for axes, (name, x) in zip(both, X_AXES.items(), strict=True):
        handles = [
            _draw(axes, place, column(metrics, name), heights)
            for place, (metrics, heights) in enumerate(curves.values())
        ]
        _scale(axes, [metrics for metrics, _ in curves.values() if has_curves(metrics)], name)
        axes.grid(color=FAINT, linewidth=0.6)
        set_titles(axes, title if name == "step" else "", x, y)
    if unit == "accuracy":
        both[0].yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    _legend(figure, handles, list(curves))
    return figure


def _draw(
    axes: Axes, place: int, x: Float[np.ndarray, " looks"], y: Float[np.ndarray, " looks"]
) -> Line2D:
    """Draw one curve in a colour of its own, or with another marker once all are taken."""
    color = COLOURS[place % len(COLOURS)]
    if len(x) == 1:
        return axes.axhline(float(y[0]), color=color, linestyle="--", linewidth=1.3)
    marker = MARKERS[place // len(COLOURS) % len(MARKERS)]
    (line,) = axes.plot(x, y, color=color, marker=marker, markersize=4)
    return line


def _scale(axes: Axes, trained: Sequence[Sequence[Mapping[str, Any]]], name: str) -> None:
    """Begin at 0, unless some trainings are so short that they could not be seen then."""
    ends = [metrics[-1][name] for metrics in trained]
    if min(ends) <= 0 or max(ends) / min(ends) <= LARGE_RATIO:
        axes.set_xlim(left=0)
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, handles: Sequence[Line2D], names: Sequence[str]) -> None:
    """Name the curves below; as written, though matplotlib leaves out what begins with ``_``."""
    columns = 3 if max(map(len, names)) <= LONGEST_OF_THREE else 2
    legend = figure.legend(
        handles,
        [str(place) for place in range(len(names))],
        loc="outside lower left",
        ncols=min(columns, len(names)),
        frameon=False,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_fontfamily(plain()["fontfamily"])
        text.set_color(INK)
        text.set_text(shortened(name, LONGEST_NAME))
