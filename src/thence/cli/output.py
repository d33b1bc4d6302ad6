"""Forms of output: JSON, tables, pairs, progress bars, figures, and notes on texts."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from textwrap import indent, wrap
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from thence.atomic import write_atomically
from thence.cli.streams import (
    is_at_terminal,
    print_note,
    print_styled,
    print_text,
    result_console,
    result_file,
)
from thence.errors import RunError, SettingError
from thence.printable import printable, printable_json
from thence.results import format_pairs
from thence.terminal import SafeConsole, stderr_console

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Json = Annotated[bool, Parameter(negative=(), help="Print the result as JSON.")]
Report = Annotated[bool, Parameter(help="Write report.html at the end.")]
WIDTH_OF_FILES = 160
"""Width of a table that goes to a file or another program, in characters."""
NARROW_WIDTH = 80
"""Width of a narrow table there, and the usual least width of a terminal, in characters."""
NARROWEST_HEADER = 8
"""Least width of a column's heading in a narrow table, in characters."""
BAR_STYLE = "cyan"
PICTURES = (".png", ".svg")
WIDEST_LABEL = 24
"""Largest width of the headings in a card, in characters; longer ones take several lines."""
LONGEST_NOTED = 60
"""Characters of a text that a note quotes at most."""
WHOLE_CELL = 40
"""Cells of up to this width stay on one line; longer ones are texts, which may be wrapped."""


def print_json(value: Any) -> None:
    """Print one JSON value on one line, control characters escaped; NaN and infinity are null."""
    try:
        text = orjson.dumps(value).decode("utf-8")
    except TypeError:  # Such as a lone surrogate, which is escaped below.
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    print_styled(printable_json(text))


def print_json_lines(text: str) -> None:
    """Print lines of JSON, control characters escaped."""
    lines = [text] if text.isascii() else text.split("\n")
    print_styled("\n".join(map(printable_json, lines)))


def print_result(found: Any, as_json: bool) -> None:
    """Print a result as JSON, or as text."""
    if as_json:
        print_json(found.to_json())
    else:
        print_shown(found)


def shows_for_people() -> bool:
    """Return whether standard output is a terminal."""
    return bool(result_file.isatty())


def print_shown(found: Any) -> None:
    """Print a result as text; at a terminal its bars are coloured."""
    if not result_console().is_terminal:
        print_text(str(found))
        return
    text, drawn = Text(printable(str(found))), StringIO()
    text.highlight_regex("█+", BAR_STYLE)
    console = SafeConsole(file=drawn, highlight=False, force_terminal=True)
    console.print(text, soft_wrap=True, end="")
    print_styled(drawn.getvalue())


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", narrow: bool = False
) -> None:
    """Print a table; or a card for each row if the terminal is too narrow for its numbers.

    Control characters in cells are shown as codes, and rich's markup is not interpreted.

    Args:
        columns: The headings.
        rows: The cells of each row.
        title: A line above the table.
        narrow: Fit the table into 80 characters: headings take several lines, and if that is not
            enough, the first two columns are wrapped, so that numbers stay on one line.
    """
    heading = Text(printable(title)) if title and not narrow else None
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD)
    console = result_console()
    widths = _widths(columns, rows)
    needed = sum(min(width, WHOLE_CELL) + 2 for width in widths)
    if console.is_terminal and needed > console.width:
        print_cards(columns, rows, title)
        return
    width = console.width if console.is_terminal else WIDTH_OF_FILES
    names, numbers_from = [printable(name) for name in columns], len(columns)
    if narrow:
        width = width if console.is_terminal else NARROW_WIDTH
        table.show_edge, table.pad_edge, table.padding = False, False, (0, 1, 0, 0)
        names = [_wrapped(name, [row[at] for row in rows]) for at, name in enumerate(columns)]
        numbers_from = 2 if width >= NARROW_WIDTH else numbers_from
    for at, name in enumerate(names):
        is_whole = console.is_terminal and widths[at] <= WHOLE_CELL
        table.add_column(Text(name), overflow="fold", no_wrap=is_whole or at >= numbers_from)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    drawn = StringIO()
    if title and narrow:  # Not rich's title: it would wrap paths.
        print_text(printable(title))
    SafeConsole(file=drawn, highlight=False, width=width).print(table)
    print_text("\n".join(line.rstrip() for line in drawn.getvalue().split("\n")).strip("\n"))


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the width that each column needs for its cells and the words of its heading."""
    return [
        max(map(cell_len, [*printable(name).split(), *(printable(row[at]) for row in rows), ""]))
        for at, name in enumerate(columns)
    ]


def print_cards(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print each row as a card: the first cell, and below it a line for each other cell."""
    drawn, width = StringIO(), result_console().width
    labels = min(max(map(cell_len, columns)), WIDEST_LABEL) + 2
    console = SafeConsole(file=drawn, highlight=False, width=width, force_terminal=True)
    if title:
        console.print(Text(printable(title)), soft_wrap=True)
    for row in rows:
        console.print(Text(f"\n{printable(row[0])}", "bold"), soft_wrap=True)
        card = Table.grid(padding=(0, 2, 0, 0))
        card.add_column(style="dim", width=labels)
        card.add_column(overflow="fold")
        for name, cell in zip(columns[1:], row[1:], strict=True):
            if cell not in ("", "-"):
                label = indent("\n".join(wrap(printable(name), WIDEST_LABEL)), "  ")
                card.add_row(Text(label), Text(printable(cell)))
        console.print(card)
    print_styled(drawn.getvalue().strip("\n"))


