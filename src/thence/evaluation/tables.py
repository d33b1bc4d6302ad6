"""Tables and pairs as plain text; control characters in them are shown as codes."""

from collections.abc import Sequence

from thence.printable import printable_line


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for the column names and one for each row, padded so that columns line up.

    >>> aligned(["run", "accuracy"], [["a", "90 %"], ["bigram", "8 %"]])
    ['run     accuracy', 'a       90 %', 'bigram  8 %']
    """
    lines = [[printable_line(cell) for cell in line] for line in (columns, *rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def paired(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Return a line for each name and its value, padded so that values line up.

    >>> paired([("run", "a"), ("accuracy", "90 %")])
    ['run       a', 'accuracy  90 %']
    """
    shown = [(printable_line(name), printable_line(value)) for name, value in rows]
    width = max(len(name) for name, _ in shown)
    return [f"{name:<{width}}  {value}" for name, value in shown]
