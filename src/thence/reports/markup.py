"""Rendering of blocks to HTML, for pages and for notebooks.

Both have the same elements with different attributes: a page has classes and a style sheet, while
in a notebook, whose cells share one page, styles are inline. Neither runs a script nor loads
anything.
"""

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from string import Template

from thence.reports import content
from thence.reports.charts import chart_html, heat_map_html
from thence.reports.colours import FAINT, INK, PAPER
from thence.reports.content import Block
from thence.reports.elements import element, escaped

MADE_BY = '<meta name="generator" content="thence">'
"""Element in the head of each page, by which our own pages are recognised."""
LARGEST_SVG = 600_000
"""Largest figure that is embedded as SVG, in bytes; larger ones, with much text, are PNGs."""
MOST_TITLED = 80
"""First tokens of an annotated text that have a tooltip, which bounds the size of the page."""
LEVELS = 14
"""Shades of surprisal on a page, each a CSS class; a notebook has inline colours."""
STRONGEST = 70
"""Opacity of the strongest colour in percent: text on it is readable in light and dark mode."""
DARK = {
    INK: ("--ink", "#e4e9ee"),
    FAINT: ("--faint", "#39414a"),
    PAPER: ("--paper", "#14181d"),
}
"""Colours of figures that differ in dark mode: CSS variable and dark colour of each."""

Look = Mapping[str, str]
"""HTML attributes of each kind of element."""

PAGE: Look = {
    "table caption": "",
    "note": 'class="note"',
    "pairs": 'class="values"',
    "pair name": 'scope="row"',
    "pair value": "",
    "wide box": 'class="wide" tabindex="0"',
    "grid": 'class="grid"',
    "wide": 'class="grid compared"',
    "settings": 'class="grid settings"',
    "metrics": 'class="grid metrics"',
    "head word": "",
    "head number": 'class="n"',
    "row name": 'scope="row"',
    "word": "",
    "number": 'class="n"',
    "best row": 'class="best"',
    "bars": 'class="grid bars"',
    "bar cell": "",
    "notes": 'dir="auto" class="notes"',
    "running text": 'dir="auto" class="running"',
    "texts": 'class="texts"',
    "short texts": 'class="texts short"',
    "text": 'dir="auto"',
    "figure": "",
    "beside each other": 'class="beside"',
    "wide beside": 'class="beside charts"',
}

_LINE = "rgb(128 128 128 / 35%)"
_QUIET = "opacity: .7"
_TABLE = "border-collapse: collapse; border: 0; margin: .4rem 0; font: inherit; color: inherit"
_CELL = (
    f"padding: .15rem 1.2rem .15rem 0; border: 0; border-bottom: 1px solid {_LINE}; "
    "background: none; color: inherit; font: inherit; font-variant-numeric: tabular-nums; "
    "vertical-align: top; "
)
_KEEP = "white-space: pre-wrap"
_LEFT = f"{_CELL}text-align: left; overflow-wrap: break-word; {_KEEP}"
_RIGHT = f"{_CELL}text-align: right; overflow-wrap: normal; white-space: nowrap"
_HEAD = f"{_QUIET}; vertical-align: bottom; white-space: normal"
_TEXTS = "display: flex; flex-wrap: wrap; gap: .3rem .4rem; padding: 0; list-style: none"
_TEXT = (
    f"border: 1px solid {_LINE}; border-radius: .3rem; padding: .1rem .5rem; white-space: pre-wrap"
)
_RUNNING = f"margin: .3rem 0; line-height: 1.8; {_KEEP}; overflow-wrap: anywhere"

NOTEBOOK: Look = {
    "note": f'style="{_QUIET}; margin: .2rem 0"',
    "caption": 'style="margin: .3rem 0"',
    "table caption": 'style="text-align: left; white-space: nowrap"',
    "beside": f'style="{_QUIET}"',
    "pairs": f'style="{_TABLE}"',
    "pair name": f'scope="row" style="{_LEFT}; {_QUIET}; white-space: nowrap"',
    "pair value": f'style="{_LEFT}"',
    "wide box": "",
    "grid": f'style="{_TABLE}"',
    "head word": f'style="{_LEFT}; {_HEAD}"',
    "head number": f'style="{_RIGHT}; {_HEAD}"',
    "row name": f'scope="row" style="{_LEFT}"',
    "word": f'style="{_LEFT}"',
    "number": f'style="{_RIGHT}"',
    "bars": f'style="{_TABLE}"',
    "bar cell": f'style="{_CELL}width: 20rem; padding-right: 0"',
    "notes": f'dir="auto" style="{_RUNNING}"',
    "running text": f'dir="auto" style="{_RUNNING}"',
    "texts": f'style="{_TEXTS}"',
    "short texts": f'style="{_TEXTS}"',
    "text": f'dir="auto" style="{_TEXT}"',
    "figure": 'style="margin: .4rem 0"',
    "beside each other": "",
    "wide beside": "",
}
FRAME = (
    f"box-sizing: border-box; max-width: 58rem; padding: .6rem .9rem; border: 1px solid {_LINE}; "
    "border-radius: .4rem; font: .9rem/1.5 system-ui, sans-serif; color: inherit; "
    "overflow-x: auto; overflow-wrap: anywhere"
)
"""Style of the box around the output of a notebook cell."""


