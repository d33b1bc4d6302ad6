"""What displays are made of: frame, title, notes, tables, bars and shaded words.

Every style is in the element itself, since notebooks have one page for the output of all cells.
"""

import html
import math
from collections.abc import Iterable, Sequence

from thence.reports.drawing import visible

LINE = "rgb(128 128 128 / 35%)"
ACCENT = "rgb(47 127 209 / 60%)"
LONGEST = 60
"""Characters of a name that are shown at most."""
STRONGEST = 70
"""How opaque, in percent, the strongest shade is: text on it stays readable in light and dark."""

FRAME = (
    f"box-sizing: border-box; max-width: 58rem; padding: .6rem .9rem; border: 1px solid {LINE}; "
    "border-radius: .4rem; font: .9rem/1.5 system-ui, sans-serif; color: inherit; "
    "overflow-x: auto; overflow-wrap: anywhere"
)
CELL = (
    f"padding: .15rem 1.2rem .15rem 0; border: 0; border-bottom: 1px solid {LINE}; "
    "background: none; color: inherit; font: inherit; font-variant-numeric: tabular-nums; "
    "vertical-align: top; "
)
LEFT = CELL + "text-align: left; overflow-wrap: break-word; white-space: pre-wrap"
RIGHT = CELL + "text-align: right; overflow-wrap: normal; white-space: nowrap"
TABLE = "border-collapse: collapse; border: 0; margin: .4rem 0; font: inherit; color: inherit"
FAINT = "opacity: .7"


def frame(content: str) -> str:
    """Return HTML in the frame that every display has."""
    return f'<div class="thence" style="{FRAME}">{content}</div>'


def title(text: str, more: str = "") -> str:
    """Return a heading, and what is said beside it in plain letters."""
    beside = f' <span style="{FAINT}">{escaped(more)}</span>' if more else ""
    return f'<div style="margin: .3rem 0"><b>{escaped(text)}</b>{beside}</div>'


def note(text: str) -> str:
    """Return a remark."""
    return f'<div style="{FAINT}; margin: .2rem 0">{escaped(text)}</div>'


def escaped(text: str) -> str:
    r"""Return text for HTML, its white space as it is and other control characters visible.

    >>> escaped("a <b>\n\x07")
    'a &lt;b&gt;\nU+0007'
    """
    lines = text.split("\n")
    return "\n".join(html.escape(" ".join(map(visible, line.split(" ")))) for line in lines)


def short(text: str, length: int = LONGEST) -> str:
    """Return text without its middle if it is long.

    >>> short("a long name", 7)
    'a l…ame'
    """
    half = length // 2
    return text if len(text) <= length else f"{text[:half]}…{text[len(text) - half :]}"


def values(rows: Iterable[Sequence[str]]) -> str:
    """Return names and values as a table."""
    cells = "".join(
        f'<tr><th scope="row" style="{LEFT}; {FAINT}; white-space: nowrap">{escaped(name)}</th>'
        f'<td style="{LEFT}">{escaped(value)}</td></tr>'
        for name, value in rows
    )
    return f'<table style="{TABLE}">{cells}</table>'


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """Return a table with headings.

    Args:
        columns: The headings.
        rows: The cells.
        words: Places of the columns that hold words, which begin at the left.
    """
    styles = [LEFT if place in words else RIGHT for place in range(len(columns))]
    head = "".join(
        f'<th style="{style}; {FAINT}; vertical-align: bottom; white-space: normal">'
        f"{escaped(column)}</th>"
        for column, style in zip(columns, styles, strict=True)
    )
    lines = (
        "".join(
            f'<td style="{style}">{escaped(short(cell, 2 * LONGEST))}</td>'
            for cell, style in zip(row, styles, strict=True)
        )
        for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table style="{TABLE}"><tr>{head}</tr>{body}</table>'


def bars(rows: Iterable[tuple[str, float, str]], whole: float = 1.0) -> str:
    """Return names with a bar and a number each.

    Args:
        rows: Name (spaces as they are), length of the bar, and the number as it is written.
        whole: The length that takes the whole width.
    """
    lines = "".join(
        f'<tr><th scope="row" style="{LEFT}">{escaped(short(name)) or "&nbsp;"}</th>'
        f'<td style="{RIGHT}">{number}</td>'
        f'<td style="{CELL}width: 20rem; padding-right: 0">{_bar(length / whole)}</td></tr>'
        for name, length, number in rows
    )
    return f'<table style="{TABLE}">{lines}</table>'


def _bar(share: float) -> str:
    percent = 100 * min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    style = f"width: {percent:.1f}%; height: 1em; margin-top: .25em; background: {ACCENT}"
    return f'<div style="{style}; border-radius: .15em"></div>'


def shaded(text: str, colour: str, share: float, about: str, underlined: bool = False) -> str:
    """Return a piece of text on a coloured ground.

    Args:
        text: The piece; it is escaped.
        colour: Red, green and blue.
        share: How strong the colour is, from 0 to 1.
        about: What is said where the pointer rests.
        underlined: Whether a dotted line is under it, for those who cannot tell colours apart.
    """
    strength = round(STRONGEST * min(max(share, 0.0), 1.0))
    style = f"background: rgb({colour} / {strength}%); padding: .1em 0; border-radius: .15em"
    style += "; text-decoration: underline dotted" if underlined else ""
    return f'<span style="{style}" title="{escaped(about)}">{escaped(text)}</span>'


def running_text(content: str) -> str:
    """Return shaded pieces as a block of text, which may run from right to left."""
    style = "margin: .3rem 0; line-height: 1.8; white-space: pre-wrap; overflow-wrap: anywhere"
    return f'<div dir="auto" style="{style}">{content}</div>'
