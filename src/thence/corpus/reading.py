"""Reading: a file, a folder or standard input to documents.

| source                     | documents                                                         |
|----------------------------|-------------------------------------------------------------------|
| `.txt`, any unknown suffix | the lines, or the whole file with `document="file"`               |
| `.csv`, `.tsv`, `.jsonl`,  | one column of each row (rules in `tables.py`)                     |
| `.ndjson`, `.json`,        |                                                                   |
| `.parquet`                 |                                                                   |
| a folder                   | its files with a known suffix, in order of path, subfolders too,  |
|                            | but no `.json`, which may be anything;                            |
|                            | hidden ones are skipped; each is read by its own rule             |
| `-`                        | standard input, as plain text                                     |
| `hf:NAME`                  | one column of a data set of Hugging Face (`tables.py`)          |
| a packed file (gzip, bzip2,| what is inside, by the suffix before `.gz`, `.bz2`, `.xz` or      |
| xz, zstd: `packing.py`)    | `.zst`                                                            |

| in the text                | rule                                                              |
|----------------------------|-------------------------------------------------------------------|
| encoding                   | UTF-8 unless `encoding` says otherwise; never guessed             |
| byte order mark            | removed at the start of a file                                    |
| line end                   | LF or CRLF; a lone CR, VT, FF, U+0085 or U+2028 stays in its line |
| last line                  | counts with or without a line end                                 |
| empty line                 | skipped unless `keep_empty`; spaces alone are not empty           |
| invalid byte, NUL          | refused with its place unless `errors` says otherwise             |
"""

import codecs
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath
from typing import BinaryIO, Literal, NoReturn

import numpy as np

from thence.array_types import Int64, UInt8
from thence.corpus.decoding import CHUNK, MARK, Bytes, Errors, find_codec, to_utf8
from thence.corpus.documents import Documents
from thence.corpus.opening import (
    LARGEST_SHAPED,
    open_named,
    read_to_end,
    refuse_foreign,
    refuse_odd,
    warn_of_shape,
)
from thence.corpus.packing import SUFFIXES, packed_as, unpacking
from thence.corpus.tables import (
    HUGGING_FACE,
    TABLES,
    Choose,
    Row,
    choose_column,
    hugging_face_rows,
    line_table_rows,
    parquet_rows,
)
from thence.errors import SettingError, TextError
from thence.mapped import Columns, MemoryColumn, Spool, explain_disk_errors, is_mapped, release
from thence.settings import Settings

PLAIN_SUFFIXES = (".txt", ".text", ".md", ".rst")
KNOWN_SUFFIXES = (*PLAIN_SUFFIXES, *(suffix for suffix in TABLES if suffix != ".json"))
"""Suffixes of files in a folder that are read; a ``.json`` there may be no text, but metadata."""
STANDARD_INPUT = "standard input"
LINE_FEED, CARRIAGE_RETURN = 10, 13
LARGE_FILE = 1 << 26
"""Bytes from which a plain text is copied to a temporary file and mapped, not kept in memory."""


@dataclass(frozen=True)
class ReadingOptions(Settings):
    """How the text is read."""

    document: Literal["line", "file"] = "line"
    """A document of plain text is a line, or a whole file."""
    column: str | None = None
    """Column of a table, field of a JSONL: the text; by default the only one, or 'text'."""
    encoding: str = "utf-8"
    """Encoding of the text, for example latin-1 or utf-16; never guessed."""
    errors: Errors = "strict"
    """How to treat bytes that are not text: refuse, replace by U+FFFD, or ignore (drop)."""
    keep_empty: bool = False
    """Keep empty lines and cells as documents without text."""


def read_documents(source: str | Path, options: ReadingOptions = ReadingOptions()) -> Documents:
    """Read a file, a folder or, for ``-``, standard input; the rules are in the module's docstring.

    Raises:
        TextError: The source is missing, cannot be read, or has no text.
        SettingError: The encoding is unknown, or an option does not fit the kind of file.
        MissingExtraError: The library that reads this kind of source is not installed.
        DownloadError: A data set of Hugging Face could not be fetched.
    """
    if str(source) == "-":
        documents = parse(read_standard_input(), STANDARD_INPUT, options)
    elif str(source).startswith(HUGGING_FACE):
        documents = texts_of(hugging_face_rows(str(source), only(options), options.errors), options)
    elif is_folder(Path(source)):
        parts = [parse(read_file(path), str(path), options) for path in text_files(Path(source))]
        documents = parts[0] if len(parts) == 1 else Documents.join(parts)
    else:
        text = large_text(Path(source), options)
        if text is None:
            documents = parse(read_file(Path(source)), str(source), options)
        else:
            documents = documents_in(text, options)
    refuse_empty(documents, source)
    return documents


