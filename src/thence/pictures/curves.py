"""Curves of a training: the loss, the learning rate, and what the learning-rate finder saw."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from thence.pictures.drawing import BLUE, FAINT, INK, ORANGE, new_figure, set_titles

if TYPE_CHECKING:  # The finder needs torch; a picture of a finished run does not.
    from thence.training.learning_rate_finder import LearningRateCurve

Metrics = list[dict[str, Any]]
NATS = "nats per token"
LINES = (
    ("train_nats_per_token", "train (mean over the steps before)", BLUE, "o"),
    ("dev_nats_per_token", "dev", ORANGE, "s"),
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
    steps = column(metrics, "step")
    for name, label, color, marker in LINES:
        losses = column(metrics, name)
        if np.isfinite(losses).any():
            axes.plot(steps, losses, color=color, marker=marker, markersize=4, label=label)
    best = best_look(metrics)
    if best is not None:
        _mark_best(axes, best)
    if log_scale:
        _scale_losses(axes)
    axes.set_xlim(left=0)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.legend(frameon=False, labelcolor=INK)
    last = metrics[-1]
    duration = f"{last['step']:,} in {readable_seconds(last['seconds'])}"
    set_titles(axes, "Loss during training", f"training steps ({duration})", f"loss ({NATS})")
    return figure


def _mark_best(axes: Axes, best: Mapping[str, Any]) -> None:
    step, loss = best["step"], best["dev_nats_per_token"]
    label = f"best on dev: {loss:.4f} at step {step:,}"
    style: dict[str, Any] = {
        "facecolors": "none",
        "edgecolors": ORANGE,
        "linewidths": 2,
        "zorder": 3,
    }
    axes.scatter([step], [loss], s=140, label=label, **style)


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


def learning_rate_curve(curve: "LearningRateCurve") -> Figure:
    """Draw the loss at each learning rate of the finder's sweep, its suggestion marked."""
    figure, axes = new_figure(7.5, 4.5)
    axes.plot(curve.rates, curve.losses, color=BLUE, alpha=0.35, linewidth=1, label="each step")
    axes.plot(curve.rates, curve.smoothed, color=BLUE, linewidth=2, label="smoothed")
    suggestion = f"suggestion: {curve.suggestion:.2g}"
    axes.axvline(curve.suggestion, color=ORANGE, linestyle="--", label=suggestion)
    axes.set_xscale("log")
    axes.set_ylim(*_loss_limits(curve))
    axes.grid(color=FAINT, linewidth=0.6)
    axes.legend(frameon=False, labelcolor=INK)
    set_titles(axes, "Learning-rate finder", "learning rate (log scale)", f"loss ({NATS})")
    return figure


def _loss_limits(curve: "LearningRateCurve") -> tuple[float, float]:
    """Leave out the cliff at the end, which would squeeze the valley flat."""
    low, start = float(curve.smoothed.min()), float(curve.smoothed[0])
    height = max(start - low, 0.05 * abs(start))
    return low - 0.4 * height, start + 0.6 * height


def best_look(metrics: Metrics) -> dict[str, Any] | None:
    """Return the look with the lowest loss on dev, or None without a dev split."""
    looks = [line for line in metrics if line.get("dev_nats_per_token") is not None]
    return min(looks, key=lambda line: float(line["dev_nats_per_token"]), default=None)


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
