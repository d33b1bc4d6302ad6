"""The forms of what commands print: JSON, tables, pairs; and notes on texts."""

import json
from collections.abc import Sequence
from io import StringIO
from textwrap import wrap
from typing import Annotated, Any

import orjson
from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from thence.cli.streams import print_note, print_styled, print_text, result_console
from thence.printable import printable, printable_json
from thence.results import format_pairs
from thence.terminal import SafeConsole

Json = Annotated[bool, Parameter(negative=(), help="Print the result as JSON.")]
Report = Annotated[bool, Parameter(help="Write report.html at the end.")]
WIDTH_OF_FILES = 160
"""Columns of a table that goes to a file or another program."""
NARROW_WIDTH = 80
"""The same of a narrow table: what a terminal has at least."""
NARROWEST_HEADER = 8
"""Characters that a line of a narrow table's header has room for at least."""


def print_json(value: Any) -> None:
    """Print one JSON value on one line, safe to look at; numbers that JSON lacks are null."""
    try:
        text = orjson.dumps(value).decode("utf-8")
    except TypeError:  # Half a surrogate pair, say, which is escaped below.
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    print_styled(printable_json(text))


def print_json_lines(text: str) -> None:
    """Print lines that each hold one JSON value, safe to look at."""
    lines = [text] if text.isascii() else text.split("\n")
    print_styled("\n".join(map(printable_json, lines)))


def print_result(found: Any, as_json: bool) -> None:
    """Print a result as JSON, or as it shows itself."""
    if as_json:
        print_json(found.to_json())
    else:
        print_text(str(found))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", narrow: bool = False
) -> None:
    """Print a table; in cells control characters are shown as codes, and nothing is markup.

    Args:
        columns: Their names.
        rows: Their cells.
        title: Stands above.
        narrow: Fit it into 80 columns: names of columns take several lines, and of what does not
            fit the first two columns are folded, so that numbers stay whole.
    """
    heading = Text(printable(title)) if title and not narrow else None
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD)
    console = result_console()
    width = console.width if console.is_terminal else WIDTH_OF_FILES
    names, numbers_from = [printable(name) for name in columns], len(columns)
    if narrow:
        width = width if console.is_terminal else NARROW_WIDTH
        table.show_edge, table.pad_edge, table.padding = False, False, (0, 1, 0, 0)
        names = [_wrapped(name, [row[at] for row in rows]) for at, name in enumerate(columns)]
        numbers_from = 2 if width >= NARROW_WIDTH else numbers_from
    for at, name in enumerate(names):
        table.add_column(Text(name), overflow="fold", no_wrap=at >= numbers_from)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    drawn = StringIO()
    if title and narrow:  # A title within a table is folded, and paths in it break.
        print_text(printable(title))
    SafeConsole(file=drawn, highlight=False, width=width).print(table)
    print_text("\n".join(line.rstrip() for line in drawn.getvalue().split("\n")).strip("\n"))


def _wrapped(name: str, cells: Sequence[str]) -> str:
    """Return a column's name in lines that are about as long as its cells."""
    name = printable(name)
    longest = max(map(len, [*name.split(), *cells, "-" * NARROWEST_HEADER]))
    return "\n".join(wrap(name, longest))


def print_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    print_text("\n".join(format_pairs(rows)))


def note_unknown(run: Any, text: str, read: Sequence[str] | None = None) -> None:
    """Say so if the model cannot read all of a text; it is never done silently."""
    from thence.generation import unknown_symbols

    unknown = sum(unknown_symbols(run, piece) for piece in read or [text])
    if unknown:
        print_note(
            f"{unknown} of the symbols in {text!r} never occur in the train text: read as <unk>."
        )
