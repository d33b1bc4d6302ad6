"""Plots of a sweep: its history, which fields matter, and the trials against each field."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from thence.reports import style
from thence.reports.sweep_charts import (
    MOST_LINES,
    Field,
    fields_of,
    heights_of,
    result,
    result_name,
    share_of,
    top_without_outliers,
)
from thence.sweeps import Sweep

PRUNED = "#8a939c"
"""A grey that is seen on white and on black."""
BAR_HEIGHT = 0.32
"""Inches of a bar and the space around it."""


def sweep_plots(sweep: Sweep) -> list[style.Plot]:
    """Draw every plot that a sweep has the data for."""
    if not sweep.ranked():
        return []
    drawn = [plot_history(sweep), plot_importance(sweep)]
    if len(sweep.ranked()) > 1:
        fields = fields_of(sweep)
        drawn += [plot_parallel(sweep, fields), *(plot_field(sweep, field) for field in fields)]
        drawn.append(plot_cost(sweep, "parameters", "What size buys", "parameters"))
        drawn.append(plot_cost(sweep, "seconds", "What time buys", "seconds of training"))
    return drawn


def plot_history(sweep: Sweep) -> style.Plot:
    """Draw every trial in order, and the best so far."""
    found = sweep.best_trial
    description = (
        f"{result_name(sweep).capitalize()} of {len(sweep.trials)} trials in order. The best is "
        f"{found.name}: {result(sweep, found):.4f}."
    )
    numbers = [trial.number for trial in sweep.trials]
    plot, axes = _scatter(sweep, numbers, "history", "Trials in order", "trial", description)
    ranked, steps = sweep.ranked(), []
    for trial in sweep.trials:
        best = next((other for other in ranked if other.number <= trial.number), None)
        if best is not None:
            steps.append((trial.number, result(sweep, best)))
    x, y = zip(*steps, strict=True)
    axes.plot(x, y, color=style.BLUE, drawstyle="steps-post", linewidth=1.5, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.add_legend(axes, labelcolor="linecolor", fontsize="small")
    return plot


def plot_importance(sweep: Sweep) -> style.Plot:
    """Draw how much of the differences between trials each field explains."""
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
    style.add_titles(axes, "What matters", x, "")
    listed = ", ".join(f"{name} {share:.0%}" for name, share in sweep.importances.items())
    return style.Plot("importance", "What matters", f"{x.capitalize()}: {listed}.", figure)


def plot_parallel(sweep: Sweep, fields: Sequence[Field]) -> style.Plot:
    """Draw each finished trial as a line through its fields (parallel coordinates)."""
    description = (
        f"Each finished trial as a line from field to field: {', '.join(f.name for f in fields)}. "
        "The best is orange; of the others, blue is better than yellow."
    )
    figure = _draw_parallel(sweep, fields)
    return style.Plot("parallel", "All fields side by side", description, figure)


def plot_field(sweep: Sweep, field: Field) -> style.Plot:
    """Draw the trials against one field."""
    places = [field.place(trial.fields.get(field.name)) for trial in sweep.trials]
    name = f"against-{field.name.replace('_', '-')}"
    plot, axes = _scatter(sweep, places, name, "", field.name, is_small=True)
    if field.is_log:
        axes.set_xscale("log")
    elif field.is_whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if field.tick_names is not None:
        names = [style.drawable(name) for name in field.tick_names]
        axes.set_xticks(range(len(names)), names, **style.plain())
        axes.set_xlim(-0.5, len(field.tick_names) - 0.5)
    return plot


def plot_cost(sweep: Sweep, name: str, title: str, x: str) -> style.Plot:
    """Draw the trials against their ``seconds`` or ``parameters``, where they are known."""
    values = [getattr(trial, name) for trial in sweep.trials]
    plot, axes = _scatter(sweep, values, name.replace("parameters", "size"), title, x)
    known = [value for value in values if value]
    if known and max(known) / min(known) > 10:
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    style.add_legend(axes, labelcolor="linecolor", fontsize="small")
    return plot


def _scatter(
    sweep: Sweep,
    x: Sequence[float | None],
    name: str,
    title: str,
    x_name: str,
    description: str = "",
    is_small: bool = False,
) -> tuple[style.Plot, Axes]:
    """Draw finished and pruned trials against a number of each, and a ring around the best."""
    figure, axes = style.new_figure(5.2, 3.4) if is_small else style.new_figure(7.5, 4.2)
    places = [math.nan if value is None else float(value) for value in x]
    for state, color, marker in (("finished", style.BLUE, "o"), ("pruned", PRUNED, "x")):
        chosen = [trial for trial in sweep.trials if trial.state == state]
        if chosen:
            at, heights = zip(*((places[t.number], result(sweep, t)) for t in chosen), strict=True)
            label = "finished" if state == "finished" else "stopped early (pruned)"
            axes.scatter(at, heights, color=color, marker=marker, s=26, label=label, zorder=2)
    best = sweep.best_trial
    style.add_ring(axes, places[best.number], result(sweep, best), "best")
    style.add_grid(axes)
    style.add_titles(axes, title, style.shortened(x_name), result_name(sweep))
    if sweep.unit == "document":
        style.in_percent(axes.yaxis)
    else:
        losses = [result(sweep, trial) for trial in sweep.trials if trial.state != "failed"]
        top = top_without_outliers([loss for loss in losses if not math.isnan(loss)])
        if top is not None:
            axes.set_ylim(top=top)
    description = (
        description or f"{result_name(sweep).capitalize()} of each trial against {x_name}."
    )
    return style.Plot(name, title or x_name, description, figure), axes


def _draw_parallel(sweep: Sweep, fields: Sequence[Field]) -> Figure:
    trials = sweep.ranked()[:MOST_LINES]
    results = [result(sweep, trial) for trial in trials]
    is_accuracy = sweep.unit == "document"
    top = None if is_accuracy else top_without_outliers(results)
    low, high = min(results), max(results) if top is None else top
    figure, axes = style.new_figure(max(7.5, 1.5 * (len(fields) + 1)), 4.2)
    colours = matplotlib.colormaps[style.COLOUR_MAP]
    for rank in reversed(range(len(trials))):
        share = rank / max(1, len(trials) - 1)
        heights = heights_of(trials[rank], fields, rank)
        heights.append(share_of(min(results[rank], high), low, high))
        # From blue to yellow: seen on white and, all but the lightest, on black.
        color = style.ORANGE if rank == 0 else colours(0.3 + 0.65 * share)
        width = 2.6 if rank == 0 else 1.1
        axes.plot(range(len(heights)), heights, color=color, linewidth=width, zorder=2 - share)
    for place, field in enumerate(fields):
        names = field.tick_names or [f"{value:.4g}" for value in field.values]
        for value, name in zip(field.values, names, strict=True):
            _write_beside(axes, place, field.height(value), name)
    for height, value in ((0.0, low), (1.0, high)):
        text = f"{value:.2%}" if is_accuracy else f"{value:.4g}"
        _write_beside(axes, len(fields), height, text)
    _finish_parallel(axes, [*(field.name for field in fields), result_name(sweep)])
    return figure


def _finish_parallel(axes: Axes, names: Sequence[str]) -> None:
    shown = [style.shortened(name.partition(" (")[0], 18) for name in names]
    axes.set_xticks(range(len(names)), shown, **style.plain())
    for place in range(len(names)):
        axes.axvline(place, color=style.INK, linewidth=0.8, zorder=3)
    axes.set_xlim(-0.3, len(names) - 0.55)
    axes.set_ylim(-0.08, 1.08)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    title = "All fields side by side (orange: the best; blue is better than yellow)"
    style.add_titles(axes, title, "", "")


def _write_beside(axes: Axes, place: int, height: float, text: str) -> None:
    box = {"boxstyle": "round,pad=0.15", "facecolor": axes.get_facecolor(), "edgecolor": "none"}
    look: dict[str, Any] = {"color": style.INK, "fontsize": "small", "va": "center", "bbox": box}
    axes.text(place + 0.06, height, text, zorder=4, **look, **style.plain())
