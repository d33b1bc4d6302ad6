r"""Files of records, read in parts, and written again unchanged.

| kind              | a record                                                                   |
|-------------------|----------------------------------------------------------------------------|
| plain text        | a line, an empty one too                                                   |
| `.jsonl`,`.ndjson`| a line with an object; blank lines are dropped                             |
| `.csv`, `.tsv`    | a row, which in CSV may have several lines; the header is kept             |
| `.parquet`        | a row (``parquet.py``): values, schema and compression are kept            |

Records of the other formats are kept byte for byte. Files may be compressed (``packing.py``), and
are compressed again in the same format. Text is UTF-8.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from itertools import chain, compress
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import orjson

from thence.array_types import Float64
from thence.corpus import Documents
from thence.corpus.decoding import MARK, Errors, first_invalid, place, to_utf8
from thence.corpus.opening import (
    LOOKED_AT,
    first_lines,
    open_named,
    refuse_foreign,
    refuse_other_separator,
    warn_of_shape,
)
from thence.corpus.packing import START, packed_as, packing, unpacking
from thence.corpus.reading import inner_suffix, line_bounds
from thence.corpus.tables import (
    JSON_LINES,
    cell_rows,
    choose_column,
    csv_rows,
    json_record,
    tsv_rows,
    usable_text,
)
from thence.errors import SettingError, TextError

PART = 1 << 19
"""Bytes of records per part: large enough to be fast, small enough to share work evenly."""


BLANK = (b"\n", b"\r\n")


@dataclass(frozen=True)
class Part:
    """Some records of a file, the unit of work of a process or a worker of a cluster.

    Attributes:
        suffix: The suffix of the file's format.
        columns: The columns of a table.
        column: The column, or field, of the text; None for plain text.
        name: The place of the records, for messages.
        count: Number of records.
        data: The bytes of the records; of Parquet, of their texts.
        ends: Of Parquet only: where each text ends in ``data``, as 64-bit numbers.
    """

    suffix: str
    columns: tuple[str, ...]
    column: str | None
    name: str
    count: int
    data: bytes
    ends: bytes = b""

    def documents(self, errors: Errors) -> Documents:
        """Return the text of each record as documents.

        Raises:
            TextError: If a record is malformed, or its text is invalid.
        """
        found = self._documents(errors)
        if len(found) != self.count:  # For example, all bytes of a row were ignored.
            raise TextError(
                f"{self.name}: {self.count:,} records have {len(found):,} texts; is there a row of "
                f"nothing but bytes that are no text? Use `errors='replace'`, or correct the file."
            )
        return found

    def _documents(self, errors: Errors) -> Documents:
        """Return the texts of the records by the format of their file."""
        if self.suffix == ".parquet":
            ends = np.frombuffer(self.ends, np.int64)
            starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: len(ends)]
            texts = Documents(np.frombuffer(self.data, np.uint8), starts, ends)
            return Documents.from_strings(self._usable(texts, errors)) if 0 in texts.text else texts
        text = self._text(errors)
        if self.suffix in JSON_LINES:
            return self._fields(text, errors)
        if self.column is None:
            return Documents(text, *line_bounds(text))
        lines = (line.decode("utf-8") for line in BytesIO(text.tobytes()))
        rows = tsv_rows(lines) if self.suffix == ".tsv" else csv_rows(lines, self.name)
        whole = chain([(0, list(self.columns))], rows)
        cells = cell_rows(whole, self.name, lambda *_: [cast(str, self.column)])
        return Documents.from_strings(cell for _, cell, _ in cells)

    def _text(self, errors: Errors) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return the bytes of the records as valid UTF-8."""
        position = first_invalid(self.data) if errors == "strict" else None
        position = self.data.find(b"\0") if position is None and errors == "strict" else position
        if position is not None and position >= 0:
            raise TextError(
                f"{place(self.data, self.name, position)} is not text in UTF-8. Convert the file "
                "(iconv -f LATIN1 -t UTF-8), or use `errors='replace'`, which keeps the bytes as "
                "they are and has the model read U+FFFD."
            )
        return to_utf8(self.data, self.name, "utf-8", errors)

    def _fields(self, text: np.ndarray[Any, np.dtype[np.uint8]], errors: Errors) -> Documents:
        """Return the text field of each JSON object."""
        lines, column = BytesIO(text.tobytes()).readlines(), cast(str, self.column)
        try:
            found = Documents.from_strings([orjson.loads(line)[column] for line in lines])
        except (ValueError, LookupError, TypeError, TextError):
            found = None  # Python's json accepts more, and has better error messages.
        if found is not None and 0 not in found.text:
            return found
        values = []
        for number, line in enumerate(lines, 1):
            where = f"{self.name}, line {number}"
            record = json_record(line.decode("utf-8"), where)
            values.append(record[choose_column(list(record), column, where)])
        return Documents.from_strings(self._usable(values, errors))

    def _usable(self, values: Iterable[object], errors: Errors) -> Iterator[str]:
        """Yield the values of the column; TextError if one is no valid text."""
        for number, value in enumerate(values, 1):
            where = f"{self.name}, record {number}: column '{self.column}'"
            yield usable_text(value, where, errors)

    def to_bytes(self) -> bytes:
        """Return the part as one message; see ``from_bytes``."""
        about = [self.suffix, self.columns, self.column, self.name, self.count, len(self.data)]
        return b"".join([orjson.dumps(about), b"\n", self.data, self.ends])

    @classmethod
    def from_bytes(cls, message: bytes) -> "Part":
        """Return the part from a message of ``to_bytes``."""
        first, _, rest = message.partition(b"\n")
        suffix, columns, column, name, count, size = orjson.loads(first)
        return cls(suffix, tuple(columns), column, name, count, rest[:size], rest[size:])


