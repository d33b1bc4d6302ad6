r"""Files of records, read a part at a time, and written again as they were.

| kind              | a record                                                                   |
|-------------------|----------------------------------------------------------------------------|
| plain text        | a line, an empty one too                                                   |
| `.jsonl`,`.ndjson`| a line with an object; blank lines are dropped                             |
| `.csv`, `.tsv`    | a row, which in CSV may have several lines; the header is kept             |
| `.parquet`        | a row (``parquet.py``): values and schema are kept, and how it is packed   |

What is kept of the others is kept byte for byte. Each may be packed (``packing.py``), and is packed
again. Text is UTF-8.
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
"""Bytes of records in a part: large enough to be fast, small enough to be one thread's work."""


BLANK = (b"\n", b"\r\n")


@dataclass(frozen=True)
class Part:
    """Some records of a file, as a process or a worker of a cluster gets them.

    Attributes:
        suffix: The kind of file.
        columns: Of a table.
        column: The column, or field, with the text; None for plain text.
        name: Where the records are, for messages.
        count: How many there are.
        data: They, one after another; of Parquet, their texts.
        ends: Of Parquet: where each text ends, as 64-bit numbers.
    """

    suffix: str
    columns: tuple[str, ...]
    column: str | None
    name: str
    count: int
    data: bytes
    ends: bytes = b""

    def documents(self, errors: Errors) -> Documents:
        """Return the text of each record.

        Raises:
            TextError: If a record is malformed, or its text is no text.
        """
        found = self._documents(errors)
        if len(found) != self.count:  # Such as a row of bytes that are ignored.
            raise TextError(
                f"{self.name}: {self.count:,} records have {len(found):,} texts; is there a row of "
                f"nothing but bytes that are no text? Use `errors='replace'`, or correct the file."
            )
        return found

    def _documents(self, errors: Errors) -> Documents:
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
        """Return the records in valid UTF-8."""
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
        """Return the field of each JSON object."""
        lines, column = BytesIO(text.tobytes()).readlines(), cast(str, self.column)
        try:
            found = Documents.from_strings([orjson.loads(line)[column] for line in lines])
        except (ValueError, LookupError, TypeError, TextError):
            found = None  # Python's own reader allows more, and says what is wrong.
        if found is not None and 0 not in found.text:
            return found
        values = []
        for number, line in enumerate(lines, 1):
            where = f"{self.name}, line {number}"
            record = json_record(line.decode("utf-8"), where)
            values.append(record[choose_column(list(record), column, where)])
        return Documents.from_strings(self._usable(values, errors))

    def _usable(self, values: Iterable[object], errors: Errors) -> Iterator[str]:
        """Yield values of the column as texts, if they are."""
        for number, value in enumerate(values, 1):
            where = f"{self.name}, record {number}: column '{self.column}'"
            yield usable_text(value, where, errors)

    def to_bytes(self) -> bytes:
        """Return the part as one message; see ``from_bytes``."""
        about = [self.suffix, self.columns, self.column, self.name, self.count, len(self.data)]
        return b"".join([orjson.dumps(about), b"\n", self.data, self.ends])

    @classmethod
    def from_bytes(cls, message: bytes) -> "Part":
        """Return the part of a message."""
        first, _, rest = message.partition(b"\n")
        suffix, columns, column, name, count, size = orjson.loads(first)
        return cls(suffix, tuple(columns), column, name, count, rest[:size], rest[size:])


