"""Plot of minimal pairs: the accuracy of each model by phenomenon or paradigm."""

import numpy as np

from thence.evaluation.pairs import PairReport
from thence.reports import style

LINE_HEIGHT = 0.3
"""Height of a row for each run, in inches."""
SPREAD = 0.6
"""Share of the height of a row over which the points of several runs are spread."""
CHANCE = 0.5
"""Accuracy of guessing."""


def plot_pairs(report: PairReport, by: str = "phenomenon") -> style.Plot:
    """Draw accuracies with intervals: a row for each group and for all pairs, a point per run."""
    groups = (*report.groups(by), report.all)
    rows, count = len(groups), len(report.names)
    height = 1.4 + rows * max(LINE_HEIGHT, 0.14 * count + 0.1)
    figure, axes = style.new_figure(7, height)
    axes.axvline(CHANCE, color=style.INK, linestyle="--", linewidth=1, label="by chance")
    places = np.arange(rows)[::-1].astype(float)
    offsets = SPREAD * (np.arange(count) / max(count - 1, 1) - 0.5) if count > 1 else np.zeros(1)
    for at, name in enumerate(report.names):
        found = [group.runs[at] for group in groups]
        middle = np.array([one.accuracy for one in found])
        low, high = np.array([one.interval for one in found]).T
        axes.errorbar(
            middle,
            places - offsets[at],
            xerr=np.maximum([middle - low, high - middle], 0),
            fmt=style.MARKERS[at // len(style.COLOURS) % len(style.MARKERS)],
            color=style.COLOURS[at % len(style.COLOURS)],
            markersize=5,
            capsize=2,
            label=style.shortened(name),
        )
    axes.set_yticks(places, [style.shortened(group.name) for group in groups], **style.plain())
    axes.set_ylim(-0.7, rows - 0.3)
    style.add_grid(axes)
    style.in_percent(axes.xaxis, decimals=0)
    title = f"{report.all.pairs:,} minimal pairs"
    style.add_titles(axes, title, "pairs whose good sentence is likelier, 95 % intervals", "")
    figure.legend(
        loc="outside lower center", ncols=3, frameon=False, labelcolor=style.INK, fontsize=9
    )
    kind = "phenomenon" if report.groups(by) is report.phenomena else "paradigm"
    means = ", ".join(
        f"{name} {one.cell()} %" for name, one in zip(report.names, report.all.runs, strict=True)
    )
    description = f"Accuracy on minimal pairs by {kind}. Of all: {means}."
    return style.Plot("pairs", "Minimal pairs", description, figure)
