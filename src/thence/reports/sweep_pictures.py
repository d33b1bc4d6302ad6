"""Every picture of a sweep."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from thence.reports.drawing import (
    BLUE,
    FAINT,
    ORANGE,
    Picture,
    new_figure,
    plain,
    set_titles,
    shortened,
)
from thence.reports.sweep_fields import Field, clipped, fields_in
from thence.reports.sweep_parallel import draw_parallel
from thence.sweeps import Sweep, Trial

PRUNED = "#8a939c"
"""A grey that is seen on white and on black."""
ROW = 0.32
"""Inches of a bar."""


def sweep_pictures(sweep: Sweep) -> list[Picture]:
    """Draw every picture that a sweep has the data for."""
    if not sweep.ranked():
        return []
    fields = fields_in(sweep)
    drawn = [history_picture(sweep), importance_picture(sweep)]
    if len(sweep.ranked()) > 1:
        drawn += [parallel_picture(sweep, fields), *(field_picture(sweep, f) for f in fields)]
        drawn += [size_picture(sweep), seconds_picture(sweep)]
    return drawn


def goodness(sweep: Sweep, trial: Trial) -> float:
    """Return what is drawn of a trial: its accuracy, or its loss."""
    value = trial.accuracy if sweep.unit == "document" else trial.nats
    return float("nan") if value is None else value


def axis_name(sweep: Sweep) -> str:
    """Return what that is."""
    return "accuracy on dev" if sweep.unit == "document" else "dev loss (nats per token)"


def history_picture(sweep: Sweep) -> Picture:
    """Draw every trial in order, and the best so far."""
    figure, axes = new_figure(7.5, 4.2)
    _points(axes, sweep, [float(trial.number) for trial in sweep.trials])
    ranked, steps = sweep.ranked(), []
    for trial in sweep.trials:
        best = next((other for other in ranked if other.number <= trial.number), None)
        if best is not None:
            steps.append((trial.number, goodness(sweep, best)))
    x, y = zip(*steps, strict=True)
    axes.plot(x, y, color=BLUE, drawstyle="steps-post", linewidth=1.5, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes, sweep, "Trials in order", "trial")
    found = sweep.best_trial
    description = (
        f"{axis_name(sweep).capitalize()} of {len(sweep.trials)} trials in order. The best is "
        f"{found.name}: {goodness(sweep, found):.4f}."
    )
    return Picture("history", "Trials in order", description, figure)


def importance_picture(sweep: Sweep) -> Picture:
    """Draw how much of the differences each field explains."""
    names, shares = list(sweep.importances), list(sweep.importances.values())
    figure, axes = new_figure(7.5, 1.2 + ROW * len(names))
    axes.barh(range(len(names)), shares, color=BLUE, height=0.7)
    axes.set_yticks(range(len(names)), [shortened(name, 24) for name in names], **plain())
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    x = "share of the differences between trials that the field explains by itself"
    set_titles(axes, "What matters", x, "")
    told = ", ".join(f"{name} {share:.0%}" for name, share in sweep.importances.items())
    return Picture("importance", "What matters", f"{x.capitalize()}: {told}.", figure)


def parallel_picture(sweep: Sweep, fields: Sequence[Field]) -> Picture:
    """Draw each trial as a line through its fields."""
    is_label = sweep.unit == "document"
    done = sweep.ranked()
    values = [goodness(sweep, trial) for trial in done]
    figure = draw_parallel(done, values, fields, axis_name(sweep), is_label)
    description = (
        f"Each finished trial as a line from field to field: {', '.join(f.name for f in fields)}. "
        "The best is orange; of the others, blue is better than yellow."
    )
    return Picture("parallel", "All fields side by side", description, figure)


def field_picture(sweep: Sweep, field: Field) -> Picture:
    """Draw the trials against one field."""
    figure, axes = new_figure(5.2, 3.4)
    places = [field.place(trial.fields.get(field.name)) for trial in sweep.trials]
    _points(axes, sweep, places)
    if field.is_log:
        axes.set_xscale("log")
    elif field.is_whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if field.ticks is not None:
        axes.set_xticks(*field.ticks, **plain())
        axes.set_xlim(-0.5, len(field.ticks[0]) - 0.5)
    _finish(axes, sweep, "", field.name, legend=False)
    description = f"{axis_name(sweep).capitalize()} of each trial against {field.name}."
    return Picture(f"against-{field.name.replace('_', '-')}", field.name, description, figure)


def seconds_picture(sweep: Sweep) -> Picture:
    """Draw the trials against how long they took."""
    seconds = [trial.seconds for trial in sweep.trials]
    return _against(sweep, seconds, "seconds", "What time buys", "seconds of training")


def size_picture(sweep: Sweep) -> Picture:
    """Draw the trials against how large their models are."""
    sizes = [trial.parameters for trial in sweep.trials]
    return _against(sweep, sizes, "size", "What size buys", "numbers learned")


def _against(
    sweep: Sweep, values: Sequence[float | None], name: str, title: str, x: str
) -> Picture:
    """Draw the trials against a number that each has, or has not."""
    figure, axes = new_figure(7.5, 4.2)
    drawn = [float("nan") if value is None else float(value) for value in values]
    _points(axes, sweep, drawn)
    known = [value for value in drawn if value > 0]
    if known and max(known) / min(known) > 10:
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    _finish(axes, sweep, title, x)
    description = f"{axis_name(sweep).capitalize()} of each trial against its {x}."
    return Picture(name, title, description, figure)


def _points(axes: Axes, sweep: Sweep, x: Sequence[float]) -> None:
    """Draw finished and pruned trials, and a ring around the best."""
    for state, color, marker in (("finished", BLUE, "o"), ("pruned", PRUNED, "x")):
        chosen = [trial for trial in sweep.trials if trial.state == state]
        if chosen:
            heights = [goodness(sweep, trial) for trial in chosen]
            places = [x[trial.number] for trial in chosen]
            label = "finished" if state == "finished" else "given up early (pruned)"
            axes.scatter(places, heights, color=color, marker=marker, s=26, label=label, zorder=2)
    best = sweep.best_trial
    ring: dict[str, Any] = {
        "facecolors": "none",
        "edgecolors": ORANGE,
        "linewidths": 2,
        "zorder": 3,
    }
    axes.scatter([x[best.number]], [goodness(sweep, best)], s=130, label="best", **ring)


def _finish(axes: Axes, sweep: Sweep, title: str, x: str, legend: bool = True) -> None:
    axes.grid(color=FAINT, linewidth=0.6)
    shown = [goodness(sweep, trial) for trial in sweep.trials if trial.state != "failed"]
    if sweep.unit == "document":
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    else:
        top = clipped([value for value in shown if value == value])
        if top is not None:
            axes.set_ylim(top=top)
    if legend:
        axes.legend(frameon=False, labelcolor="linecolor", fontsize="small")
    set_titles(axes, title, shortened(x, 40), axis_name(sweep))
