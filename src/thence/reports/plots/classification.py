"""Plots of a classifier on a split: the confusion matrix and the reliability diagram."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from thence.array_types import Float, Int64
from thence.evaluation.labels import ClassificationReport
from thence.evaluation.metrics import CalibrationBins
from thence.reports import style
from thence.reports.classifier import most_mistaken

MOST_LABELS = 40
"""Labels of a confusion matrix at most."""
MOST_WITH_COUNTS = 12
"""Largest number of labels for which counts are written into the cells."""
LONGEST_LABEL = 24
"""Characters of a label at most."""
INCHES_PER_CHARACTER = 0.09
"""Approximate width of a letter, in inches."""
LEGEND: dict[str, Any] = {"ncols": 3, "frameon": False, "labelcolor": style.INK, "fontsize": 9}

Counts = Int64[np.ndarray, "labels labels"]


def classification_plots(report: ClassificationReport) -> list[style.Plot]:
    """Draw the confusion matrix, if there is one, and the reliability diagram."""
    drawn = [plot_confusion_matrix(report), plot_reliability(report)]
    return [plot for plot in drawn if plot is not None]


def plot_confusion_matrix(report: ClassificationReport) -> style.Plot | None:
    """Draw the confusion matrix; None if the report has none."""
    if report.confusion is None:
        return None
    names = [score.label for score in report.classes]
    figure = draw_confusion_matrix(report.confusion, names, report.text)
    description = f"Matrix of true and predicted labels. {figure.axes[0].get_title(loc='left')}."
    return style.Plot("confusion", "Confusion matrix", description, figure)


def plot_reliability(report: ClassificationReport) -> style.Plot:
    """Draw the reliability diagram."""
    answers = "answers" if report.multilabel else "predictions"
    figure = draw_reliability(report.calibration, report.text, answers)
    description = f"Accuracy by confidence. {figure.axes[0].get_title(loc='left')}."
    return style.Plot("reliability", "Reliability diagram", description, figure)


def draw_confusion_matrix(confusion: Counts, labels: Sequence[str], text: str) -> Figure:
    """Draw a cell for each true (row) and predicted label, with counts if there are few labels.

    The colour is the share of the documents with the true label (recall), so that rare labels are
    as visible as frequent ones. Of very many labels, those most often confused are drawn.
    """
    chosen = most_mistaken(confusion, MOST_LABELS)
    shares = (confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1))[chosen][:, chosen]
    names = [style.shortened(labels[at], LONGEST_LABEL) for at in chosen]
    has_counts = len(names) <= MOST_WITH_COUNTS
    side = max((0.65 if has_counts else 0.22) * len(names), 3.6)
    longest = max(map(len, names)) * INCHES_PER_CHARACTER
    figure, axes = style.new_figure(side + longest + 2, side + 1.8)
    norm = PowerNorm(0.5, 0, 1)  # A square-root scale, so that rare mistakes can be seen.
    image = axes.imshow(shares, cmap="Blues", norm=norm, interpolation="none")
    style.add_colour_bar(axes, image, "share of the true label, square-root scale")
    if has_counts:
        counts = confusion[chosen][:, chosen]
        texts = [[f"{count:,}" for count in row] for row in counts]
        style.write_cells(axes, texts, norm(shares), 9 if counts.max() < 100_000 else 7)
    else:
        _draw_lines_between(axes, len(names))
    upright = longest + INCHES_PER_CHARACTER >= side / len(names)
    # Large figures are scaled down on pages, so their names are larger.
    style.name_cells(axes, names, 9 if len(names) <= 20 else 10, upright)
    shown = "" if len(names) == len(labels) else f"\n{len(names)} most mistaken of {len(labels):,}"
    title = f"Confusion matrix, {style.shortened(text)}{shown}"
    style.add_titles(axes, title, "predicted label", "true label")
    return figure


def _draw_lines_between(axes: Axes, size: int) -> None:
    """Draw grid lines between the cells, which lead the eye to the names of many labels."""
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=style.FAINT, linewidth=0.4)


def draw_reliability(
    calibration: CalibrationBins, text: str, answers: str = "predictions"
) -> Figure:
    """Draw accuracy by confidence against the diagonal, and below it a histogram of confidences.

    Source: the diagrams of C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger 2017, "On calibration of
    modern neural networks", figure 1.
    """
    figure, (top, bottom) = style.new_stack(5.6, 7, [2.7, 1.2])
    _draw_accuracy(top, calibration)
    _draw_counts(bottom, calibration)
    # Below the axes, since the bars may cover all of them.
    figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", **LEGEND)
    error = f"expected calibration error {100 * calibration.error:.2f} %"
    title = f"Reliability diagram, {style.shortened(text)}\n{error}"
    style.add_titles(top, title, "", f"share of {answers} right")
    number = f"{calibration.count.sum():,} {answers}"
    style.add_titles(bottom, "", f"confidence of {number}", f"share of {answers}")
    return figure


def _draw_accuracy(axes: Axes, calibration: CalibrationBins) -> None:
    """Draw a bar with the accuracy of each bin, and a point at its mean confidence."""
    filled = calibration.count > 0
    heights = np.where(filled, calibration.accuracy, 0)
    _draw_bars(axes, heights, label="share that is right")
    dashed: dict[str, Any] = {"color": style.INK, "linestyle": "--", "linewidth": 1}
    axes.plot([0, 1], [0, 1], label="perfect calibration", **dashed)
    axes.plot(
        calibration.confidence[filled],
        calibration.accuracy[filled],
        color=style.ORANGE,
        marker="o",
        markersize=5,
        linestyle="none",
        label="mean confidence of each bin",
        clip_on=False,
        zorder=3,
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    style.add_grid(axes)
    style.in_percent(axes.yaxis, decimals=0)


def _draw_counts(axes: Axes, calibration: CalibrationBins) -> None:
    _draw_bars(axes, calibration.count / calibration.count.sum())
    style.add_grid(axes, "y")
    style.in_percent(axes.xaxis, decimals=0)
    style.in_percent(axes.yaxis, decimals=0)


def _draw_bars(axes: Axes, heights: Float[np.ndarray, " bins"], label: str = "") -> None:
    """Draw a bar for each bin of equal width from 0 to 1."""
    width = 1 / len(heights)
    look: dict[str, Any] = {"color": style.BLUE, "edgecolor": "white", "linewidth": 0.8}
    axes.bar(np.arange(len(heights)) * width, heights, width, align="edge", label=label, **look)
