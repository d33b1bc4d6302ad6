"""The charts of a sweep: each point is a trial, named in its tooltip."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.reports.colours import BLUE, GREY, ORANGE
from thence.reports.content import Bars, Block, Chart, Note, Series
from thence.reports.formatting import number, short
from thence.sweeps import Sweep, Trial
from thence.sweeps.results import field_text

OUTLIER = 4.0
"""The loss axis ends this many times the distance from the lowest loss to the third quartile above
that quartile; higher losses are at the edge."""
LONGEST_TICK = 14
"""Characters of the name of a choice at an axis."""
MOST_LINES = 300
"""Trials drawn as lines in parallel coordinates, the best ones."""
SWAY = 0.04
"""Largest offset of lines through the same choice, as a share of the axis, so that they can be told
apart."""
MANY_TIMES = 10
"""Ratio of the largest to the smallest number above which an axis is logarithmic."""


@dataclass(frozen=True)
class Field:
    """A field of the search space as an axis.

    Attributes:
        name: Its name.
        values: The choices; of a range, its two ends.
        tick_names: Names of the choices at the axis; None for a range.
        is_log: Whether the axis is logarithmic.
    """

    name: str
    values: tuple[Any, ...]
    tick_names: tuple[str, ...] | None
    is_log: bool = False

    def place(self, value: Any) -> float:
        """Return the coordinate of a value on the axis; NaN for None."""
        if value is None:
            return math.nan
        if self.tick_names is None:
            return float(value)
        return float([_key(one) for one in self.values].index(_key(value)))

    def height(self, value: Any) -> float:
        """Return the position of a value along the axis, from 0 to 1; NaN for None."""
        place = self.place(value)
        if self.tick_names is not None:
            return share_of(place, 0, len(self.values) - 1)
        low, high = (float(end) for end in self.values)
        if self.is_log:
            return (
                share_of(math.log(place), math.log(low), math.log(high)) if place > 0 else math.nan
            )
        return share_of(place, low, high)


def _key(value: Any) -> str:
    return str(list(value)) if isinstance(value, list | tuple) else f"{type(value)}{value}"


def share_of(value: float, low: float, high: float) -> float:
    """Return the position of a value between ``low`` (0) and ``high`` (1)."""
    return 0.5 if high == low else (value - low) / (high - low)


def fields_of(sweep: Sweep) -> list[Field]:
    """Return the fields of a sweep, in the order of the space."""
    found = []
    for name, tried in sweep.space.items():
        if isinstance(tried, Mapping):
            ends = (tried["low"], tried["high"])
            found.append(Field(name, ends, None, bool(tried.get("log"))))
        else:
            names = tuple(short(field_text(value), LONGEST_TICK) for value in tried)
            found.append(Field(name, tuple(tried), names))
    return found


def result(sweep: Sweep, trial: Trial) -> float:
    """Return the accuracy of a classifier, or the loss of a language model; NaN if unknown."""
    value = trial.accuracy if sweep.unit == "document" else trial.nats
    return math.nan if value is None else value


def result_name(sweep: Sweep) -> str:
    """Return the name of the metric of trials, with its unit."""
    return "accuracy on dev" if sweep.unit == "document" else "dev loss (nats per token)"


def top_without_outliers(losses: Sequence[float]) -> float | None:
    """Return the upper limit of an axis that cuts off a few outliers; None if there are none.

    >>> top_without_outliers([2.0, 2.1, 2.2, 2.3, 9.0])
    3.5
    """
    if len(losses) < 4:
        return None
    low, quarter = np.quantile(losses, [0, 0.75])
    top = float(quarter + OUTLIER * (quarter - low))
    return round(top, 12) if max(losses) > top > low else None


def heights_of(trial: Trial, fields: Sequence[Field], rank: int) -> list[float]:
    """Return the position of a trial on the axis of each field, from 0 to 1."""
    sway = SWAY * math.sin(2.4 * rank)  # Spreads the lines through the same choice.
    return [
        field.height(trial.fields.get(field.name))
        + (sway if field.tick_names is not None and len(field.values) > 1 else 0)
        for field in fields
    ]


def sweep_charts(sweep: Sweep) -> dict[str, Chart]:
    """Return the charts of a sweep by file name; with a single finished trial, only the first."""
    charts = {"history": history(sweep)}
    if len(sweep.ranked()) > 1:
        fields = fields_of(sweep)
        charts["parallel"] = parallel_coordinates(sweep, fields)
        for field in fields:
            charts[f"against-{field.name.replace('_', '-')}"] = against_field(sweep, field)
        charts["size"] = cost(sweep, "parameters", "Result by size", "parameters")
        charts["seconds"] = cost(sweep, "seconds", "Result by training time", "seconds of training")
    return charts


def history(sweep: Sweep) -> Chart:
    """Return a chart of the results of all trials in order, with the best so far."""
    ranked, best = sweep.ranked(), []
    for trial in sweep.trials:
        first = next((other for other in ranked if other.number <= trial.number), None)
        if first is not None:
            best.append((float(trial.number), result(sweep, first)))
    found = sweep.best_trial
    description = (
        f"{result_name(sweep).capitalize()} of {len(sweep.trials)} trials in order. The best is "
        f"{found.name}: {result(sweep, found):.4f}."
    )
    numbers = [float(trial.number) for trial in sweep.trials]
    so_far = Series("best so far", best, BLUE, "steps")
    return _scatter(sweep, numbers, "Trials in order", "trial", description, so_far)


def what_matters(sweep: Sweep) -> list[Block]:
    """Return bars with the importance of each field, or a note that there are too few trials."""
    shares = sweep.importances
    if sweep.too_few_to_say:
        return [Note(sweep.too_few_to_say)]
    about = (
        "Trials are put into groups by the value of a field; the share is how much less their "
        "ranks differ within the groups, with what chance would explain taken off."
    )
    total = sum(shares.values())
    about += f" Each field is looked at by itself, so that the shares add up to {total:.0%}, "
    about += "not to 100%." if round(total, 2) != 1 else "by chance."
    rows = [(name, share, f"{share:.0%}") for name, share in shares.items()]
    return [Bars(rows), Note(about)]


def against_field(sweep: Sweep, field: Field) -> Chart:
    """Return a scatter chart of the results of trials against one field."""
    places = [field.place(trial.fields.get(field.name)) for trial in sweep.trials]
    return _scatter(sweep, places, field.name, field.name, field=field)


def cost(sweep: Sweep, name: str, title: str, x: str) -> Chart:
    """Return a scatter chart of the results of trials against ``seconds`` or ``parameters``."""
    values = [getattr(trial, name) for trial in sweep.trials]
    known = [value for value in values if value]
    is_log = bool(known) and max(known) / min(known) > MANY_TIMES
    places = [math.nan if value is None else float(value) for value in values]
    return _scatter(sweep, places, title, x, is_log=is_log)


def _scatter(
    sweep: Sweep,
    places: Sequence[float],
    title: str,
    x: str,
    description: str = "",
    *more: Series,
    field: Field | None = None,
    is_log: bool = False,
) -> Chart:
    """Return a scatter chart of finished and pruned trials, with the best one highlighted.

    Args:
        sweep: The sweep.
        places: The x coordinate of each trial.
        title: A heading.
        x: Label of the x axis.
        description: What the chart shows, for screen readers.
        *more: Series to draw below the points.
        field: The field on the x axis, if it is one.
        is_log: Whether the x axis is logarithmic.
    """
    best = sweep.best_trial
    groups = (
        ("finished", BLUE, [t for t in sweep.trials if t.state == "finished" and t is not best]),
        ("stopped early (pruned)", GREY, [t for t in sweep.trials if t.state == "pruned"]),
        (f"best: {best.name}", ORANGE, [best]),
    )
    series = [
        Series(
            name,
            [(places[trial.number], result(sweep, trial)) for trial in trials],
            colour,
            "points",
            [about(sweep, trial) for trial in trials],
        )
        for name, colour, trials in groups
        if trials
    ]
    name = result_name(sweep)
    losses = [result(sweep, trial) for trial in sweep.trials if trial.state != "failed"]
    losses = [loss for loss in losses if not math.isnan(loss)]
    is_accuracy = sweep.unit == "document"
    top = None if is_accuracy else top_without_outliers(losses)
    return Chart(
        title,
        description or f"{name.capitalize()} of each trial against {x}.",
        [*more, *series],
        x,
        name,
        is_log or (field is not None and field.is_log),
        in_percent=is_accuracy,
        limits=None if top is None else (min(losses) - 0.06 * (top - min(losses)), top),
        tick_names=() if field is None else field.tick_names or (),
        height=12,
    )


def about(sweep: Sweep, trial: Trial) -> str:
    """Return the tooltip of a trial: its result and settings."""
    settings = ", ".join(f"{name} {field_text(value)}" for name, value in trial.fields.items())
    value = result(sweep, trial)
    shown = f"{value:.2%}" if sweep.unit == "document" else number(value)
    return f"{trial.name}: {shown}; {settings}"


def parallel_coordinates(sweep: Sweep, fields: Sequence[Field]) -> Chart:
    """Return parallel coordinates: each finished trial is a line through the axes of all fields."""
    trials = sweep.ranked()[:MOST_LINES]
    values = [result(sweep, trial) for trial in trials]
    is_accuracy = sweep.unit == "document"
    top = None if is_accuracy else top_without_outliers(values)
    low, high = min(values), max(values) if top is None else top
    series = []
    for rank in reversed(range(len(trials))):
        ys = [*heights_of(trials[rank], fields, rank), share_of(min(values[rank], high), low, high)]
        points = list(enumerate(ys))
        said = about(sweep, trials[rank])
        series.append(Series("", points, BLUE if rank else ORANGE, "line", about=said))
    labels = [
        (float(place), field.height(value), name)
        for place, field in enumerate(fields)
        for value, name in zip(
            field.values, field.tick_names or [f"{v:.4g}" for v in field.values], strict=True
        )
    ]
    shown = f"{low:.2%}" if is_accuracy else f"{low:.4g}"
    labels += [(float(len(fields)), 0.0, shown)]
    labels += [(float(len(fields)), 1.0, f"{high:.2%}" if is_accuracy else f"{high:.4g}")]
    names = [*(field.name for field in fields), result_name(sweep).partition(" (")[0]]
    described = ", ".join(names[:-1])
    return Chart(
        "Parallel coordinates (orange: the best)",
        f"Each finished trial as a line from field to field: {described}. The best is orange.",
        series,
        "",
        "",
        limits=(-0.08, 1.08),
        labels=labels,
        tick_names=tuple(names),
    )
