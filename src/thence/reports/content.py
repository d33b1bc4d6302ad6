"""What a report or a notebook shows: headings, pairs, tables, plots, texts with coloured tokens.

A page is a sequence of blocks. Blocks hold plain text, never HTML, so that whatever comes from a
text is escaped in one place; each gives its HTML for either look of ``markup``.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from thence.reports.markup import NOTEBOOK, PAGE, Look, element, escaped, figure, framed, whole_page
from thence.reports.style import Plot

SURPRISING = "226 98 12"
SPEAKS_FOR = "0 158 115"
SPEAKS_AGAINST = "213 94 0"
"""Colours behind tokens, as red, green and blue."""
STRONGEST = 70
"""How opaque, in percent, the strongest colour is: text on it stays readable in light and dark."""


class Block:
    """A part of a page; ``to_html`` asks each kind for its HTML."""

    def _html(self, look: Look) -> str:
        raise NotImplementedError


def to_html(blocks: Iterable[Block], look: Look = PAGE) -> str:
    """Return blocks one below the other."""
    return "\n".join(block._html(look) for block in blocks)


def page(title: str, blocks: Iterable[Block]) -> str:
    """Return a whole page; the title is that of the window."""
    return whole_page(title, to_html(blocks))


def notebook_output(blocks: Iterable[Block]) -> str:
    """Return the output of a notebook's cell."""
    return framed(to_html(blocks, NOTEBOOK))


@dataclass(frozen=True)
class Title(Block):
    """The title of a page, and a line under it."""

    text: str
    lead: str = ""

    def _html(self, look: Look) -> str:
        lead = f'\n<p class="lead">{escaped(self.lead)}</p>' if self.lead else ""
        return f"<h1>{escaped(self.text)}</h1>{lead}"


@dataclass(frozen=True)
class Section(Block):
    """A part of a page with a heading."""

    title: str
    blocks: Sequence[Block]

    def _html(self, look: Look) -> str:
        heading = f"<h2>{escaped(self.title)}</h2>"
        return f"<section>\n{heading}\n{to_html(self.blocks, look)}\n</section>"


@dataclass(frozen=True)
class Subtitle(Block):
    """A heading within a section."""

    text: str

    def _html(self, look: Look) -> str:
        return f"<h3>{escaped(self.text)}</h3>"


@dataclass(frozen=True)
class Caption(Block):
    """What the output of a notebook's cell is, and what is said beside it in fainter letters."""

    text: str
    about: str = ""

    def _html(self, look: Look) -> str:
        beside = " " + element("span", look["beside"], escaped(self.about)) if self.about else ""
        return element("div", look["caption"], f"<b>{escaped(self.text)}</b>{beside}")


@dataclass(frozen=True)
class Note(Block):
    """A remark."""

    text: str

    def _html(self, look: Look) -> str:
        return element("p", look["note"], escaped(self.text))


@dataclass(frozen=True)
class Score(Block):
    """One number in large figures, and what it is."""

    value: str
    about: str

    def _html(self, look: Look) -> str:
        return f'<p class="score"><b>{escaped(self.value)}</b> {escaped(self.about)}</p>'


@dataclass(frozen=True)
class Folded(Block):
    """Blocks that are shown once the summary is clicked."""

    summary: str
    blocks: Sequence[Block]

    def _html(self, look: Look) -> str:
        summary = f"<summary>{escaped(self.summary)}</summary>"
        return f"<details>{summary}{to_html(self.blocks, look)}</details>"


@dataclass(frozen=True)
class Pairs(Block):
    """Names and their values."""

    rows: Sequence[tuple[str, str]]

    def _html(self, look: Look) -> str:
        rows = "".join(
            f"<tr>{element('th', look['pair name'], escaped(name))}"
            f"{element('td', look['pair value'], escaped(value))}</tr>"
            for name, value in self.rows
        )
        return element("table", look["pairs"], rows) if rows else ""


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

    def _html(self, look: Look) -> str:
        kinds = ["word" if at < self.words else "number" for at in range(len(self.columns))]
        cells = [("th", look["row name"] if self.words else look["number"])]
        cells += [("td", look[kind]) for kind in kinds[1:]]
        head = [("th", look[f"head {kind}"]) for kind in kinds]
        lines = [element("tr", "", _cells(head, self.columns))]
        for place, row in enumerate(self.rows):
            mark = look["best row"] if place == self.best else ""
            lines.append(element("tr", mark, _cells(cells, row)))
        caption = f"<caption>{escaped(self.caption)}</caption>" if self.caption else ""
        table = element("table", look[self.style], caption + "".join(lines))
        return element("div", look["wide box"], table)


def _cells(kinds: Sequence[tuple[str, str]], texts: Sequence[str]) -> str:
    cells = zip(kinds, texts, strict=True)
    return "".join(element(*kind, escaped(text)) for kind, text in cells)


@dataclass(frozen=True)
class Bars(Block):
    """Names with a bar and a number each.

    Attributes:
        rows: Name, length of the bar, and the number as it is written.
        whole: The length that takes the whole width.
    """

    rows: Sequence[tuple[str, float, str]]
    whole: float = 1.0

    def _html(self, look: Look) -> str:
        rows = "".join(
            f"<tr>{element('th', look['row name'], escaped(name) or '&nbsp;')}"
            f"{element('td', look['number'], escaped(number))}"
            f"{element('td', look['bar cell'], _bar(length / self.whole))}</tr>"
            for name, length, number in self.rows
        )
        return element("table", look["grid"], rows)


def _bar(share: float) -> str:
    percent = 100 * min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    shape = f"width: {percent:.1f}%; height: 1em; margin-top: .25em; border-radius: .15em"
    return f'<div style="{shape}; background: rgb(47 127 209 / 60%)"></div>'


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

    def _html(self, look: Look) -> str:
        if not self.colour:
            return escaped(self.text)
        strength = round(STRONGEST * min(max(self.share, 0.0), 1.0))
        style = f"background: rgb({self.colour} / {strength}%)"
        style += "; text-decoration: underline dotted" if self.is_underlined else ""
        attributes = f'style="{style}" title="{escaped(self.about)}"'
        if self.is_name:
            attributes = f"{look['symbol name']} {attributes}"
        return element("span", attributes, escaped(self.text))


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

    def _html(self, look: Look) -> str:
        return element("div", look["running text"], self._inner_html(look))

    def _inner_html(self, look: Look) -> str:
        shown = self.separator.join(
            escaped(token) if isinstance(token, str) else token._html(look) for token in self.tokens
        )
        if self.link:
            shown = f'<a href="{html.escape(self.link)}">{shown}</a>'
        return (shown or "&nbsp;") + (f"<small>{escaped(self.about)}</small>" if self.about else "")


@dataclass(frozen=True)
class Texts(Block):
    """Texts in boxes; ``are_short`` if several have room beside each other."""

    items: Sequence[RunningText]
    are_short: bool = False

    def _html(self, look: Look) -> str:
        items = (element("li", look["text"], item._inner_html(look)) for item in self.items)
        return element("ul", look["short texts" if self.are_short else "texts"], "".join(items))


@dataclass(frozen=True)
class Plots(Block):
    """Figures; ``are_small`` if two have room beside each other."""

    items: Sequence[Plot]
    are_small: bool = False

    def _html(self, look: Look) -> str:
        shown = "\n".join(figure(plot, look) for plot in self.items)
        return element("div", look["small plots"], shown) if self.are_small else shown