def page(title: str, blocks: Iterable[Block]) -> str:
    """Return a whole HTML page; ``title`` is the title of the window."""
    template = Template((files("thence.reports") / "report_template.html").read_text("utf-8"))
    colours = _colour_classes()
    return template.substitute(title=html.escape(title), body=to_html(blocks), colours=colours)


def notebook_output(blocks: Iterable[Block]) -> str:
    """Return the HTML output of a notebook cell, in a box."""
    return f'<div class="thence" style="{FRAME}">{to_html(blocks, NOTEBOOK)}</div>'


def to_html(blocks: Iterable[Block], look: Look = PAGE) -> str:
    """Return the HTML of blocks, one below the other."""
    return "\n".join(_block(block, look) for block in blocks)


def _block(block: Block, look: Look) -> str:
    """Return the HTML of one block."""
    match block:
        case content.Title():
            lead = f'\n<p class="lead">{escaped(block.lead)}</p>' if block.lead else ""
            return f"<h1>{escaped(block.text)}</h1>{lead}"
        case content.Section():
            heading = f"<h2>{escaped(block.title)}</h2>"
            return f"<section>\n{heading}\n{to_html(block.blocks, look)}\n</section>"
        case content.Subtitle():
            return f"<h3>{escaped(block.text)}</h3>"
        case content.Caption():
            about = element("span", look["beside"], escaped(block.about))
            beside = f" {about}" if block.about else ""
            return element("div", look["caption"], f"<b>{escaped(block.text)}</b>{beside}")
        case content.Note():
            return element("p", look["note"], escaped(block.text))
        case content.Statement():
            return f'<p class="statement">{escaped(block.text)}</p>'
        case content.Folded():
            said = escaped(block.summary) + _small(block.about)
            opened = to_html(block.blocks, look)
            # A summary with a line below it is a text, in any writing direction.
            direction = look["text"] if block.about else ""
            return element("details", direction, element("summary", 'dir="auto"', said) + opened)
        case content.Pairs():
            value = ("td", look["pair value"])
            # An empty name is a plain cell, since empty headers confuse screen readers.
            names = {True: ("th", look["pair name"]), False: ("td", "")}
            rows = "".join(
                element("tr", "", _cells([names[bool(row[0])], value], row)) for row in block.rows
            )
            return element("table", look["pairs"], rows) if rows else ""
        case content.Table():
            return _table(block, look)
        case content.Bars():
            return _bars(block, look)
        case content.RunningText():
            return element("div", look["running text"], _running_text(block, look))
        case content.Texts():
            items = (element("li", look["text"], _running_text(one, look)) for one in block.items)
            kind = "short texts" if block.are_short else "texts"
            return element("ul", look[kind], "".join(items))
        case content.Stack():
            return element("div", "", to_html(block.blocks, look))
        case content.Beside():
            kind = "wide beside" if block.wide else "beside each other"
            return element("div", look[kind], to_html(block.blocks, look))
        case content.Annotated():
            return _annotated(block, look)
        case content.Chart():
            return chart_html(block)
        case content.HeatMap():
            return heat_map_html(block)
        case content.Plots():
            return "\n".join(figure(plot, look) for plot in block.items)
    raise TypeError(f"{type(block).__name__} has no form in HTML.")


def _table(table: content.Table, look: Look) -> str:
    kinds = ["word" if at < table.words else "number" for at in range(len(table.columns))]
    cells = [("th", look["row name"] if table.words else look["number"])]
    cells += [("td", look[kind]) for kind in kinds[1:]]
    head = [("th", look[f"head {kind}"]) for kind in kinds]
    lines = [element("tr", "", _cells(head, table.columns))]
    for place, row in enumerate(table.rows):
        mark = look["best row"] if place == table.best else ""
        lines.append(element("tr", mark, _cells(cells, row)))
    caption = table.caption and element("caption", look["table caption"], escaped(table.caption))
    inner = element("table", look[table.style], caption + "".join(lines))
    return element("div", look["wide box"], inner)


def _cells(kinds: Sequence[tuple[str, str]], texts: Sequence[str]) -> str:
    cells = zip(kinds, texts, strict=True)
    return "".join(element(*kind, escaped(text)) for kind, text in cells)


