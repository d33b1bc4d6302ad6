"""The map of embeddings: the most frequent symbols in two dimensions, as a figure."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from thence.array_types import Float
from thence.reports import style
from thence.reports.formatting import symbol_text
from thence.reports.symbols import embedding_map
from thence.runs import Run

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
"""Positions of a label beside its point, best first: offset x and y in points (1/72 inch), and the
alignment of the text."""


def plot_embeddings(run: Run) -> style.Plot | None:
    """Draw a map of the embeddings of the most frequent symbols; None without embeddings."""
    found = embedding_map(run)
    if found is None:
        return None
    names = [style.drawable(symbol_text(run.tokenizer, int(index))) for index in found.ids]
    figure = draw_points(found.points, names, found.title, found.axes)
    return style.Plot("embedding-map", "Embeddings", f"Scatter plot. {found.title}.", figure)


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
    figure.draw_without_rendering()  # Computes the layout, which label positions depend on.
    taken = [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in axes.transData.transform(points)]
    for point, name in zip(points, names, strict=True):
        _place_label(axes, point, name, taken)
    return figure


def _place_label(axes: Axes, point: Any, name: str, taken: list[Bbox]) -> None:
    """Write a name at the first position that overlaps nothing, or not at all."""
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
