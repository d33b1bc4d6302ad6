"""What a report or a notebook shows: headings, pairs, tables, plots, texts with coloured tokens.

A page is a sequence of blocks. Blocks hold plain text, never HTML, so that whatever comes from a
text is escaped in one place, ``markup``.
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
"""Colours behind tokens, as red, green and blue."""


class Block:
    """A part of a page."""


@dataclass(frozen=True)
class Title(Block):
    """The title of a page, and a line under it."""

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
    """What the output of a notebook's cell is, and what is said beside it in fainter letters."""

    text: str
    about: str = ""


@dataclass(frozen=True)
class Note(Block):
    """A remark."""

    text: str


@dataclass(frozen=True)
class Statement(Block):
    """The sentence that a page is about."""

    text: str


@dataclass(frozen=True)
class Folded(Block):
    """Blocks that are shown once the summary is clicked, and what is said under the summary."""

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
        words: How many of the first columns hold words and begin at the left; the others hold
            numbers. If there are any, the first is the name of the row.
        style: How a page shows it: ``wide`` tables have much beside each other, ``settings`` hold
            long words, ``metrics`` only numbers.
        best: Place of a row to mark.
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
    """Names with a bar and a number each.

    Attributes:
        rows: Name, length of the bar, and the number as it is written.
        whole: The length that takes the whole width.
        marked: Place of the row that the others are there to be compared with.
    """

    rows: Sequence[tuple[str, float, str]]
    whole: float = 1.0
    marked: int | None = None


@dataclass(frozen=True)
class Token:
    """A piece of text, which may have a colour behind it.

    Attributes:
        text: The piece.
        about: What is said where the pointer rests.
        colour: Red, green and blue.
        share: How strong the colour is, from 0 to 1.
        is_underlined: Whether a dotted line is under it, for those who cannot tell colours apart.
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
    """Tokens one after the other.

    Attributes:
        tokens: What is shown; strings are tokens without a colour.
        separator: What stands between tokens.
        about: A line under them.
        link: Where the text leads to, if anywhere.
    """

    tokens: Sequence[Token | str]
    separator: str = ""
    about: str = ""
    link: str = ""


@dataclass(frozen=True)
class Texts(Block):
    """Texts in boxes; ``are_short`` if several have room beside each other."""

    items: Sequence[RunningText]
    are_short: bool = False


@dataclass(frozen=True)
class Annotated(Block):
    """A text that opens: its tokens in colours, and then each with a note under it.

    Attributes:
        text: The tokens; a line under them is what ``about`` says.
        notes: What stands under each token once it is opened.
    """

    text: RunningText
    notes: Sequence[str]


@dataclass(frozen=True)
class Stack(Block):
    """Blocks below each other that belong together."""

    blocks: Sequence[Block]


@dataclass(frozen=True)
class Beside(Block):
    """Blocks that stand beside each other where there is room; ``wide``: each needs more room."""

    blocks: Sequence[Block]
    wide: bool = False


@dataclass(frozen=True)
class Series:
    """A line of a chart, or its points.

    Attributes:
        name: What the legend calls it; empty: it is not named.
        points: x and y of each point; what is not finite is left out.
        colour: As CSS writes it.
        form: How the points are drawn: joined, as steps, in dashes, or each by itself.
        abouts: What is said of each point where the pointer rests; by default its numbers.
        about: What is said of the line as a whole, instead.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    form: Literal["line", "steps", "dashes", "points"] = "line"
    abouts: Sequence[str] = ()
    about: str = ""


@dataclass(frozen=True)
class Chart(Block):
    """Series over one x axis.

    Attributes:
        title: A heading.
        description: What it shows in words, for those who cannot see it.
        series: What is drawn, the last on top.
        x: What the x axis holds, with its unit.
        y: What the y axis holds, with its unit.
        is_log: Whether the x axis is logarithmic.
        is_log_y: Whether the y axis is.
        in_percent: Whether the numbers of the y axis are shares.
        limits: The least and the greatest y that is shown; by default all are.
        labels: Texts within it, each with its x and y.
        tick_names: What stands below the x axis at 0, 1, 2, ... in place of numbers.
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
    """A square of a heat map.

    Attributes:
        row: Its row, from 0.
        column: Its column, from 0.
        share: How strong its colour is, from -1 (orange) to 1 (blue).
        about: What is said where the pointer rests.
        text: What is written into it.
    """

    row: int
    column: int
    share: float
    about: str
    text: str = ""


@dataclass(frozen=True)
class HeatMap(Block):
    """Squares in rows and columns.

    Attributes:
        title: A heading.
        description: What it shows in words, for those who cannot see it.
        rows: Their names.
        columns: Their names.
        cells: Those that are not empty.
        x: What the columns are.
        y: What the rows are.
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
    """A figure of matplotlib with what a page needs to show it.

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
    figure: "Figure"


@dataclass(frozen=True)
class Plots(Block):
    """Figures of matplotlib."""

    items: Sequence[Plot]