def _wrapped(name: str, cells: Sequence[str]) -> str:
    """Return a heading wrapped to about the width of the column's cells."""
    name = printable(name)
    longest = max(map(len, [*name.split(), *cells, "-" * NARROWEST_HEADER]))
    return "\n".join(wrap(name, longest))


def print_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    print_text("\n".join(format_pairs(rows)))


def picture_to_write(path: Path, flag: str) -> Path:
    """Return the path of a figure after checking it.

    Raises:
        SettingError: If its suffix is unknown.
        RunError: If the file exists.
    """
    if path.suffix not in PICTURES:
        raise SettingError(f"{flag} is {path}; its name must end in {' or '.join(PICTURES)}.")
    if path.exists():
        raise RunError(f"{path} exists already and is left as it is; choose another {flag}.")
    return path


def write_picture(path: Path, figure: "Figure") -> None:
    """Write a figure as PNG or SVG, by the suffix of the file."""
    from thence.reports.style import to_png, to_svg  # Imports matplotlib.

    write_atomically(path, (to_png if path.suffix == ".png" else to_svg)(figure))


@contextmanager
def progress_bar(name: str, *columns: Any, transient: bool = False) -> Iterator[Any]:
    """Context manager: show a progress bar at a terminal; yield the function that updates it.

    Args:
        name: The name of the work, shown before the bar.
        columns: Further columns of rich, shown after the bar.
        transient: Whether the bar disappears at the end.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # Takes time.

    about = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24))
    shown = Progress(
        *(*about, *columns, TimeRemainingColumn()),
        console=stderr_console(),
        disable=not is_at_terminal(),
        transient=transient,
    )
    with shown as bar:
        yield partial(bar.update, bar.add_task(name, total=1.0, documents=0))


def note_unknown(run: Any, text: str, read: Sequence[str] | None = None) -> int:
    """Print a note on how many symbols of a text are unknown to the model; return the number."""
    from thence.generation import unknown_symbols

    unknown = sum(unknown_symbols(run, piece) for piece in read or [text])
    if unknown:
        shown = text if len(text) <= LONGEST_NOTED else text[: LONGEST_NOTED - 1] + "…"
        occur = "occurs" if unknown == 1 else "occur"
        print_note(
            f"{unknown:,} of the symbols in {shown!r} never {occur} in the train text: read as "
            "<unk>."
        )
    return unknown