@dataclass(frozen=True)
class LineFile:
    """A text file: each record is a line, or a row of one or more lines.

    Attributes:
        path: The file.
        name: Its name, for messages.
        header: The bytes of the header of a CSV or TSV.
        columns: The columns of a table; of JSON the fields of its first record.
        column: The column of the text; None for plain text.
    """

    path: Path
    name: str
    header: bytes
    columns: tuple[str, ...]
    column: str | None

    @property
    def suffix(self) -> str:
        """The suffix of its format, without that of compression."""
        return inner_suffix(self.path)

    def parts(self) -> Iterator[tuple[Part, int]]:
        """Yield all records in parts, each with the bytes of the file read so far."""
        done = 0
        for records, position in self.records():
            name = f"{self.name} (from record {done + 1:,} on)" if done else self.name
            data = b"".join(records)
            # Decoding removes a byte order mark, which is no text only at the start of the file.
            if (done or self.header) and data.startswith(MARK):
                data = MARK + data
            about = (self.suffix, self.columns, self.column, name, len(records))
            yield Part(*about, data), position
            done += len(records)

    def records(self) -> Iterator[tuple[list[bytes], int]]:
        """Yield lists of the bytes of records, each with the bytes of the file read so far.

        Raises:
            TextError: If the file cannot be read, or its compression or quoting is invalid.
        """
        with _unpacked(self.path, self.name) as (stream, raw):
            stream.read(len(self.header))
            parts = iter(lambda: stream.readlines(PART), [])
            several = len(self.columns) > 1  # With one column a blank line is an empty cell.
            if self.suffix == ".csv":
                rows = _csv_records(stream, self.name)
                parts = _in_parts(record for record, row in rows if row or not several)
            for records in parts:
                if self.suffix in JSON_LINES:
                    records = [record for record in records if not record.isspace()]
                elif self.suffix == ".tsv" and several:
                    records = [record for record in records if record not in BLANK]
                if records:
                    yield records, raw.tell()

    def write(self, file: Any, select: "Select", score_column: str | None) -> None:
        """Write the selected records, in the original compression.

        Args:
            file: The output.
            select: Returns which of the next records are kept, and their perplexities.
            score_column: Name of a column to add with the perplexity; None for none.
        """
        with self.path.open("rb") as own:
            kind = packed_as(own.read(START))
        with packing(kind, file) as packed:
            if score_column is not None and self.header:
                packed.write(_with_cell(self.header, score_column.encode(), self.suffix))
            else:
                packed.write(self.header)
            for records, _ in self.records():
                kept, perplexities = select(len(records))
                chosen: Iterator[bytes] = compress(records, kept.tolist())
                if score_column is not None:
                    values = map(orjson.dumps, written(perplexities[kept]))
                    chosen = map(self._scored(score_column), chosen, values)
                packed.writelines(chosen)

    def _scored(self, score_column: str) -> Callable[[bytes, bytes], bytes]:
        """Return a function that adds the perplexity to the bytes of a record."""
        if self.suffix not in JSON_LINES:
            return lambda record, value: _with_cell(
                record, b"" if value == b"null" else value, self.suffix
            )
        name = orjson.dumps(score_column)

        def scored(record: bytes, value: bytes) -> bytes:
            before, brace, after = record.rpartition(b"}")
            return b"%b,%b:%b%b%b" % (before.rstrip(), name, value, brace, after)

        return scored


