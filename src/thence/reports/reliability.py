"""The reliability diagram of a classifier: how often it is right, by how sure it is."""

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from thence.evaluation.calibration import Calibration
from thence.reports.drawing import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    new_stack,
    set_titles,
    shortened,
)

LEGEND: dict[str, Any] = {"ncols": 3, "frameon": False, "labelcolor": INK, "fontsize": 9}


def draw_reliability(calibration: Calibration, text: str, answers: str = "predictions") -> Figure:
    """Draw accuracy by confidence against the diagonal, and under it how often each is said.

    Source: the diagrams of C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger 2017, "On calibration of
    modern neural networks", figure 1.

    Args:
        calibration: Predictions in bins by their confidence.
        text: What was judged, in words.
        answers: What is counted: predictions, or answers where there may be several labels.
    """
    figure, (top, bottom) = new_stack(5.6, 7, [2.7, 1.2])
    _draw_accuracy(top, calibration)
    _draw_counts(bottom, calibration)
    # Below, since the bars may fill all the room that there is.
    figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", **LEGEND)
    error = f"expected calibration error {100 * calibration.error:.2f} %"
    set_titles(top, f"Reliability, {shortened(text)}\n{error}", "", f"share of {answers} right")
    number = f"{calibration.count.sum():,} {answers}"
    set_titles(bottom, "", f"confidence of {number}", f"share of {answers}")
    return figure


def _draw_accuracy(axes: Axes, calibration: Calibration) -> None:
    """Draw bars, and where each should end: at the mean confidence in its bin."""
    left, width = _bins(calibration)
    filled = calibration.count > 0
    heights = np.where(filled, calibration.accuracy, 0)
    style: dict[str, Any] = {"color": BLUE, "edgecolor": "white", "linewidth": 0.8}
    axes.bar(left, heights, width, align="edge", label="share that is right", **style)
    axes.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1, label="perfect calibration")
    axes.plot(
        calibration.confidence[filled],
        calibration.accuracy[filled],
        color=ORANGE,
        marker="o",
        markersize=5,
        linestyle="none",
        label="mean confidence of each bin",
        clip_on=False,
        zorder=3,
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def _draw_counts(axes: Axes, calibration: Calibration) -> None:
    left, width = _bins(calibration)
    shares = calibration.count / calibration.count.sum()
    axes.bar(left, shares, width, align="edge", color=BLUE, edgecolor="white", linewidth=0.8)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def _bins(calibration: Calibration) -> tuple[Float[np.ndarray, " bins"], float]:
    """Return where each bin begins, and how wide it is."""
    number = len(calibration.count)
    return np.arange(number) / number, 1 / number
