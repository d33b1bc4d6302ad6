"""Curves of a training: loss, accuracy, learning rate, and what the learning-rate finder saw."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from thence.reports.drawing import BLUE, FAINT, INK, ORANGE, new_figure, set_titles
from thence.runs.metrics import unit_of
from thence.training.lr_finder import LearningRateCurve

Metrics = list[dict[str, Any]]
LINES = (
    ("train", "train (mean over the steps before)", BLUE, "o"),
    ("dev", "dev", ORANGE, "s"),
)


def has_curves(metrics: Metrics) -> bool:
    """Whether there were several looks, so that there is something to connect."""
    return len(metrics) > 1


def loss_curve(metrics: Metrics, log_scale: bool = False) -> Figure:
    """Draw the loss on train and dev against the steps.

    Args:
        metrics: The lines of ``metrics.jsonl``.
        log_scale: Whether the loss axis is logarithmic.
    """
    figure, axes = new_figure(7.5, 4.5)
    unit, steps = unit_of(metrics[0]), column(metrics, "step")
    for split, label, color, marker in LINES:
        losses = column(metrics, f"{split}_nats_per_{unit}")
        if np.isfinite(losses).any():
            axes.plot(steps, losses, color=color, marker=marker, markersize=4, label=label)
    best = best_look(metrics)
    if best is not None:
        loss = best[f"dev_nats_per_{unit}"]
        words = "most accurate on dev: loss" if unit == "document" else "best on dev:"
        _mark_best(axes, best, loss, f"{words} {loss:.4f}")
    if log_scale:
        _scale_losses(axes)
    _finish(axes, metrics, "Loss during training", f"loss (nats per {unit})")
    return figure


def accuracy_curve(metrics: Metrics) -> Figure:
    """Draw a classifier's accuracy on dev against the steps."""
    figure, axes = new_figure(7.5, 3.6)
    steps, shares = column(metrics, "step"), column(metrics, "dev_accuracy")
    axes.plot(steps, shares, color=ORANGE, marker="s", markersize=4, label="dev")
    best = best_look(metrics)
    if best is not None:
        share = best["dev_accuracy"]
        _mark_best(axes, best, share, f"most accurate on dev: {100 * share:.2f} %")
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    _finish(axes, metrics, "Accuracy during training", "share of dev documents right")
    return figure


def _mark_best(axes: Axes, best: Mapping[str, Any], height: float, label: str) -> None:
    style: dict[str, Any] = {
        "facecolors": "none",
        "edgecolors": ORANGE,
        "linewidths": 2,
        "zorder": 3,
    }
    label = f"{label} at step {best['step']:,}"
    axes.scatter([best["step"]], [height], s=140, label=label, **style)


def _finish(axes: Axes, metrics: Metrics, title: str, y: str) -> None:
    axes.set_xlim(left=0)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.legend(frameon=False, labelcolor=INK)
    last = metrics[-1]
    duration = f"{last['step']:,} in {readable_seconds(last['seconds'])}"
    set_titles(axes, title, f"training steps ({duration})", y)


def _scale_losses(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def learning_rate_schedule(metrics: Metrics) -> Figure:
    """Draw the learning rate against the steps, as it was at each look at dev."""
    figure, axes = new_figure(7.5, 3)
    rates = column(metrics, "learning_rate")
    axes.plot(column(metrics, "step"), rates, color=BLUE, marker="o", markersize=4, clip_on=False)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(color=FAINT, linewidth=0.6)
    set_titles(axes, "Learning rate during training", "training steps", "learning rate")
    return figure


def learning_rate_curve(curve: LearningRateCurve, unit: str = "token") -> Figure:
    """Draw the loss at each learning rate that the finder tried, its suggestion marked.

    Args:
        curve: What the finder saw.
        unit: What its losses are means over.
    """
    figure, axes = new_figure(7.5, 4.5)
    axes.plot(curve.rates, curve.losses, color=BLUE, alpha=0.35, linewidth=1, label="each step")
    axes.plot(curve.rates, curve.smoothed, color=BLUE, linewidth=2, label="smoothed")
    suggestion = f"suggestion: {curve.suggestion:.2g}"
    axes.axvline(curve.suggestion, color=ORANGE, linestyle="--", label=suggestion)
    axes.set_xscale("log")
    axes.set_ylim(*_loss_limits(curve))
    axes.grid(color=FAINT, linewidth=0.6)
    axes.legend(frameon=False, labelcolor=INK)
    set_titles(axes, "Learning-rate finder", "learning rate (log scale)", f"loss (nats per {unit})")
    return figure


def _loss_limits(curve: LearningRateCurve) -> tuple[float, float]:
    """Leave out the cliff at the end, which would squeeze the valley flat."""
    low, start = float(curve.smoothed.min()), float(curve.smoothed[0])
    height = max(start - low, 0.05 * abs(start))
    return low - 0.4 * height, start + 0.6 * height


def best_look(metrics: Metrics) -> dict[str, Any] | None:
    """Return the look whose weights are kept, or None without a dev split.

    A language model's has the lowest loss on dev; a classifier's has the highest accuracy, and of
    equal ones the lowest loss.
    """
    looks = [line for line in metrics if line.get(f"dev_nats_per_{unit_of(line)}") is not None]
    return min(looks, key=_badness, default=None)


def _badness(look: Mapping[str, Any]) -> tuple[float, float]:
    return -look.get("dev_accuracy", 0.0), float(look[f"dev_nats_per_{unit_of(look)}"])


def column(metrics: Iterable[Mapping[str, Any]], name: str) -> Float[np.ndarray, " looks"]:
    """Return one number per look; NaN where it is missing."""
    values = (line.get(name) for line in metrics)
    return np.array([math.nan if value is None else float(value) for value in values])


def readable_seconds(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> readable_seconds(0.25), readable_seconds(72), readable_seconds(5400)
    ('0.2 s', '72 s', '1 h 30 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
