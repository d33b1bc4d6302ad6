"""The forms of what commands print: JSON, tables, pairs; and who shows the progress."""

import json
from collections.abc import Sequence
from io import StringIO
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from thence.commands.streams import is_at_terminal, result_console, say
from thence.evaluation.tables import paired
from thence.printable import printable, printable_json
from thence.processes import is_first_process
from thence.terminal import SafeConsole
from thence.training.progress import ProgressMaker, log_lines, silent, terminal

WIDTH_OF_FILES = 160
"""Columns of a table that goes to a file or another program."""


def say_json(value: Any) -> None:
    """Print one JSON value on one line, safe to look at; numbers that JSON lacks are a bug."""
    say(printable_json(json.dumps(value, ensure_ascii=False, allow_nan=False)))


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print a table; in cells control characters are shown as codes, and nothing is markup."""
    heading = Text(printable(title)) if title else None
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(Text(printable(column)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    drawn = StringIO()
    console = result_console()
    width = console.width if console.is_terminal else WIDTH_OF_FILES
    SafeConsole(file=drawn, highlight=False, width=width).print(table)
    say("\n".join(line.rstrip() for line in drawn.getvalue().split("\n")).strip("\n"))


def say_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    say("\n".join(paired(rows)))


def progress_for(as_json: bool) -> ProgressMaker:
    """Return a bar for a person at a terminal, lines for a file, silence for a program."""
    if as_json or not is_first_process():
        return silent
    return terminal if is_at_terminal() else log_lines
