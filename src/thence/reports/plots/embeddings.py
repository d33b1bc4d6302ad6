"""The map of embeddings: where a network has put each symbol, in two dimensions."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from thence.array_types import Float
from thence.evaluation.embeddings import embedding_table
from thence.reports import style
from thence.reports.formatting import symbol_text
from thence.reports.symbols import most_frequent, project
from thence.runs import ClassifierRun, Run

MOST_SYMBOLS = 150
"""Symbols that are drawn: the most frequent."""
PLACES = (
    (5, 0, "left", "center"),
    (-5, 0, "right", "center"),
    (0, 5, "center", "bottom"),
    (0, -5, "center", "top"),
    (4, 4, "left", "bottom"),
    (-4, 4, "right", "bottom"),
    (4, -4, "left", "top"),
    (-4, -4, "right", "top"),
)
"""Where a label may stand beside its point, best first: x and y in points, and which side of the
text is there."""


def plot_embeddings(run: Run) -> style.Plot | None:
    """Draw the most frequent symbols where their embeddings lie; None without embeddings."""
    table = embedding_table(run)
    if table is None:
        return None
    store = run.store("train")
    counts = store.id_counts(len(table))
    if isinstance(run, ClassifierRun):  # It never reads the boundary.
        ids = most_frequent(counts, MOST_SYMBOLS + 1, store.boundary_id)[1:]
    else:
        ids = most_frequent(counts, MOST_SYMBOLS, store.boundary_id)
    points, shares = project(table[ids])
    names = [style.drawable(symbol_text(run.tokenizer, int(index))) for index in ids]
    title = f"Embeddings of {len(ids)} symbols"
    if len(ids) < len(table):
        title = f"Embeddings of the {len(ids)} most frequent of {len(table):,} symbols"
    if shares is None:
        axis_labels = ("first dimension", "second dimension")
    else:
        first, second = (f"({share * 100:.0f} % of the variance)" for share in shares)
        axis_labels = (f"first principal component {first}", f"second principal component {second}")
    figure = draw_points(points, names, title, axis_labels)
    return style.Plot("embedding-map", "Embeddings", f"Scatter plot. {title}.", figure)


def draw_points(
    points: Float[np.ndarray, "shown 2"],
    names: list[str],
    title: str,
    axis_labels: tuple[str, str],
) -> Figure:
    """Draw a point per symbol, and the names of as many as fit without overlap, in order."""
    figure, axes = style.new_figure(8, 7)
    axes.scatter(points[:, 0], points[:, 1], s=14, color=style.BLUE, linewidths=0)
    style.add_grid(axes)
    axes.margins(0.06)
    style.add_titles(axes, title, *axis_labels)
    figure.draw_without_rendering()  # Settles the layout, on which the room for labels depends.
    taken = [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in axes.transData.transform(points)]
    for point, name in zip(points, names, strict=True):
        _place_label(axes, point, name, taken)
    return figure


def _place_label(axes: Axes, point: Any, name: str, taken: list[Bbox]) -> None:
    """Write a name at the first place beside its point that is free, or not at all."""
    for x, y, horizontal, vertical in PLACES:
        look: dict[str, Any] = {"ha": horizontal, "va": vertical, **style.plain()}
        look |= {"fontsize": 9, "color": style.INK, "textcoords": "offset points"}
        label = axes.annotate(name, point, (x, y), **look)
        label.set_in_layout(False)
        box = label.get_window_extent().padded(2)
        inside = axes.bbox.contains(box.x0, box.y0) and axes.bbox.contains(box.x1, box.y1)
        if inside and not any(box.overlaps(other) for other in taken):
            taken.append(box)
            return
        label.remove()
