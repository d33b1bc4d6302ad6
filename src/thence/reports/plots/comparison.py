"""The learning curves of several runs in one figure, against the steps and against the time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from thence.reports import style
from thence.reports.plots.training import Metrics, column, has_curves
from thence.runs import Run

LONGEST_NAME = 40
LONGEST_OF_THREE = 22
"""Characters of a name with which three have room beside each other in the legend."""
LARGE_RATIO = 10
"""How many times longer than the shortest the longest training is for a logarithmic axis."""
X_AXES = {"step": "training steps", "seconds": "seconds of training"}

Curve = tuple[Metrics, Float[np.ndarray, " evaluations"]]
"""The lines of ``metrics.jsonl``, and the height of the curve at each."""


def plot_comparison(runs: Mapping[str, Run], unit: str) -> style.Plot | None:
    """Draw the dev curves of runs with the same dev documents; None where none has any.

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
    return style.Plot("comparison", "Learning curves", description, draw_comparison(curves, unit))


def _heights(run: Run, unit: str) -> Float[np.ndarray, " evaluations"]:
    metrics = run.metrics()
    if unit == "accuracy":
        return column(metrics, "dev_accuracy")
    nats = column(metrics, "dev_nats_per_token")
    if unit == "nats per token":
        return nats
    return nats / (math.log(2) * run.store("dev").bytes_per_target)


def draw_comparison(curves: Mapping[str, Curve], unit: str) -> Figure:
    """Draw curves twice, by steps and by time; a model that was made in one step is a dashed line.

    Args:
        curves: By name.
        unit: Of the heights.
    """
    figure, both = style.new_stack(7.5, 7 + 0.1 * len(curves), [1, 1], share_x=False)
    is_accuracy = unit == "accuracy"
    title = "Accuracy on dev" if is_accuracy else "Loss on dev"
    y = "share of documents right" if is_accuracy else f"loss ({unit})"
    for axes, (name, x) in zip(both, X_AXES.items(), strict=True):
        handles = [
            _draw(axes, place, column(metrics, name), heights)
            for place, (metrics, heights) in enumerate(curves.values())
        ]
        _scale(axes, [metrics for metrics, _ in curves.values() if has_curves(metrics)], name)
        style.add_grid(axes)
        style.add_titles(axes, title if name == "step" else "", x, y)
    if is_accuracy:
        style.in_percent(both[0].yaxis)
    _add_legend(figure, handles, list(curves))
    return figure


def _draw(
    axes: Axes,
    place: int,
    x: Float[np.ndarray, " evaluations"],
    y: Float[np.ndarray, " evaluations"],
) -> Line2D:
    """Draw one curve in a colour of its own, or with another marker once all are taken."""
    color = style.COLOURS[place % len(style.COLOURS)]
    if len(x) == 1:
        return axes.axhline(float(y[0]), color=color, linestyle="--", linewidth=1.3)
    marker = style.MARKERS[place // len(style.COLOURS) % len(style.MARKERS)]
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


def _add_legend(figure: Figure, handles: Sequence[Line2D], names: Sequence[str]) -> None:
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
        text.set_fontfamily(style.plain()["fontfamily"])
        text.set_color(style.INK)
        text.set_text(style.shortened(name, LONGEST_NAME))