def refuse_empty(documents: Documents, source: str | Path) -> None:
    """Raise TextError if no document has any text."""
    if documents.num_bytes == 0:
        name = STANDARD_INPUT if str(source) == "-" else source
        raise TextError(f"{name} holds no text: it is empty, or all its lines or cells are.")


def is_folder(path: Path) -> bool:
    """Return whether the path is a folder; False if that cannot be found out: reading it raises."""
    try:
        return path.is_dir()
    except OSError:
        return False


def text_files(folder: Path) -> list[Path]:
    """Return the files of a folder that have a known suffix, sorted by path.

    Raises:
        TextError: There is none, or one is a pipe or a device.
    """
    found = [path for path in visible_files(folder) if inner_suffix(path) in KNOWN_SUFFIXES]
    if not found:
        raise TextError(
            f"folder {folder} holds no text files. Known suffixes are "
            f"{', '.join(KNOWN_SUFFIXES)}, each also with {' or '.join(SUFFIXES)}."
        )
    for path in found:
        refuse_odd(path)
    return sorted(found, key=lambda path: path.parts)


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without hidden files and folders."""
    for parent, subfolders, names in os.walk(folder, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def refuse(error: OSError) -> NoReturn:
    """Raise TextError for a file or folder that cannot be read."""
    raise TextError(f"{error.filename} cannot be read: {error.strerror}.")


def inner_suffix(path: str | PurePath) -> str:
    """Return the suffix in lower case, ignoring that of compression such as ``.gz``.

    >>> inner_suffix("cities.CSV.gz")
    '.csv'
    """
    path = PurePath(path)
    if path.suffix.lower() in SUFFIXES:
        path = path.with_suffix("")
    return path.suffix.lower()


def read_file(path: Path) -> Bytes:
    """Return the bytes of a file.

    Raises:
        TextError: It does not exist, cannot be read, is no file, or is larger than memory.
    """
    with open_named(path) as file:
        return _read(file, str(path), os.fstat(file.fileno()).st_size)


def large_text(
    path: Path, options: ReadingOptions, at_least: int | None = None
) -> UInt8[np.ndarray, " bytes"] | None:
    """Return a large plain text as a temporary copy, memory-mapped; None if it must be read whole.

    It is a copy, so that changes of the file during a training have no effect.

    Args:
        path: The file.
        options: How it is read.
        at_least: Minimal size in bytes; None: ``LARGE_FILE``.
    """
    is_plain = options.column is None and inner_suffix(path) not in TABLES
    is_utf8 = find_codec(options.encoding).name in ("utf-8", "utf-8-sig")
    if not (is_plain and is_utf8 and options.errors == "strict"):
        return None
    copy, left = Spool(np.uint8), b""
    try:
        least = LARGE_FILE if at_least is None else at_least
        if not path.is_file() or path.stat().st_size < least:
            return None
        with open_named(path) as file:
            while piece := file.read(CHUNK):
                if not copy.size and packed_as(piece):
                    return None
                if not copy.size:
                    refuse_foreign(piece, str(path))
                piece = left + piece
                used = codecs.utf_8_decode(piece)[1]  # All but an incomplete character at its end.
                if b"\0" in piece:
                    return None
                copy.append(np.frombuffer(piece, np.uint8)[:used])
                left = piece[used:]
    except (OSError, ValueError):  # Reading it whole raises an error with the place.
        return None
    text = copy.array()[len(MARK) if copy.read(0, len(MARK)).tobytes() == MARK else 0 :]
    warn_of_shape(text[:LARGEST_SHAPED].tobytes(), str(path))
    release(text)
    return None if left else text


def read_standard_input() -> Bytes:
    """Return the whole content of standard input."""
    return _read(sys.stdin.buffer, STANDARD_INPUT)


def _read(stream: BinaryIO, name: str, known_size: int = 0) -> Bytes:
    """Return the whole content of a stream.

    Raises:
        TextError: It cannot be read, or is larger than memory.
    """
    try:
        return read_to_end(stream, name, known_size)
    except OSError as error:
        raise TextError(f"{name} cannot be read: {error.strerror}.") from None


def unpack(data: Bytes, name: str) -> Bytes:
    """Return the bytes of a file, decompressed if they are compressed.

    Raises:
        TextError: The compressed data is truncated or damaged, of an unsupported format, or larger
            than memory when decompressed.
        MissingExtraError: The library for it is not installed.
    """
    refuse_foreign(data, name)
    if packed_as(data):
        with unpacking(BytesIO(data), name) as stream:
            data = read_to_end(stream, name)
        refuse_foreign(data, name)
    return data


def parse(data: Bytes, name: str, options: ReadingOptions) -> Documents:
    """Return the documents in a file's bytes, by the rule of its suffix.

    Raises:
        TextError: The bytes are not text, or not a table of the kind the suffix says.
        SettingError: The encoding is unknown, or an option does not fit the kind of file.
    """
    if inner_suffix(name) in TABLES:
        return texts_of(table_rows(data, name, options, only(options)), options)
    return documents_in(plain_text(data, name, options), options)


def documents_in(text: UInt8[np.ndarray, " bytes"], options: ReadingOptions) -> Documents:
    """Return the documents of a plain text: its lines, or the whole text."""
    if options.document == "file":
        documents = Documents(text, np.zeros(1, np.int64), np.full(1, len(text), np.int64))
        return documents if options.keep_empty else without_empty(documents)
    return Documents(text, *line_bounds(text, keep_empty=options.keep_empty))


def only(options: ReadingOptions) -> Choose:
    """Return a function that chooses only the column of the text."""
    return lambda columns, place: [choose_column(columns, options.column, place)]


def texts_of(rows: Iterator[Row], options: ReadingOptions) -> Documents:
    """Return the texts of a table's rows; empty ones only with ``keep_empty``."""
    documents = Documents.from_strings(text for _, text, _ in rows)
    return documents if options.keep_empty else without_empty(documents)


