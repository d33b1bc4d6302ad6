"""Charts (``content.Chart``) as figures of matplotlib, those of a training among them."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from thence.reports import style
from thence.reports.content import Chart, Series
from thence.reports.training import curves
from thence.runs import Run

WIDTH = 7.5
"""Width of a figure, in inches."""
INCHES_PER_REM = 0.26
LEAST_HEIGHT = 2.6
FORMS: dict[str, dict[str, Any]] = {
    "line": {"linewidth": 1.6},
    "steps": {"linewidth": 1.6, "drawstyle": "steps-post"},
    "dashes": {"linewidth": 1.2, "linestyle": "--"},
    "points": {"linestyle": "none", "markersize": 5},
}
MOST_DOTS = 100
"""Longest named line whose points have markers."""


def to_figure(name: str, chart: Chart) -> style.Plot:
    """Return a chart as a figure; ``name`` is its file name."""
    figure, axes = style.new_figure(WIDTH, max(LEAST_HEIGHT, INCHES_PER_REM * chart.height))
    for number, one in enumerate(chart.series):
        _draw(axes, one, style.MARKERS[number % len(style.MARKERS)])
    if chart.is_log:
        axes.set_xscale("log")
    elif chart.tick_names:
        names = [style.shortened(text, 18) for text in chart.tick_names]
        axes.set_xticks(range(len(names)), names, **style.plain())
    elif all(x == round(x) for one in chart.series for x, _ in one.points if math.isfinite(x)):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if chart.is_log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    if chart.tick_names and not chart.y:
        axes.set_yticks([])
    if chart.in_percent:
        style.in_percent(axes.yaxis)
    if chart.limits is not None:
        axes.set_ylim(*chart.limits)
    for x, y, text in chart.labels:
        look: dict[str, Any] = {"color": style.INK, "fontsize": "small", "va": "center"}
        axes.text(x, y, f" {style.shortened(text)}", zorder=4, **look, **style.plain())
    style.add_grid(axes)
    if any(one.name for one in chart.series):
        style.add_legend(axes, fontsize="small")
    style.add_titles(axes, chart.title, style.shortened(chart.x), chart.y)
    return style.Plot(name, chart.title, chart.description, figure)


def _draw(axes: Axes, one: Series, marker: str) -> None:
    points = [(x, y) for x, y in one.points if math.isfinite(x) and math.isfinite(y)]
    if not points:
        return
    is_marked = one.form == "points" or (
        one.form == "line" and one.name != "" and len(points) <= MOST_DOTS
    )
    more = {"marker": marker if is_marked or len(points) == 1 else None, "markersize": 4}
    label = style.shortened(one.name) if one.name else None
    axes.plot(*zip(*points, strict=True), color=one.colour, label=label, **more | FORMS[one.form])


def training_plots(run: Run) -> list[style.Plot]:
    """Draw the curves of a training; none for a model that was fitted in one step."""
    return [to_figure(name, chart) for name, chart in curves(run, in_bits=False).items()]


def plot_loss(run: Run) -> style.Plot | None:
    """Draw the loss on train and dev against the steps; None for a model fitted in one step."""
    return next(iter(training_plots(run)), None)
