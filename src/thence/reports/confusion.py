"""The confusion matrix of a classifier: which label it takes for which."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from thence.reports.drawing import FAINT, INK, new_figure, plain, set_titles, shortened

SHOWN = 40
SHOWN_WITH_COUNTS = 12
LONGEST_LABEL = 24
INCHES_PER_CHARACTER = 0.09
"""About the width of a letter of a label at an edge."""

Counts = Int64[np.ndarray, "labels labels"]


def draw_confusion(confusion: Counts, labels: Sequence[str], text: str) -> Figure:
    """Draw a coloured square for each true and predicted label, few labels with their counts.

    The colour is the share of the documents with the true label, so that each row is seen alike,
    however rare its label. Of very many labels those most often mistaken are drawn.

    Args:
        confusion: How often each label (row) was predicted as each (column).
        labels: Their names.
        text: What was judged, in words.
    """
    chosen = most_mistaken(confusion, SHOWN)
    shares = (confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1))[chosen][:, chosen]
    names = [shortened(labels[at], LONGEST_LABEL) for at in chosen]
    cell = 0.65 if len(names) <= SHOWN_WITH_COUNTS else 0.22
    side = max(cell * len(names), 3.6)
    longest = max(map(len, names)) * INCHES_PER_CHARACTER
    figure, axes = new_figure(side + longest + 2, side + 1.8)
    norm = PowerNorm(0.5, 0, 1)  # A square root: mistakes are few, and they are what to look for.
    image = axes.imshow(shares, cmap="Blues", norm=norm, interpolation="none")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.03)
    bar.set_label("share of the true label, square-root scale", color=INK)
    bar.ax.tick_params(colors=INK)
    bar.outline.set_visible(False)
    if len(names) <= SHOWN_WITH_COUNTS:
        _write_counts(axes, confusion[chosen][:, chosen], norm(shares))
    else:
        _rule(axes, len(names))
    _label(axes, names, flat=longest + INCHES_PER_CHARACTER < side / len(names))
    shown = "" if len(names) == len(labels) else f"\n{len(names)} most mistaken of {len(labels):,}"
    set_titles(axes, f"Confusions, {shortened(text)}{shown}", "predicted label", "true label")
    return figure


def most_mistaken(confusion: Counts, number: int) -> Int64[np.ndarray, " shown"]:
    """Return the labels most often taken for another or another for them, in their own order."""
    mistakes = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * confusion.diagonal()
    return np.sort(np.argsort(-mistakes, kind="stable")[:number])


def _write_counts(axes: Axes, counts: Counts, colours: Float[np.ndarray, "labels labels"]) -> None:
    size = 9 if counts.max() < 100_000 else 7
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if colours[row, column] > 0.6 else "#1b2a3a"
        axes.text(column, row, f"{count:,}", color=colour, fontsize=size, ha="center", va="center")


def _rule(axes: Axes, size: int) -> None:
    """Draw lines between many labels, to follow to their names."""
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=FAINT, linewidth=0.4)


def _label(axes: Axes, names: list[str], flat: bool) -> None:
    places, size = (
        range(len(names)),
        9 if len(names) <= 20 else 10,
    )  # A page shows large ones smaller.
    axes.set_xticks(places, names, rotation=0 if flat else 90, fontsize=size, **plain())
    axes.set_yticks(places, names, fontsize=size, **plain())
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
