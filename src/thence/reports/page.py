"""The pieces of the report's page: sections, tables, lists and pictures as HTML.

Whatever may come from a text is escaped here.
"""

import base64
import html
import math
from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template

from thence.reports.drawing import FAINT, INK, PAPER, Picture, to_png, to_svg

MADE_BY = '<meta name="generator" content="thence">'
"""What each page says of itself in its head."""

LARGEST_SVG = 600_000
"""Bytes from which a picture is embedded as PNG: one with many words in it is larger as SVG."""

DARK = {INK: ("--ink", "#e4e9ee"), FAINT: ("--faint", "#39414a"), PAPER: ("--paper", "#14181d")}
"""The colours of a drawing that change in the dark: the name and the dark colour of each."""


def page(title: str, body: str) -> str:
    """Return a whole page; the title is escaped, the body is HTML."""
    template = Template((files("thence.reports") / "report_template.html").read_text("utf-8"))
    return template.substitute(title=html.escape(title), body=body)


def section(title: str, content: str) -> str:
    """Return a section with its heading; the content is HTML."""
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{content}\n</section>"


def note(text: str) -> str:
    """Return a short remark."""
    return f'<p class="note">{html.escape(text)}</p>'


def listed(items: Iterable[str], longest: int) -> str:
    """Return texts as a list, in columns if the longest is short; the items are HTML."""
    kind = "texts short" if longest <= 30 else "texts"
    return f'<ul class="{kind}">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return names and values as a table, escaped; nothing without any."""
    cells = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    return f'<table class="values">{cells}</table>' if cells else ""


def grid(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    kind: str = "grid",
    best: int | None = None,
) -> str:
    """Return a table of names and their numbers, escaped: the first column holds the names.

    Args:
        columns: Their headings.
        rows: The cells.
        kind: The class of the table, which says how it looks.
        best: Place of a row to mark.
    """
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    lines = []
    for place, (name, *numbers) in enumerate(rows):
        cells = "".join(f"<td>{html.escape(value)}</td>" for value in numbers)
        mark = ' class="best"' if place == best else ""
        lines.append(f'<tr{mark}><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    body = "".join(lines)
    return f'<div class="wide"><table class="{kind}"><tr>{head}</tr>{body}</table></div>'


def moment(time: str) -> str:
    """Return an ISO time as a person writes it.

    >>> moment("2026-11-25T18:30:28+00:00")
    '2026-11-25 18:30:28 UTC'
    """
    return time.replace("T", " ").replace("+00:00", " UTC")


def number(value: float | None) -> str:
    """Return a number short enough for a table; a dash for none.

    >>> number(2.456789), number(1234567), number(None), number(float("inf"))
    ('2.4568', '1,234,567', '–', '∞')
    """
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if 0.01 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"


def embedded(picture: Picture) -> str:
    """Return a picture inside the page: SVG that follows light and dark, or PNG if smaller."""
    source = data_address(picture)
    alternative = html.escape(picture.description)
    inches = picture.figure.get_figwidth()
    widths = f"max-width: {5.5 * inches:.1f}rem; min-width: {2.6 * inches:.1f}rem"
    return f'<figure><img style="{widths}" alt="{alternative}" src="{source}"></figure>'


def data_address(picture: Picture) -> str:
    """Return an address that holds the picture itself."""
    content, media = with_dark_colours(to_svg(picture.figure)), "image/svg+xml"
    if len(content) > LARGEST_SVG:
        content, media = to_png(picture.figure), "image/png"
    return f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"


def with_dark_colours(svg: bytes) -> bytes:
    """Return an SVG whose ink, grid and paper change where the reader prefers dark pages."""
    text = svg.decode("utf-8")
    for color, (name, _) in DARK.items():
        text = text.replace(color, f"var({name})")
    light = ";".join(f"{name}:{color}" for color, (name, _) in DARK.items())
    dark = ";".join(f"{name}:{color}" for name, color in DARK.values())
    rules = f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return text.replace("<defs>", f"<style>{rules}</style><defs>", 1).encode("utf-8")
