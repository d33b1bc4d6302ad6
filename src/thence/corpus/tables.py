"""Tables: one column of a CSV, TSV or JSONL text to documents, a row being a document.

| kind    | rule                                                                                |
|---------|-------------------------------------------------------------------------------------|
| `.csv`  | RFC 4180: comma, the first row names the columns, a cell that holds a comma, a      |
|         | quote or a line end stands in double quotes, a quote in it is doubled               |
| `.tsv`  | tabs, the first row names the columns; a double quote is an ordinary character      |
| `.jsonl`| one JSON object a line; the field holds a string                                    |

Every row has as many cells as there are columns. Blank lines are skipped, except in a CSV or TSV
of one column, where they are an empty cell. The column is the one that is asked for; without one,
the only column, or else the one called `text`.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import UInt8

from thence.corpus.decoding import UNUSABLE, Errors, mend
from thence.corpus.documents import Documents
from thence.errors import TextError, nearest

TABLES = (".csv", ".tsv", ".jsonl")
JSONL_FORM = 'JSONL is one object a line, such as {"text": "..."}.'
LARGEST_CELL = 2**31 - 1  # bytes; Python's own limit, 128 KB, is less than a chapter of a book


def read_table(
    text: UInt8[np.ndarray, " bytes"], suffix: str, name: str, column: str | None, errors: Errors
) -> Documents:
    """Return one column of a table as documents, empty cells included.

    Args:
        text: The table in valid UTF-8.
        suffix: Which kind of table it is: one of ``TABLES``.
        name: The file's name, for messages.
        column: Name of the column; None chooses it by the rule in the module's head.
        errors: What to do with NUL and lone surrogates, which JSON can spell as escapes.

    Raises:
        TextError: The table is malformed or does not have that column.
    """
    # BytesIO cuts at LF only, where str.splitlines would cut at U+0085 and others too.
    lines = (line.decode("utf-8") for line in BytesIO(text.tobytes()))
    if suffix == ".jsonl":
        return Documents.from_strings(json_cells(lines, name, column, errors))
    rows = tsv_rows(lines) if suffix == ".tsv" else csv_rows(lines, name)
    return Documents.from_strings(column_cells(rows, name, column))


def column_cells(
    rows: Iterator[tuple[int, list[str]]], name: str, column: str | None
) -> Iterator[str]:
    """Yield the cells of one column; the first row is the header."""
    _, header = next(rows, (0, []))
    if not header:
        return
    index = header.index(choose_column(header, column, name))
    for line, row in rows:
        if not row and len(header) > 1:
            continue
        if len(row or [""]) != len(header):
            raise TextError(
                f"{name}, line {line}: {count(len(row), 'cell')}, but the header has "
                f"{len(header)}. Is the separator used inside a cell (quote the cell in CSV)?"
            )
        yield row[index] if row else ""


def count(number: int, noun: str) -> str:
    """Return ``1 cell`` or ``3 cells``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def csv_rows(lines: Iterator[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV, each with the number of the line where it starts.

    Raises:
        TextError: A quote is not closed, or text follows a closed one.
    """
    line = 1
    limit = csv.field_size_limit(LARGEST_CELL)  # a setting of the whole process: put it back
    try:
        reader = csv.reader(lines, strict=True)
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise TextError(
            f"{name}, line {line}: the row that starts here is not proper CSV ({error}). "
            'Is a double quote left open, or not doubled ("") inside its cell?'
        ) from None
    finally:
        csv.field_size_limit(limit)


def tsv_rows(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a TSV with their line numbers; a blank line is an empty row."""
    for number, line in enumerate(lines, 1):
        # The CR goes only together with its LF.
        row = line[:-2] if line.endswith("\r\n") else line.removesuffix("\n")
        yield number, row.split("\t") if row else []


def json_cells(
    lines: Iterator[str], name: str, column: str | None, errors: Errors
) -> Iterator[str]:
    """Yield the strings of one field of a JSONL text; the first record chooses a default field."""
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        place = f"{name}, line {number}"
        record = json_record(line, place)
        if column not in record:
            column = choose_column(list(record), column, place)
        yield json_string(record[column], f"{place}: field '{column}'", errors)


def json_record(line: str, place: str) -> dict[str, object]:
    """Parse one line of JSONL.

    Raises:
        TextError: It is not JSON, or not an object.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TextError(f"{place} is not JSON ({error}). {JSONL_FORM}") from None
    if not isinstance(record, dict):
        raise TextError(f"{place} is {json.dumps(record)[:40]}, not an object. {JSONL_FORM}")
    return record


def json_string(value: object, place: str, errors: Errors) -> str:
    """Return the value as usable text.

    Raises:
        TextError: It is not a string, or holds NUL or a lone surrogate and ``errors`` is strict.
    """
    if not isinstance(value, str):
        raise TextError(
            f"{place} is {json.dumps(value)[:40]}, not a string. Put the text in quotes, or name "
            "another field with --column."
        )
    refused = UNUSABLE.search(value)
    if refused and errors == "strict":
        raise TextError(
            f"{place} holds U+{ord(refused[0]):04X}, which is not text. Mend the file, or use "
            "--errors replace."
        )
    return mend(value, errors) if refused else value


def choose_column(columns: Sequence[str], asked: str | None, place: str) -> str:
    """Return the column that holds the text.

    Raises:
        TextError: The one asked for is not there, or none is asked for and it is not clear.
    """
    listed = ", ".join(repr(column) for column in columns) or "none"
    if asked is not None:
        if asked in columns:
            return asked
        raise TextError(
            f"{place} has no column '{asked}'; it has {listed}.{nearest(asked, columns)}"
        )
    if len(columns) == 1:
        return columns[0]
    if "text" in columns:
        return "text"
    raise TextError(
        f"{place} has the columns {listed}, and which one is the text is not clear. "
        "Name it with --column."
    )
