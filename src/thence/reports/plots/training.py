"""Plots of trainings: loss, accuracy and learning rate of one run or several; the rate finder."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

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

Heights = Float[np.ndarray, " evaluations"]


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
