"""Plots of a sweep: the charts of its page, and the importance of its fields as bars."""

from thence.reports import style
from thence.reports.plots.charts import to_figure
from thence.reports.sweep_charts import sweep_charts
from thence.sweeps import Sweep

BAR_HEIGHT = 0.32
"""Height of a bar with its margin, in inches."""


def sweep_plots(sweep: Sweep) -> list[style.Plot]:
    """Draw all plots of a sweep; none if no trial has finished."""
    if not sweep.ranked():
        return []
    drawn = [to_figure(name, chart) for name, chart in sweep_charts(sweep).items()]
    return [drawn[0], plot_importance(sweep), *drawn[1:]]


def plot_importance(sweep: Sweep) -> style.Plot:
    """Draw the importance of each field: the share of differences between trials it explains."""
    names, shares = list(sweep.importances), list(sweep.importances.values())
    figure, axes = style.new_figure(7.5, 1.2 + BAR_HEIGHT * len(names))
    axes.barh(range(len(names)), shares, color=style.BLUE, height=0.7)
    axes.set_yticks(
        range(len(names)), [style.shortened(name, 24) for name in names], **style.plain()
    )
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    style.in_percent(axes.xaxis)
    style.add_grid(axes, "x")
    x = "share of the differences between trials that the field explains by itself"
    style.add_titles(axes, "Importance of the fields", x, "")
    listed = ", ".join(f"{name} {share:.0%}" for name, share in sweep.importances.items())
    return style.Plot(
        "importance", "Importance of the fields", f"{x.capitalize()}: {listed}.", figure
    )
