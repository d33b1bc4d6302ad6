"""Plots of trainings: loss, accuracy and learning rate of one run or several; the rate finder."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from thence.array_types import Float
from thence.reports import style
from thence.reports.formatting import duration
from thence.runs import Run
from thence.runs.metrics import unit_of
from thence.training.lr_finder import LearningRateCurve

Metrics = list[dict[str, Any]]
"""The lines of ``metrics.jsonl``, one for each evaluation on dev."""

LINES: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("train", "train (mean since the last point)", {"color": style.BLUE, "linewidth": 1.3}),
    ("dev", "dev", {"color": style.ORANGE, "marker": "s", "markersize": 4}),
)
LARGE_FALL = 3
"""How many times as high as the lowest the highest loss is for a logarithmic axis."""

LONGEST_NAME = 40
LONGEST_OF_THREE = 22
"""Characters of a name with which three have room beside each other in the legend."""
LARGE_RATIO = 10
"""How many times longer than the shortest the longest training is for a logarithmic axis."""
X_AXES = {"step": "training steps", "seconds": "seconds of training"}

Heights = Float[np.ndarray, " evaluations"]
Curve = tuple[Metrics, Heights]
"""The lines of ``metrics.jsonl``, and the height of the curve at each."""


def training_plots(run: Run) -> list[style.Plot]:
    """Draw how the training went; nothing for a model that was made in one step."""
    drawn = (plot_loss(run), plot_accuracy(run), plot_learning_rate(run))
    return [plot for plot in drawn if plot is not None]


def plot_loss(run: Run) -> style.Plot | None:
    """Draw the loss on train and dev against the steps; None for a model made in one step."""
    metrics, curve = run.metrics(), run.curve()
    if not metrics or not has_curves(curve):
        return None
    figure, axes = style.new_figure(7.5, 4.5)
    unit, steps = unit_of(metrics[0]), column(curve, "step")
    lowest, highest = math.inf, 0.0
    for split, label, look in LINES:
        losses = column(curve, f"{split}_nats_per_{unit}")
        known = np.isfinite(losses)
        if known.any():
            axes.plot(steps[known], losses[known], label=label, **look)
            lowest = min(lowest, float(losses[known].min()))
            highest = max(highest, float(losses[known].max()))
    y = f"loss (nats per {unit})"
    if highest > LARGE_FALL * lowest > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        y += ", log scale"
    description = f"Loss in nats per {unit} against training steps, up to {metrics[-1]['step']:,}."
    best = best_evaluation(metrics)
    if best is not None:
        loss, step = best[f"dev_nats_per_{unit}"], f"at step {best['step']:,}"
        words = "most accurate on dev: loss" if unit == "document" else "best on dev:"
        style.add_ring(axes, best["step"], loss, f"{words} {loss:.4f} {step}")
        least = "where the accuracy is highest, " if unit == "document" else "is lowest "
        description += f" The dev loss {least}{step}: {loss:.4f}."
    _finish(axes, metrics, "Loss during training", y)
    return style.Plot("loss", "Loss", description, figure)


def plot_accuracy(run: Run) -> style.Plot | None:
    """Draw the accuracy on dev against the steps; None where it was never measured."""
    metrics = run.metrics()
    best = best_evaluation(metrics)
    if not has_curves(metrics) or best is None or "dev_accuracy" not in best:
        return None
    figure, axes = style.new_figure(7.5, 3.6)
    steps, shares = column(metrics, "step"), column(metrics, "dev_accuracy")
    axes.plot(steps, shares, color=style.ORANGE, marker="s", markersize=4, label="dev")
    share, step = best["dev_accuracy"], f"at step {best['step']:,}"
    style.add_ring(axes, best["step"], share, f"most accurate on dev: {100 * share:.2f} % {step}")
    style.in_percent(axes.yaxis)
    _finish(axes, metrics, "Accuracy during training", "share of dev documents right")
    description = f"Accuracy on dev against training steps. It is highest {step}: {share:.2%}."
    return style.Plot("accuracy", "Accuracy", description, figure)


def plot_learning_rate(run: Run) -> style.Plot | None:
    """Draw the learning rate at each evaluation on dev; None for a model made in one step."""
    metrics = run.metrics()
    if not has_curves(metrics):
        return None
    figure, axes = style.new_figure(7.5, 3)
    steps, rates = column(metrics, "step"), column(metrics, "learning_rate")
    axes.plot(steps, rates, color=style.BLUE, marker="o", markersize=4, clip_on=False)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    style.add_grid(axes)
    style.add_titles(axes, "Learning rate during training", "training steps", "learning rate")
    schedule = run.recipe.training.schedule
    description = f"Learning rate against training steps, schedule {schedule}."
    return style.Plot("learning-rate", "Learning rate", description, figure)


def _finish(axes: Axes, metrics: Metrics, title: str, y: str) -> None:
    axes.set_xlim(left=0)
    style.add_grid(axes)
    style.add_legend(axes)
    last = metrics[-1]
    took = f"{last['step']:,} in {duration(last['seconds'])}"
    style.add_titles(axes, title, f"training steps ({took})", y)


def draw_learning_rate_finder(curve: LearningRateCurve, unit: str = "token") -> Figure:
    """Draw the loss at each learning rate that the finder tried, its suggestion marked."""
    figure, axes = style.new_figure(7.5, 4.5)
    faint: dict[str, Any] = {"alpha": 0.35, "linewidth": 1, "label": "each step"}
    axes.plot(curve.rates, curve.losses, color=style.BLUE, **faint)
    axes.plot(curve.rates, curve.smoothed, color=style.BLUE, linewidth=2, label="smoothed")
    suggestion = f"suggestion: {curve.suggestion:.2g}"
    axes.axvline(curve.suggestion, color=style.ORANGE, linestyle="--", label=suggestion)
    axes.set_xscale("log")
    axes.set_ylim(*_loss_limits(curve))
    style.add_grid(axes)
    style.add_legend(axes)
    style.add_titles(
        axes, "Learning-rate finder", "learning rate (log scale)", f"loss (nats per {unit})"
    )
    return figure


def _loss_limits(curve: LearningRateCurve) -> tuple[float, float]:
    """Leave out the cliff at the end, which would squeeze the valley flat."""
    low, start = float(curve.smoothed.min()), float(curve.smoothed[0])
    height = max(start - low, 0.05 * abs(start))
    return low - 0.4 * height, start + 0.6 * height


def has_curves(metrics: Metrics) -> bool:
    """Whether there were several evaluations, so that there is something to connect."""
    return len(metrics) > 1


def best_evaluation(metrics: Metrics) -> dict[str, Any] | None:
    """Return the evaluation whose weights are kept, or None without a dev split.

    A language model's has the lowest loss on dev; a classifier's has the highest accuracy, and of
    equal ones the lowest loss.
    """

    def selection_loss(line: Mapping[str, Any]) -> tuple[float, float]:
        return -line.get("dev_accuracy", 0.0), line[f"dev_nats_per_{unit_of(line)}"]

    on_dev = [line for line in metrics if line.get(f"dev_nats_per_{unit_of(line)}") is not None]
    return min(on_dev, key=selection_loss, default=None)


def column(metrics: Iterable[Mapping[str, Any]], name: str) -> Heights:
    """Return one number per evaluation; NaN where it is missing."""
    values = (line.get(name) for line in metrics)
    return np.array([math.nan if value is None else float(value) for value in values])


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


def _heights(run: Run, unit: str) -> Heights:
    metrics = run.metrics()
    if unit == "accuracy":
        return column(metrics, "dev_accuracy")
    nats = column(metrics, "dev_nats_per_token")
    if unit == "nats per token":
        return nats
    return nats / (math.log(2) * run.store("dev").bytes_per_target)


def draw_comparison(curves: Mapping[str, Curve], unit: str) -> Figure:
    """Draw curves by steps and by time; a model made in one step is a dashed line."""
    figure, both = style.new_stack(7.5, 7 + 0.1 * len(curves), [1, 1], share_x=False)
    is_accuracy = unit == "accuracy"
    title = "Accuracy on dev" if is_accuracy else "Loss on dev"
    y = "share of documents right" if is_accuracy else f"loss ({unit})"
    for axes, (name, x) in zip(both, X_AXES.items(), strict=True):
        handles = [
            _draw_curve(axes, place, column(metrics, name), heights)
            for place, (metrics, heights) in enumerate(curves.values())
        ]
        _scale_x(axes, [metrics for metrics, _ in curves.values() if has_curves(metrics)], name)
        style.add_grid(axes)
        style.add_titles(axes, title if name == "step" else "", x, y)
    if is_accuracy:
        style.in_percent(both[0].yaxis)
    _add_legend(figure, handles, list(curves))
    return figure


def _draw_curve(axes: Axes, place: int, x: Heights, y: Heights) -> Line2D:
    """Draw one curve in a colour of its own, or with another marker once all are taken."""
    color = style.COLOURS[place % len(style.COLOURS)]
    if len(x) == 1:
        return axes.axhline(float(y[0]), color=color, linestyle="--", linewidth=1.3)
    marker = style.MARKERS[place // len(style.COLOURS) % len(style.MARKERS)]
    (line,) = axes.plot(x, y, color=color, marker=marker, markersize=4)
    return line


def _scale_x(axes: Axes, trained: Sequence[Sequence[Mapping[str, Any]]], name: str) -> None:
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
