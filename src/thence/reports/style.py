"""The style of all plots: colours, empty figures, text that can be drawn, PNG and SVG.

Figures are made with matplotlib's object interface, not with pyplot, so the global state of a
program that also plots is not changed. Importing this module imports matplotlib.
"""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import PercentFormatter

from thence.array_types import Float
from thence.reports.colours import BLUE as BLUE
from thence.reports.colours import COLOURS as COLOURS
from thence.reports.colours import FAINT as FAINT
from thence.reports.colours import INK as INK
from thence.reports.colours import ORANGE as ORANGE
from thence.reports.colours import PAPER as PAPER
from thence.reports.content import Plot as Plot
from thence.reports.formatting import code_point, short, visible

MARKERS = "osD^vPX"
"""Markers that tell lines apart, after the colours are used up."""
COLOUR_MAP = "viridis"

PIXELS_PER_INCH = 160
WHOLE: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.1}
"""Arguments of ``savefig``: the margins are fitted to what is drawn."""

FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Nirmala UI",
    "PingFang SC",
    "Hiragino Sans",
    "Arial Unicode MS",
)
"""Fonts in order of preference. The first comes with matplotlib; the others, where installed, have
the scripts that it lacks."""


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure with a single axes; sizes are in inches."""
    figure, (axes,) = new_stack(width, height, [1])
    return figure, axes


def new_stack(width: float, height: float, shares: list[float]) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with axes stacked vertically, which share the x axis.

    Args:
        width: In inches.
        height: In inches.
        shares: Relative height of each axes, from the top.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = {"height_ratios": shares}
    stack = figure.subplots(len(shares), sharex=True, squeeze=False, gridspec_kw=grid)[:, 0]
    for axes in stack:
        axes.set_facecolor(PAPER)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.tick_params(which="both", colors=INK)
    return figure, list(stack)


def add_titles(axes: Axes, title: str, x: str, y: str) -> None:
    """Write the title and the labels of the two axes."""
    axes.set_title(title, color=INK, loc="left", pad=10, **plain())
    axes.set_xlabel(x, color=INK, **plain())
    axes.set_ylabel(y, color=INK, **plain())


def add_grid(axes: Axes, axis: Any = "both") -> None:
    """Draw faint lines at the ticks, behind everything else."""
    axes.grid(axis=axis, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def add_legend(axes: Axes, **more: Any) -> None:
    """Draw a legend inside the axes."""
    axes.legend(frameon=False, **{"labelcolor": INK, **more})


def add_colour_bar(axes: Axes, image: AxesImage, label: str, shrink: float = 0.8) -> None:
    """Draw a colour bar beside an image."""
    assert isinstance(axes.figure, Figure)
    bar = axes.figure.colorbar(image, ax=axes, shrink=shrink, pad=0.03)
    bar.set_label(label, color=INK)
    bar.ax.tick_params(colors=INK)
    bar.outline.set_visible(False)


def write_cells(
    axes: Axes,
    texts: Sequence[Sequence[str]],
    values: Float[np.ndarray, "rows columns"],
    size: float,
) -> None:
    """Write a text into each cell of an image in shades of blue, in white on dark ones."""
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > 0.6 else "#1b2a3a"
        place: dict[str, Any] = {"ha": "center", "va": "center", "linespacing": 1.3}
        text = texts[row][column]
        axes.text(column, row, text, color=colour, fontsize=size, **place, **plain())


def name_cells(axes: Axes, names: Sequence[str], size: float, upright: bool) -> None:
    """Write the names of rows and columns beside an image; ``upright``: columns are rotated."""
    places = range(len(names))
    axes.set_xticks(places, names, rotation=90 if upright else 0, fontsize=size, **plain())
    axes.set_yticks(places, names, fontsize=size, **plain())
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def in_percent(axis: Axis, decimals: int | None = None) -> None:
    """Format the ticks of an axis as percentages."""
    axis.set_major_formatter(PercentFormatter(1, decimals=decimals, symbol=" %"))


def plain() -> dict[str, Any]:
    """Return text properties for names from data: no math mode (``$``), and all fonts."""
    return {"parse_math": False, "fontfamily": list(_fonts())}


def drawable(text: str) -> str:
    """Return visible text, with characters that no installed font has replaced by code points."""
    known = _glyphs()
    return "".join(char if ord(char) in known else code_point(char) for char in visible(text))


def shortened(text: str, length: int = 40) -> str:
    """Return drawable text on one line, with its spaces, truncated in the middle.

    >>> shortened("comp.sys.ibm.pc.hardware", 15)
    'comp.sy…ardware'
    """
    return short(" ".join(map(drawable, text.split())), length)


@cache
def _fonts() -> tuple[str, ...]:
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return tuple(name for name in FONTS if name in installed)


@cache
def _glyphs() -> frozenset[int]:
    paths = (font_manager.findfont(name) for name in _fonts())
    return frozenset(char for path in paths for char in font_manager.get_font(path).get_charmap())


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=PIXELS_PER_INCH, **WHOLE)
    return file.getvalue()


def to_svg(figure: Figure) -> bytes:
    """Return a figure as SVG; equal figures give equal bytes, without dates and random ids."""
    file = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "thence", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", metadata={"Date": None}, **WHOLE)
    return file.getvalue()
