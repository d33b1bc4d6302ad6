"""What commands print: results on standard output, remarks on standard error."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from thence.training.progress import ProgressMaker, log_lines, silent, terminal


WIDTH_OF_FILES = 160
"""Columns of a table that goes to a file or another program."""


def say(text: str) -> None:
    """Print a result."""
    sys.stdout.write(text + "\n")


def remark(text: str) -> None:
    """Print a remark for the person at the terminal, apart from the results."""
    sys.stderr.write(text + "\n")


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
    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    Console(file=sys.stdout, highlight=False, width=width).print(table)


def say_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:<{width}}  {value}")


def progress_for(as_json: bool) -> ProgressMaker:
    """Return a bar for a person at a terminal, lines for a file, silence for a program."""
    if as_json:
        return silent
    return terminal if sys.stderr.isatty() else log_lines