def _bars(bars: content.Bars, look: Look) -> str:
    lines = []
    for place, (name, length, number) in enumerate(bars.rows):
        is_marked = place == bars.marked
        shown = escaped(name) or "&nbsp;"
        lines.append(
            f"<tr>{element('th', look['row name'], f'<b>{shown}</b>' if is_marked else shown)}"
            f"{element('td', look['number'], escaped(number))}"
            f"{element('td', look['bar cell'], _bar(length / bars.whole, is_marked))}</tr>"
        )
    return element("table", look["bars"], "".join(lines))


def _bar(share: float, is_marked: bool) -> str:
    percent = 100 * min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    shape = f"width: {percent:.1f}%; height: 1em; margin-top: .25em; border-radius: .15em"
    colour = "217 115 13 / 80%" if is_marked else "47 127 209 / 60%"
    return f'<div style="{shape}; background: rgb({colour})"></div>'


def _untitled(token: content.Token | str, look: Look) -> str:
    """Return a token without its tooltip, since its note is below it."""
    return escaped(token) if isinstance(token, str) else _token(replace(token, about=""), look)


def _annotated(block: content.Annotated, look: Look) -> str:
    """Return a text that unfolds to show the note below each token, as ruby annotations."""
    tokens = [
        f"<ruby>{_untitled(token, look)}<rt>{escaped(note)}</rt></ruby>"
        for token, note in zip(block.text.tokens, block.notes, strict=True)
    ]
    opened = element("div", look["notes"], " ".join(tokens))
    first, rest = block.text.tokens[:MOST_TITLED], block.text.tokens[MOST_TITLED:]
    plain = [one if isinstance(one, str) else replace(one, about="") for one in rest]
    summary = element(
        "summary", look["text"], _running_text(replace(block.text, tokens=[*first, *plain]), look)
    )
    return element("details", "", summary + opened)


def _running_text(text: content.RunningText, look: Look) -> str:
    shown = text.separator.join(
        escaped(token) if isinstance(token, str) else _token(token, look) for token in text.tokens
    )
    if text.link:
        shown = f'<a href="{html.escape(text.link)}">{shown}</a>'
    return (shown or "&nbsp;") + _small(text.about)


def _small(about: str) -> str:
    """Return the line below a text; it is English, so it runs left to right."""
    return f'<small dir="ltr">{escaped(about)}</small>' if about else ""


def _token(token: content.Token, look: Look) -> str:
    """Return a span with the background colour, tooltip and underline of a token."""
    if not token.colour:
        return escaped(token.text)
    share, classes = min(max(token.share, 0.0), 1.0), []
    if look is PAGE and token.colour == content.SURPRISING and not token.is_underlined:
        classes.append(f"s{round(LEVELS * share)}")  # Shorter than an inline style.
        attributes = ""
    else:
        style = f"background: rgb({token.colour} / {round(STRONGEST * share)}%)"
        style += "; text-decoration: underline dotted" if token.is_underlined else ""
        attributes = f' style="{style}"'
    classes += ["special"] if token.is_name and look is PAGE else []
    attributes += f' title="{escaped(token.about)}"' if token.about else ""
    named = f' class="{" ".join(classes)}"' if classes else ""
    return element("span", f"{named}{attributes}".strip(), escaped(token.text))


def _colour_classes() -> str:
    """Return the CSS rules of the shades of surprisal, for the style sheet of a page."""
    strengths = ((level, round(STRONGEST * level / LEVELS)) for level in range(1, LEVELS + 1))
    colour = content.SURPRISING
    return "\n".join(f".s{n} {{ background: rgb({colour} / {share}%); }}" for n, share in strengths)


def figure(plot: content.Plot, look: Look) -> str:
    """Return a figure element that fills the available width, up to about its drawn size."""
    inches = plot.figure.get_figwidth()
    widths = f"max-width: {5.5 * inches:.1f}rem; min-width: {2.6 * inches:.1f}rem"
    whole = f"display: block; width: 100%; height: auto; {widths}"
    image = f'<img style="{whole}" alt="{escaped(plot.description)}" src="{_address(plot)}">'
    return element("figure", look["figure"], image)


def _address(plot: content.Plot) -> str:
    """Return a data URL of the figure: SVG with dark-mode colours, or PNG if that is too large."""
    from thence.reports import style  # Imports matplotlib.

    drawn, media = with_dark_colours(style.to_svg(plot.figure)), "image/svg+xml"
    if len(drawn) > LARGEST_SVG:
        drawn, media = style.to_png(plot.figure), "image/png"
    return f"data:{media};base64,{base64.b64encode(drawn).decode('ascii')}"


def with_dark_colours(svg: bytes) -> bytes:
    """Return an SVG whose text, grid and background colours change in dark mode."""
    text = svg.decode("utf-8")
    for color, (name, _) in DARK.items():
        text = text.replace(color, f"var({name})")
    light = ";".join(f"{name}:{color}" for color, (name, _) in DARK.items())
    dark = ";".join(f"{name}:{color}" for name, color in DARK.values())
    rules = f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return text.replace("<defs>", f"<style>{rules}</style><defs>", 1).encode("utf-8")