@dataclass(frozen=True)
class LineFile:
    """A file whose records are lines, or rows of some lines.

    Attributes:
        path: The file.
        name: Its name, for messages.
        header: The row that names the columns of a CSV or TSV, as it is.
        columns: Of a table; of JSON the fields of its first record.
        column: The one with the text; None for plain text.
    """

    path: Path
    name: str
    header: bytes
    columns: tuple[str, ...]
    column: str | None

    @property
    def suffix(self) -> str:
        """The kind of file."""
        return inner_suffix(self.path)

    def parts(self) -> Iterator[tuple[Part, int]]:
        """Yield all records, a part at a time, with the bytes of the file read so far."""
        done = 0
        for records, position in self.records():
            name = f"{self.name} (from record {done + 1:,} on)" if done else self.name
            data = b"".join(records)
            if (done or self.header) and data.startswith(MARK):  # Only at the start it is no text.
                data = MARK + data
            about = (self.suffix, self.columns, self.column, name, len(records))
            yield Part(*about, data), position
            done += len(records)

    def records(self) -> Iterator[tuple[list[bytes], int]]:
        """Yield the bytes of the records, some at a time, with the bytes of the file read so far.

        Raises:
            TextError: If the file cannot be read, or is not properly packed or quoted.
        """
        with _unpacked(self.path, self.name) as (stream, raw):
            stream.read(len(self.header))
            parts = iter(lambda: stream.readlines(PART), [])
            several = len(self.columns) > 1  # In one of one column a blank line is an empty cell.
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

    def write(self, file: Any, judged: "Judged", score_column: str | None) -> None:
        """Write the records that are kept, packed as they were.

        Args:
            file: Where to.
            judged: Of each number of records in turn, which are kept and their perplexities.
            score_column: Name of a column with the perplexity to add to each.
        """
        with self.path.open("rb") as own:
            kind = packed_as(own.read(START))
        with packing(kind, file) as packed:
            if score_column is not None and self.header:
                packed.write(_with_cell(self.header, score_column.encode(), self.suffix))
            else:
                packed.write(self.header)
            for records, _ in self.records():
                kept, perplexities = judged(len(records))
                chosen: Iterator[bytes] = compress(records, kept.tolist())
                if score_column is not None:
                    values = map(orjson.dumps, written(perplexities[kept]))
                    chosen = map(self._scored(score_column), chosen, values)
                packed.writelines(chosen)

    def _scored(self, score_column: str) -> Callable[[bytes, bytes], bytes]:
        """Return what adds the perplexity to a record."""
        if self.suffix not in JSON_LINES:
            return lambda record, value: _with_cell(
                record, b"" if value == b"null" else value, self.suffix
            )
        name = orjson.dumps(score_column)

        def scored(record: bytes, value: bytes) -> bytes:
            before, brace, after = record.rpartition(b"}")
            return b"%b,%b:%b%b%b" % (before.rstrip(), name, value, brace, after)

        return scored


Judged = Callable[[int], tuple[np.ndarray[Any, np.dtype[np.bool]], Float64[np.ndarray, " records"]]]
"""Of the next records: which are kept, and the perplexity of each."""


def written(perplexities: Float64[np.ndarray, " records"]) -> list[float | None]:
    """Return perplexities as files have them: to six digits, None where one is infinite."""
    return [float(f"{value:.6g}") if value < np.inf else None for value in perplexities.tolist()]


def _with_cell(record: bytes, cell: bytes, suffix: str) -> bytes:
    """Return a row with one more cell."""
    row = record.rstrip(b"\n")
    row = row.removesuffix(b"\r") if len(row) < len(record) else row
    return row + (b"\t" if suffix == ".tsv" else b",") + cell + record[len(row) :]


def open_lines(path: Path, name: str, column: str | None) -> LineFile:
    """Look at the beginning of a file of lines or rows.

    Raises:
        TextError: If it cannot be read or is of another kind than its name says.
        SettingError: If it is plain text, and a column is asked for.
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
    if not columns:  # An empty file stays one.
        return LineFile(path, name, header, (), None)
    return LineFile(path, name, header, tuple(columns), choose_column(columns, column, name))


def _csv_records(stream: IO[bytes], name: str) -> Iterator[tuple[bytes, list[str]]]:
    """Yield the bytes of each row of a CSV, and its cells.

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
    """Yield records, about ``PART`` bytes at a time."""
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
    """Open a file; yield what it holds, unpacked, and the file itself."""
    with (
        open_named(path) as raw,
        unpacking(raw, name) as stream,
        BufferedReader(cast(Any, stream), 2 * LOOKED_AT) as buffered,
    ):
        yield buffered, raw
