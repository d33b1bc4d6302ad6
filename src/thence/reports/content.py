"""Blocks: the content of pages and notebooks, such as headings, tables, charts and coloured texts.

A page is a sequence of blocks. Blocks hold plain text, never HTML, which is escaped in one place,
``markup``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from thence.hooks import repr_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SURPRISING = "226 98 12"
SPEAKS_FOR = "0 158 115"
SPEAKS_AGAINST = "213 94 0"
"""Background colours of tokens, as red, green and blue."""


class Block:
    """Base class of all parts of a page."""


@dataclass(frozen=True)
class Title(Block):
    """The title of a page, and a line below it."""

    text: str
    lead: str = ""


@dataclass(frozen=True)
class Section(Block):
    """A part of a page with a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Subtitle(Block):
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Caption(Block):
    """A bold caption for the output of a notebook cell, and a fainter text beside it."""

    text: str
    about: str = ""


@dataclass(frozen=True)
class Note(Block):
    """A remark."""

    text: str


@dataclass(frozen=True)
class Statement(Block):
    """The main result of a page, as a sentence in large letters."""

    text: str


@dataclass(frozen=True)
class Folded(Block):
    """Blocks that unfold when the summary is clicked; ``about`` is a line below the summary."""

    summary: str
    blocks: Sequence[Block]
    about: str = ""


@dataclass(frozen=True)
class Pairs(Block):
    """Names and their values."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table(Block):
    """A table with headings.

    Attributes:
        columns: The headings.
        rows: The cells.
        words: Number of leading columns with text, aligned to the left; the others have numbers.
            If there are any, the first is the header of its row.
        style: Style on a page: ``wide`` for tables with many columns, ``settings`` for long words,
            ``metrics`` for numbers only.
        best: Index of a row to mark.
        caption: A line above it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    style: Literal["grid", "wide", "settings", "metrics"] = "grid"
    best: int | None = None
    caption: str = ""


@dataclass(frozen=True)
class Bars(Block):
    """A horizontal bar chart.

    Attributes:
        rows: Name, length of the bar, and the number as text.
        whole: The length that fills the whole width.
        marked: Index of the row to highlight, which the others are compared with.
    """

    rows: Sequence[tuple[str, float, str]]
    whole: float = 1.0
    marked: int | None = None


@dataclass(frozen=True)
class Token:
    """A piece of text with an optional background colour.

    Attributes:
        text: The text.
        about: Its tooltip.
        colour: Background colour as red, green and blue.
        share: Opacity of the colour, from 0 to 1.
        is_underlined: Whether it has a dotted underline, for readers who cannot tell colours apart.
        is_name: Whether the text is the name of a special symbol.
    """

    text: str
    about: str = ""
    colour: str = ""
    share: float = 0.0
    is_underlined: bool = False
    is_name: bool = False


@dataclass(frozen=True)
class RunningText(Block):
    """A text of tokens.

    Attributes:
        tokens: The tokens; strings are tokens without a colour.
        separator: Text between tokens.
        about: A line below.
        link: Address that the text links to; empty for none.
    """

    tokens: Sequence[Token | str]
    separator: str = ""
    about: str = ""
    link: str = ""


@dataclass(frozen=True)
class Texts(Block):
    """Texts in boxes; with ``are_short``, several are side by side."""

    items: Sequence[RunningText]
    are_short: bool = False


@dataclass(frozen=True)
class Annotated(Block):
    """A coloured text that unfolds to show a note below each token.

    Attributes:
        text: The tokens.
        notes: The note below each token.
    """

    text: RunningText
    notes: Sequence[str]


@dataclass(frozen=True)
class Stack(Block):
    """Blocks stacked vertically, as one block of ``Beside``."""

    blocks: Sequence[Block]


@dataclass(frozen=True)
class Beside(Block):
    """Blocks side by side where there is room; with ``wide``, each has a larger minimum width."""

    blocks: Sequence[Block]
    wide: bool = False


@dataclass(frozen=True)
class Series:
    """A data series of a chart.

    Attributes:
        name: Name in the legend; empty: not in the legend.
        points: x and y of each point; points that are not finite are left out.
        colour: A CSS colour.
        form: How it is drawn: as a line, a step function, a dashed line, or separate points.
        abouts: Tooltip of each point; by default its numbers.
        about: Tooltip of the whole line, instead.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    form: Literal["line", "steps", "dashes", "points"] = "line"
    abouts: Sequence[str] = ()
    about: str = ""


@dataclass(frozen=True)
class Chart(Block):
    """A line chart or scatter chart.

    Attributes:
        title: A heading.
        description: What it shows, for screen readers.
        series: The series, the last on top.
        x: Label of the x axis, with its unit.
        y: Label of the y axis, with its unit.
        is_log: Whether the x axis is logarithmic.
        is_log_y: Whether the y axis is logarithmic.
        in_percent: Whether y values are shares, shown as percentages.
        limits: Limits of the y axis; by default those of the data.
        labels: Texts in the chart, each with its x and y.
        tick_names: Names at x = 0, 1, 2, ... in place of numbers.
        height: In rem.
    """

    title: str
    description: str
    series: Sequence[Series]
    x: str
    y: str
    is_log: bool = False
    is_log_y: bool = False
    in_percent: bool = False
    limits: tuple[float, float] | None = None
    labels: Sequence[tuple[float, float, str]] = ()
    tick_names: Sequence[str] = ()
    height: float = 16


@dataclass(frozen=True)
class Cell:
    """A cell of a heat map.

    Attributes:
        row: Its row, from 0.
        column: Its column, from 0.
        share: Its colour, from -1 (orange) through 0 (none) to 1 (blue).
        about: Its tooltip.
        text: The text in it.
    """

    row: int
    column: int
    share: float
    about: str
    text: str = ""


@dataclass(frozen=True)
class HeatMap(Block):
    """A heat map.

    Attributes:
        title: A heading.
        description: What it shows, for screen readers.
        rows: Names of the rows.
        columns: Names of the columns.
        cells: The cells that are not empty.
        x: Label of the columns.
        y: Label of the rows.
    """

    title: str
    description: str
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Cell]
    x: str
    y: str


@dataclass(frozen=True)
class Plot:
    """A figure of matplotlib with its name and description.

    Attributes:
        name: File name without suffix.
        title: A heading.
        description: What it shows, for screen readers.
        figure: The figure.
    """

    _repr_html_ = repr_html

    name: str
    title: str
    description: str
    figure: "Figure"


@dataclass(frozen=True)
class Plots(Block):
    """Figures of matplotlib."""

    items: Sequence[Plot]
