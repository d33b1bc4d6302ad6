"""Tables as plain text."""

from collections.abc import Sequence


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for the column names and one for each row, padded so that columns line up.

    >>> aligned(["run", "accuracy"], [["a", "90 %"], ["bigram", "8 %"]])
    ['run     accuracy', 'a       90 %', 'bigram  8 %']
    """
    lines = [columns, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