Select = Callable[[int], tuple[np.ndarray[Any, np.dtype[np.bool]], Float64[np.ndarray, " records"]]]
"""Takes a number of records; returns a mask of which of the next ones are kept, and their
perplexities."""


def written(perplexities: Float64[np.ndarray, " records"]) -> list[float | None]:
    """Return perplexities as they are written: rounded to six digits, None if infinite."""
    return [float(f"{value:.6g}") if value < np.inf else None for value in perplexities.tolist()]


def _with_cell(record: bytes, cell: bytes, suffix: str) -> bytes:
    """Return the bytes of a row with one more cell."""
    row = record.rstrip(b"\n")
    row = row.removesuffix(b"\r") if len(row) < len(record) else row
    return row + (b"\t" if suffix == ".tsv" else b",") + cell + record[len(row) :]


def open_lines(path: Path, name: str, column: str | None) -> LineFile:
    """Return a text file after reading its header or first record.

    Raises:
        TextError: If it cannot be read, or its format is not that of its suffix.
        SettingError: If it is plain text, and a column is named.
    """
    suffix, header = inner_suffix(path), b""
    columns: Sequence[str] = ()
    with _unpacked(path, name) as (stream, _):
        start = stream.peek(LOOKED_AT)[:LOOKED_AT]
        refuse_foreign(start, name)
        if suffix == ".json":
            raise TextError(
                f"{name} may be one JSON value, which cannot be read a part at a time. Name it "
                ".jsonl if it has one object a line, or make such lines: jq -c '.[]'"
            )
        if suffix in (".csv", ".tsv"):
            separator = "," if suffix == ".csv" else "\t"
            refuse_other_separator(first_lines(start), separator, name)
        if suffix == ".csv":
            header, columns = next(_csv_records(stream, name), (b"", []))
        elif suffix == ".tsv":
            header = stream.readline()
            columns = header.decode("utf-8-sig", "replace").rstrip("\r\n").split("\t")
        elif suffix in JSON_LINES:
            line = next((line for line in stream if not line.isspace()), b"{}")
            columns = list(json_record(line.decode("utf-8-sig", "replace"), f"{name}, record 1"))
        elif column is not None:
            raise SettingError(f"`column` is '{column}', but {name} is plain text without columns.")
        else:
            warn_of_shape(start, name)
            return LineFile(path, name, b"", (), None)
    if header and not any(columns):
        raise TextError(f"{name} has no names of columns in its first line.")
    if not columns:  # The output of an empty file is empty.
        return LineFile(path, name, header, (), None)
    return LineFile(path, name, header, tuple(columns), choose_column(columns, column, name))


def _csv_records(stream: IO[bytes], name: str) -> Iterator[tuple[bytes, list[str]]]:
    """Yield the bytes and the cells of each row of a CSV.

    Raises:
        TextError: If a quote is not closed.
    """
    lines: list[bytes] = []

    def decoded() -> Iterator[str]:
        for line in stream:
            lines.append(line)
            yield line.decode("utf-8-sig" if line.startswith(MARK) else "utf-8", "replace")

    for _, row in csv_rows(decoded(), name):
        yield b"".join(lines), row
        lines.clear()


def _in_parts(records: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Yield lists of records of about ``PART`` bytes."""
    part: list[bytes] = []
    size = 0
    for record in records:
        part.append(record)
        size += len(record)
        if size >= PART:
            yield part
            part, size = [], 0
    if part:
        yield part


@contextmanager
def _unpacked(path: Path, name: str) -> Iterator[tuple[BufferedReader, IO[bytes]]]:
    """Context manager: the decompressed content of a file, and the file itself."""
    with (
        open_named(path) as raw,
        unpacking(raw, name) as stream,
        BufferedReader(cast(Any, stream), 2 * LOOKED_AT) as buffered,
    ):
        yield buffered, raw
