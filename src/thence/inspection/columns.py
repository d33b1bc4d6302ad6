"""Formatting for tables in 80 columns: the table of a lens, shortened tokens, bars."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from thence.printable import printable_line, printable_symbol
from thence.results import format_table

WIDTH = 80
"""Columns of a line."""
NAME = 16
"""Columns of a token or a context; longer ones are truncated."""


@dataclass(frozen=True)
class LensTable:
    """A table of what a lens shows.

    Attributes:
        title: The line above it.
        columns: Names of the columns.
        rows: The cells.
        note: A sentence below it; may be empty.
        words: Number of leading columns with text, which are aligned to the left.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: int = 1

    def __str__(self) -> str:
        lines = [printable_line(self.title)]
        lines += format_table(self.columns, self.rows) if self.rows else []
        return "\n".join([*lines, *textwrap.wrap(printable_line(self.note), WIDTH)])


def short(text: str) -> str:
    """Return a token in printable form, truncated to ``NAME`` columns."""
    return cut(printable_symbol(text))


def cut(text: str, most: int = NAME) -> str:
    """Return a text truncated to ``most`` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def chance(probability: float, digits: int = 4) -> str:
    """Return a probability as text; in scientific notation if ``digits`` decimals would show 0.

    >>> chance(0.25), chance(0.000021), chance(0.0)
    ('0.2500', '2e-05', '0')
    """
    if not probability:
        return "0"
    shown = f"{probability:.{digits}f}"
    return shown if float(shown) else f"{probability:.0e}"
