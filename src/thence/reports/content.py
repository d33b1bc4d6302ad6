"""What a report or a notebook shows: headings, pairs, tables, plots, texts with coloured tokens.

A page is a sequence of blocks. Blocks hold plain text, never HTML, so that whatever comes from a
text is escaped in one place, ``markup``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from thence.reports.style import Plot

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
class Score(Block):
    """One number in large figures, and what it is."""

    value: str
    about: str


@dataclass(frozen=True)
class Folded(Block):
    """Blocks that are shown once the summary is clicked."""

    summary: str
    blocks: Sequence[Block]


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
    """

    rows: Sequence[tuple[str, float, str]]
    whole: float = 1.0


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
class Plots(Block):
    """Figures; ``are_small`` if two have room beside each other."""

    items: Sequence[Plot]
    are_small: bool = False
