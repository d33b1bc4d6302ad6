"""Plots of a sweep: its history, which fields matter, and the trials against each field."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from thence.reports import style
from thence.sweeps import Sweep, Trial
from thence.sweeps.results import field_text

PRUNED = "#8a939c"
"""A grey that is seen on white and on black."""
BAR_HEIGHT = 0.32
"""Inches of a bar and the space around it."""
OUTLIER = 4.0
"""A loss is left out if it is this many times further above the lowest than three quarters are."""
LONGEST_TICK = 14
"""Characters of the name of a choice."""
MOST_LINES = 300
"""Trials that are drawn as lines: the best."""
SWAY = 0.04
"""How far apart lines run that have the same choice, at most; the axis is 1 high."""


@dataclass(frozen=True)
class Field:
    """A field of the search space as an axis.

    Attributes:
        name: Its name.
        values: The values of choices; of a range its two ends.
        tick_names: What stands at each choice; None for the numbers of a range.
        is_log: Whether the axis is logarithmic.
        is_whole: Whether there are only whole numbers on it.
    """

    name: str
    values: tuple[Any, ...]
    tick_names: tuple[str, ...] | None
    is_log: bool = False
    is_whole: bool = False

    def place(self, value: Any) -> float:
        """Return where a value is on the axis; nan for a trial that has none."""
        if value is None:
            return math.nan
        if self.tick_names is None:
            return float(value)
        return float([_key(one) for one in self.values].index(_key(value)))

    def height(self, value: Any) -> float:
        """Return where a value is between the ends of the axis, from 0 to 1; nan for none."""
        place = self.place(value)
        if self.tick_names is not None:
            return _share(place, 0, len(self.values) - 1)
        low, high = (float(end) for end in self.values)
        if self.is_log:
            return _share(math.log(place), math.log(low), math.log(high)) if place > 0 else math.nan
        return _share(place, low, high)


def _key(value: Any) -> str:
    return str(list(value)) if isinstance(value, list | tuple) else f"{type(value)}{value}"


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high == low else (value - low) / (high - low)


def fields_of(sweep: Sweep) -> list[Field]:
    """Return the fields of a sweep, in the order of the space."""
    found = []
    for name, tried in sweep.space.items():
        if isinstance(tried, Mapping):
            ends = (tried["low"], tried["high"])
            is_whole = all(isinstance(end, int) for end in ends)
            found.append(Field(name, ends, None, bool(tried.get("log")), is_whole))
        else:
            names = tuple(style.shortened(field_text(value), LONGEST_TICK) for value in tried)
            found.append(Field(name, tuple(tried), names))
    return found


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


def _result(sweep: Sweep, trial: Trial) -> float:
    """Return the accuracy of a classifier, or the loss of a language model; nan for none."""
    value = trial.accuracy if sweep.unit == "document" else trial.nats
    return math.nan if value is None else value


def _result_name(sweep: Sweep) -> str:
    return "accuracy on dev" if sweep.unit == "document" else "dev loss (nats per token)"


def plot_history(sweep: Sweep) -> style.Plot:
    """Draw every trial in order, and the best so far."""
    found = sweep.best_trial
    description = (
        f"{_result_name(sweep).capitalize()} of {len(sweep.trials)} trials in order. The best is "
        f"{found.name}: {_result(sweep, found):.4f}."
    )
    numbers = [trial.number for trial in sweep.trials]
    plot, axes = _scatter(sweep, numbers, "history", "Trials in order", "trial", description)
    ranked, steps = sweep.ranked(), []
    for trial in sweep.trials:
        best = next((other for other in ranked if other.number <= trial.number), None)
        if best is not None:
            steps.append((trial.number, _result(sweep, best)))
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
        axes.set_xticks(range(len(field.tick_names)), field.tick_names, **style.plain())
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
            at, heights = zip(*((places[t.number], _result(sweep, t)) for t in chosen), strict=True)
            label = "finished" if state == "finished" else "stopped early (pruned)"
            axes.scatter(at, heights, color=color, marker=marker, s=26, label=label, zorder=2)
    best = sweep.best_trial
    style.add_ring(axes, places[best.number], _result(sweep, best), "best")
    style.add_grid(axes)
    style.add_titles(axes, title, style.shortened(x_name), _result_name(sweep))
    if sweep.unit == "document":
        style.in_percent(axes.yaxis)
    else:
        losses = [_result(sweep, trial) for trial in sweep.trials if trial.state != "failed"]
        top = top_without_outliers([loss for loss in losses if not math.isnan(loss)])
        if top is not None:
            axes.set_ylim(top=top)
    description = (
        description or f"{_result_name(sweep).capitalize()} of each trial against {x_name}."
    )
    return style.Plot(name, title or x_name, description, figure), axes


def top_without_outliers(losses: Sequence[float]) -> float | None:
    """Return the top of an axis that leaves out a few losses far above the others; None for all.

    >>> top_without_outliers([2.0, 2.1, 2.2, 2.3, 9.0])
    3.5
    """
    if len(losses) < 4:
        return None
    low, quarter = np.quantile(losses, [0, 0.75])
    top = float(quarter + OUTLIER * (quarter - low))
    return round(top, 12) if max(losses) > top > low else None


def _draw_parallel(sweep: Sweep, fields: Sequence[Field]) -> Figure:
    trials = sweep.ranked()[:MOST_LINES]
    results = [_result(sweep, trial) for trial in trials]
    is_accuracy = sweep.unit == "document"
    top = None if is_accuracy else top_without_outliers(results)
    low, high = min(results), max(results) if top is None else top
    figure, axes = style.new_figure(max(7.5, 1.5 * (len(fields) + 1)), 4.2)
    colours = matplotlib.colormaps[style.COLOUR_MAP]
    for rank in reversed(range(len(trials))):
        share = rank / max(1, len(trials) - 1)
        heights = _heights(trials[rank], fields, rank)
        heights.append(_share(min(results[rank], high), low, high))
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
    _finish_parallel(axes, [*(field.name for field in fields), _result_name(sweep)])
    return figure


def _heights(trial: Trial, fields: Sequence[Field], rank: int) -> list[float]:
    """Return the height of a trial on the axis of each field."""
    sway = SWAY * math.sin(2.4 * rank)  # Lines through one choice lie beside each other.
    return [
        field.height(trial.fields.get(field.name))
        + (sway if field.tick_names is not None and len(field.values) > 1 else 0)
        for field in fields
    ]


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
