"""The forms of what commands print: JSON, tables, pairs; and who shows the progress."""

import json
import sys
from collections.abc import Sequence
from io import StringIO
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from thence.commands.streams import is_at_terminal, say
from thence.processes import is_first_process
from thence.training.progress import ProgressMaker, log_lines, silent, terminal

WIDTH_OF_FILES = 160
"""Columns of a table that goes to a file or another program."""


def say_json(value: Any) -> None:
    """Print one JSON value on one line; numbers that JSON lacks are a bug."""
    say(json.dumps(value, ensure_ascii=False, allow_nan=False))


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print a table; cells are shown as they are, never as markup."""
    table = Table(title=Text(title) if title else None, title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    drawn = StringIO()
    width = Console().width if sys.stdout.isatty() else WIDTH_OF_FILES
    Console(file=drawn, highlight=False, width=width).print(table)
    say("\n".join(line.rstrip() for line in drawn.getvalue().split("\n")).strip("\n"))


def say_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:<{width}}  {value}")


def progress_for(as_json: bool) -> ProgressMaker:
    """Return a bar for a person at a terminal, lines for a file, silence for a program."""
    if as_json or not is_first_process():
        return silent
    return terminal if is_at_terminal() else log_lines
