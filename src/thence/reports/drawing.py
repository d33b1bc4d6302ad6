"""What all pictures share: colours, an empty figure, text that is safe to draw, PNG and SVG.

Figures are made with matplotlib's object interface and never touch pyplot, so drawing changes
nothing for a program that also plots. This module is imported only when something is drawn.
"""

from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from thence.notebook import repr_html
from thence.tokens import Tokenizer

INK = "#1f2429"
FAINT = "#c3cad2"
PAPER = "#fffffe"
BLUE = "#2f7fd1"
ORANGE = "#d9730d"
"""Blue and orange are told apart with any colour vision, and seen on white and on black."""

COLOUR_MAP = "viridis"
PIXELS_PER_INCH = 160
WHOLE: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.1}
"""Nothing is ever cut off, and no empty margin is left."""

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
"""The first comes with matplotlib; the others fill in its scripts where they are installed."""

VISIBLE = str.maketrans({" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"})


@dataclass(frozen=True)
class Picture:
    """A figure with what a page needs to show it.

    Attributes:
        name: Its file name without the ending.
        title: A heading.
        description: What it shows in words, for those who cannot see it.
        figure: The drawing.
    """

    _repr_html_ = repr_html

    name: str
    title: str
    description: str
    figure: Figure


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of that many inches, and its only axes."""
    figure, (axes,) = new_stack(width, height, [1])
    return figure, axes


def new_stack(
    width: float, height: float, shares: list[float], one_x: bool = True
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of that many inches, and axes below each other.

    Args:
        width: In inches.
        height: In inches.
        shares: Of the height, one for each of the axes from the top.
        one_x: Whether they have one x axis in common, or else one y axis.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = {"height_ratios": shares}
    stack = figure.subplots(
        len(shares), sharex=one_x, sharey=not one_x, squeeze=False, gridspec_kw=grid
    )[:, 0]

    for axes in stack:
        axes.set_facecolor(PAPER)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.tick_params(which="both", colors=INK)
    return figure, list(stack)


def set_titles(axes: Axes, title: str, x: str, y: str) -> None:
    """Write the title and what each axis holds, with its unit."""
    axes.set_title(title, color=INK, loc="left", pad=10, **plain())
    axes.set_xlabel(x, color=INK, **plain())
    axes.set_ylabel(y, color=INK, **plain())


def plain() -> dict[str, Any]:
    """Return the properties of text that may come from outside: a ``$`` stays a ``$``."""
    return {"parse_math": False, "fontfamily": list(_fonts())}


def symbol_text(tokenizer: Tokenizer, index: int) -> str:
    """Return the text of one token, or the name of one that has no text of its own."""
    vocabulary = tokenizer.vocabulary
    name = vocabulary.names()[index] if index >= len(vocabulary.symbols) else ""
    text = "" if index == vocabulary.unknown_id else tokenizer.decode([index])
    return text if text and "\ufffd" not in text else name or vocabulary.symbols[index]


def visible(text: str) -> str:
    r"""Return text with spaces and control characters made visible.

    >>> visible("a b\n\x07")
    'a␣b⏎U+0007'
    """
    text = text.translate(VISIBLE)
    return "".join(char if char.isprintable() else _code_point(char) for char in text)


def drawable(text: str) -> str:
    """Return visible text in which a character that no font here can draw is its code point."""
    known = _glyphs()
    return "".join(char if ord(char) in known else _code_point(char) for char in visible(text))


def shortened(text: str, length: int = 40) -> str:
    """Return drawable text on one line, its spaces kept, and its middle left out if it is long.

    Names that begin alike often differ at the end.

    >>> shortened("comp.sys.ibm.pc.hardware", 15)
    'comp.sy…ardware'
    """
    line = " ".join(map(drawable, text.split()))
    if len(line) <= length:
        return line
    return f"{line[: length // 2]}…{line[len(line) - (length - 1) // 2 :]}"


def _code_point(char: str) -> str:
    return f"U+{ord(char):04X}"


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
    """Return a figure as SVG, the same bytes for the same figure."""
    file = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "thence", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", metadata={"Date": None}, **WHOLE)
    return file.getvalue()