def table_rows(data: Bytes, name: str, options: ReadingOptions, choose: Choose) -> Iterator[Row]:
    """Return an iterator of the rows of a table, by the kind of its suffix.

    Raises:
        TextError: The table is malformed or lacks a column that ``choose`` needs.
        SettingError: The encoding is unknown, or ``document`` is ``file``.
    """
    if options.document == "file":
        raise SettingError(
            f"document 'file' does not fit {name}: in a table one row is one document. "
            "Leave `document` out."
        )
    data, suffix = unpack(data, name), inner_suffix(name)
    if suffix == ".parquet":
        return parquet_rows(data, name, choose, options.errors)
    text = to_utf8(data, name, options.encoding, options.errors)
    return line_table_rows(text, suffix, name, choose, options.errors)


def plain_text(data: Bytes, name: str, options: ReadingOptions) -> UInt8[np.ndarray, " bytes"]:
    """Return the bytes of a plain text, decompressed and decoded to UTF-8.

    Raises:
        TextError: The bytes are not text.
        SettingError: The encoding is unknown, or a column is named.
    """
    if options.column is not None:
        raise SettingError(
            f"column '{options.column}' does not fit {name}, which is plain text. "
            f"Columns need one of the suffixes {', '.join(TABLES)}."
        )
    text = to_utf8(unpack(data, name), name, options.encoding, options.errors)
    warn_of_shape(text[:LARGEST_SHAPED].tobytes(), name)
    return text


def without_empty(documents: Documents) -> Documents:
    """Return the documents that have at least one byte."""
    full = documents.ends > documents.starts
    if full.all():
        return documents
    return Documents(documents.text, documents.starts[full], documents.ends[full])


@explain_disk_errors()
def line_bounds(
    text: UInt8[np.ndarray, " bytes"], chunk_size: int = CHUNK, keep_empty: bool = True
) -> tuple[Int64[np.ndarray, " lines"], Int64[np.ndarray, " lines"]]:
    r"""Return the start and end of each line, without its line end; on disk if the text is.

    >>> line_bounds(np.frombuffer(b"emma\r\nzo", np.uint8))
    (array([0, 6]), array([4, 8]))
    """
    column: Columns = Spool if is_mapped(text) else MemoryColumn
    # Counting first is cheap, and avoids joining large arrays.
    num_lines = 1 + sum(map(len, _line_feeds(text, chunk_size)))
    starts, ends = column(np.int64, num_lines), column(np.int64, num_lines)
    begin = 0
    for found in _line_feeds(text, chunk_size):
        first = np.append(begin, found[:-1] + 1)
        # Only a CR right before an LF belongs to the line end.
        last = found - ((found > 0) & (text[found - 1] == CARRIAGE_RETURN))
        kept = slice(None) if keep_empty else last > first
        starts.append(first[kept])
        ends.append(last[kept])
        begin = int(found[-1]) + 1
    if begin < len(text):
        starts.append(np.array([begin]))
        ends.append(np.array([len(text)]))
    return starts.array(), ends.array()


def _line_feeds(
    text: UInt8[np.ndarray, " bytes"], chunk_size: int
) -> Iterator[Int64[np.ndarray, " found"]]:
    """Yield the positions of line feeds, one array per chunk of the text that has any."""
    for start in range(0, len(text), chunk_size):
        found = np.flatnonzero(text[start : start + chunk_size] == LINE_FEED) + start
        if len(found):
            yield found
        release(text)
