"""Tables: the text of each row, and further columns with it, in one pass.

| kind       | rule                                                                             |
|------------|----------------------------------------------------------------------------------|
| `.csv`     | RFC 4180: comma, the first row names the columns, a cell that holds a comma, a   |
|            | quote or a line end stands in double quotes, a quote in it is doubled            |
| `.tsv`     | tabs, the first row names the columns; a double quote is an ordinary character   |
| `.jsonl`,  | one JSON object a line; the field of the text holds a string, or null: no text   |
| `.ndjson`  |                                                                                  |
| `.json`    | the same, or an array of objects, or of strings, which are texts                 |
| `.parquet` | the column of the text holds strings or nulls; needs the extra `data`            |
| `hf:NAME`, | a data set of Hugging Face: its split `train`, or another, such as               |
| `hf:...`   | `hf:ag_news:test` or `hf:glue:sst2:train` (configuration and split); rows are    |
|            | numbered from 1, class labels become their names; needs the extra `hf`           |

Every row of a CSV or TSV has as many cells as there are columns. Blank lines are skipped, except
in a table of one column, where they are an empty cell. The column of the text is the one of the
options; by default the only column, or else the one named `text`.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from thence.array_types import UInt8
from thence.corpus.decoding import UNUSABLE, Bytes, Errors, mend
from thence.corpus.opening import LOOKED_AT, first_lines, refuse_other_separator
from thence.errors import DownloadError, TextError, import_extra, nearest

Row = tuple[int, str, Sequence[object]]
"""Number of the row (from 1), its text, and the cells of the further columns."""
Choose = Callable[[Sequence[str], str], Sequence[str]]
"""Takes the names of all columns, and the place for messages; returns the column of the text, then
the further columns wanted."""

HUGGING_FACE = "hf:"
JSON_LINES = (".jsonl", ".ndjson")
LINE_TABLES = (".csv", ".tsv", *JSON_LINES)
TABLES = (*LINE_TABLES, ".json", ".parquet")
JSONL_FORM = 'JSONL is one object a line, such as {"text": "..."}.'
JSON_FORM = (
    "A text in JSON is an array of strings or of objects, or one object a line, such as "
    '{"text": "..."}.'
)
LARGEST_CELL = 2**31 - 1  # bytes; Python's own limit, 128 KB, is less than a chapter of a book


def line_table_rows(
    text: UInt8[np.ndarray, " bytes"], suffix: str, name: str, choose: Choose, errors: Errors
) -> Iterator[Row]:
    """Return an iterator of the rows of a text table; a row's number is that of its first line.

    Args:
        text: The table in valid UTF-8.
        suffix: The kind of table: one of ``LINE_TABLES``, or ``.json``.
        name: The file's name, for messages.
        choose: Chooses the columns.
        errors: How to treat NUL and lone surrogates, which JSON can spell as escapes.
    """
    if suffix == ".json" and text[:LOOKED_AT].tobytes().lstrip().startswith(b"["):
        return array_rows(text, name, choose, errors)
    # BytesIO splits at LF only; str.splitlines would split at U+0085 and others too.
    lines = (line.decode("utf-8") for line in BytesIO(text.tobytes()))
    if suffix in (*JSON_LINES, ".json"):
        return json_rows(lines, name, choose, errors)
    separator = "\t" if suffix == ".tsv" else ","
    refuse_other_separator(first_lines(text[:LOOKED_AT].tobytes()), separator, name)
    return cell_rows(tsv_rows(lines) if suffix == ".tsv" else csv_rows(lines, name), name, choose)


def cell_rows(rows: Iterator[tuple[int, list[str]]], name: str, choose: Choose) -> Iterator[Row]:
    """Yield the chosen cells of each row; the first row is the header."""
    _, header = next(rows, (0, []))
    if not header:
        return
    of_text, *others = (header.index(column) for column in choose(header, name))
    for line, row in rows:
        if not row and len(header) > 1:
            continue
        if len(row or [""]) != len(header):
            raise TextError(
                f"{name}, line {line}: {count(len(row), 'cell')}, but the header has "
                f"{len(header)}. Is the separator used inside a cell (quote the cell in CSV)?"
            )
        yield line, row[of_text] if row else "", [row[index] for index in others]


def count(number: int, noun: str) -> str:
    """Return ``1 cell`` or ``3 cells``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def csv_rows(lines: Iterator[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV, each with the number of the line where it starts.

    Raises:
        TextError: A quote is not closed, or text follows a closed one.
    """
    line = 1
    limit = csv.field_size_limit(LARGEST_CELL)  # A setting of the whole process, restored below.
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
        # A CR is removed only before an LF.
        row = line[:-2] if line.endswith("\r\n") else line.removesuffix("\n")
        yield number, row.split("\t") if row else []


def json_rows(lines: Iterator[str], name: str, choose: Choose, errors: Errors) -> Iterator[Row]:
    """Yield the chosen fields of a JSONL text; they are chosen from those of the first record."""
    records = (
        (number, f"{name}, line {number}", line)
        for number, line in enumerate(lines, 1)
        if not line.isspace()
    )
    found = ((number, place, json_record(line, place)) for number, place, line in records)
    return record_rows(found, choose, errors)


def array_rows(
    text: UInt8[np.ndarray, " bytes"], name: str, choose: Choose, errors: Errors
) -> Iterator[Row]:
    """Yield the chosen fields of the objects of a JSON array; a string is a text.

    Raises:
        TextError: It is no JSON array, or an item is neither an object nor a string.
    """
    try:
        items = json.loads(text.tobytes())
    except (ValueError, RecursionError) as error:
        raise TextError(f"{name} is not JSON ({error}). {JSON_FORM}") from None

    def record(item: object, place: str) -> dict[str, object]:
        if isinstance(item, str):
            return {"text": item}
        if isinstance(item, dict):
            return item
        raise TextError(f"{place} is {json.dumps(item)[:40]}, no object or string. {JSON_FORM}")

    places = ((number, f"{name}, item {number}", item) for number, item in enumerate(items, 1))
    found = ((number, place, record(item, place)) for number, place, item in places)
    return record_rows(found, choose, errors)


def record_rows(
    records: Iterator[tuple[int, str, dict[str, object]]], choose: Choose, errors: Errors
) -> Iterator[Row]:
    """Yield the chosen fields of records (number, place, fields), chosen from the first one's."""
    columns: Sequence[str] = ()
    for number, place, record in records:
        columns = columns or choose(list(record), place)
        of_text, *others = (
            record[column if column in record else choose_column(list(record), column, place)]
            for column in columns
        )
        yield number, usable_text(of_text, f"{place}: field '{columns[0]}'", errors), others


def json_record(line: str, place: str) -> dict[str, object]:
    """Return the object in one line of JSONL.

    Raises:
        TextError: It is not JSON, or not an object.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        way_out = JSON_FORM if place.partition(", line ")[0].endswith(".json") else JSONL_FORM
        raise TextError(f"{place} is not JSON ({error}). {way_out}") from None
    if not isinstance(record, dict):
        raise TextError(f"{place} is {json.dumps(record)[:40]}, not an object. {JSONL_FORM}")
    return record


def usable_text(value: object, place: str, errors: Errors) -> str:
    """Return the value as usable text; a missing one is empty, as an empty cell of a CSV is.

    Raises:
        TextError: It is not a string, or has one of these and ``errors`` is strict.
    """
    value = "" if value is None else value
    if not isinstance(value, str):
        raise TextError(
            f"{place} is {json.dumps(value, default=str)[:40]}, not a string. Put the text there "
            "as a string, or name another field with `column`."
        )
    refused = UNUSABLE.search(value)
    if refused and errors == "strict":
        raise TextError(
            f"{place} holds U+{ord(refused[0]):04X}, which is not text. Correct the file, or use "
            "`errors='replace'`."
        )
    return mend(value, errors) if refused else value


def columns_at_first_sight(start: Bytes, suffix: str) -> Sequence[str]:
    """Return the columns of a table from its first bytes; () if they cannot be found."""
    line = next(iter(first_lines(start)), "")
    try:
        if suffix == ".csv":
            return next(csv.reader([line]), [])
        record = json.loads(line) if suffix in JSON_LINES else line.split("\t")
        return list(record)
    except (ValueError, TypeError, RecursionError, csv.Error):
        return ()


def choose_column(columns: Sequence[str], wanted: str | None, place: str) -> str:
    """Return the column of the text: ``wanted``, the only one, or ``text``.

    Raises:
        TextError: The table lacks it, or the choice is ambiguous.
    """
    listed = ", ".join(repr(column) for column in columns) or "none"
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise TextError(
            f"{place} has no column '{wanted}'; it has {listed}.{nearest(wanted, columns)}"
        )
    if len(columns) == 1:
        return columns[0]
    if "text" in columns:
        return "text"
    raise TextError(
        f"{place} has the columns {listed}, and which one is the text is not clear. "
        "Name it with `column`."
    )


def parquet_rows(data: Bytes, name: str, choose: Choose, errors: Errors) -> Iterator[Row]:
    """Yield the rows of a Parquet file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        TextError: The file is damaged or not Parquet, lacks a column, or a text is not a string.
    """
    arrow = import_extra("pyarrow", "data", f"reading {name}")
    parquet = import_extra("pyarrow.parquet", "data", f"reading {name}")
    number = 0
    try:
        file = parquet.ParquetFile(arrow.py_buffer(data))
        columns = choose(file.schema_arrow.names, name)
        for batch in file.iter_batches(columns=list(columns)):
            cells = (batch.column(column).to_pylist() for column in columns)
            for of_text, *others in zip(*cells, strict=True):
                number += 1
                place = f"{name}, row {number}: column '{columns[0]}'"
                yield number, usable_text(of_text, place, errors), others
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TextError(
            f"{name} is not a Parquet file, or broken ({error}). Was it copied or downloaded whole?"
        ) from None


def hugging_face_rows(source: str, choose: Choose, errors: Errors) -> Iterator[Row]:
    """Yield the rows of a data set of Hugging Face; the module's docstring has the forms of names.

    Raises:
        MissingExtraError: datasets is not installed.
        DownloadError: There is no such set, configuration or split, or it cannot be downloaded.
        TextError: It lacks a column, or a text is not a string.
    """
    datasets = import_extra("datasets", "hf", f"reading {source}")
    name, *rest = source.removeprefix(HUGGING_FACE).split(":")
    *configuration, split = rest or ["train"]
    try:
        data = datasets.load_dataset(name, *configuration, split=split)
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{source} cannot be loaded ({error}). Write hf:NAME, hf:NAME:SPLIT or "
            "hf:NAME:CONFIGURATION:SPLIT, spelt as on huggingface.co."
        ) from None
    columns = choose(data.column_names, source)
    classes = [class_names(data.features[column]) for column in columns]
    for number, row in enumerate(data.select_columns(list(columns)), 1):
        place = f"{source}, row {number}"
        of_text, *others = (
            named(row[column], names, f"{place}: column '{column}'") if names else row[column]
            for column, names in zip(columns, classes, strict=True)
        )
        yield number, usable_text(of_text, f"{place}: column '{columns[0]}'", errors), others


def class_names(feature: Any) -> Sequence[str]:
    """Return the names of a class-label feature, or of a list of them; () for other features."""
    return getattr(getattr(feature, "feature", feature), "names", ())


def named(value: object, names: Sequence[str], place: str) -> object:
    """Return the name of a class label stored as a number; for a list, the name of each.

    Raises:
        TextError: No class has that number, such as -1 in a test set without labels.
    """
    if isinstance(value, list):
        return [named(one, names, place) for one in value]
    if isinstance(value, int) and not 0 <= value < len(names):
        raise TextError(
            f"{place} is {value}, not the number of one of the {len(names)} labels. Has this "
            "split no labels? Use another, with hf:NAME:SPLIT."
        )
    return names[value] if isinstance(value, int) else value
