"""The formats of files of word vectors, recognised by their first bytes and read in chunks.

| layout                | first line | a row                                                 |
|-----------------------|------------|-------------------------------------------------------|
| GloVe                 | a row      | word, space, D numbers between spaces, line end       |
| word2vec, fastText    | `N D`      | the same                                              |
| word2vec binary       | `N D`      | word, space, D little-endian float32, perhaps LF      |

Each may be compressed (``corpus/packing.py``). A first line of two whole numbers is always a
header. The rules for the content of rows are in `vectors.py`.
"""

import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

import numpy as np

from thence.array_types import Float32
from thence.corpus.decoding import CHUNK, MARK
from thence.corpus.opening import open_named, refuse_foreign, refuse_odd
from thence.corpus.packing import unpacking
from thence.errors import TextError

LARGEST_DIMENSION = 1 << 16
"""Largest dimension D that is believed: a file that states more is no file of word vectors."""
LONGEST_LINE = 4 << 20  # bytes; the longest row in text, with room to spare
LONGEST_WORD = 1 << 16  # bytes
SAMPLE = 100
"""First rows from which the dimension is found if there is no header."""

FASTTEXT_MODEL = b"\xba\x16\x4f\x2f"  # its magic number, 793712314
LINE_END = b" \r"  # ... and the LF that lines are cut at; other white space may end a word
HEADER = re.compile(rb"(\d{1,18})[ \t]+(\d{1,18})[ \t\r]*(?:\n|\Z)")
NUMBER = re.compile(rb"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf)", re.IGNORECASE)
ENDS_IN_FRACTION = re.compile(rb" [-+]?\d*\.\d+(?:[eE][-+]?\d+)?\Z")
CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")  # frequent in binary data, hardly ever in text


class BrokenRowError(Exception):
    """A row is invalid; the message continues "line 3 "."""


@dataclass(frozen=True)
class TextRows:
    """The text format: each row is a line.

    Attributes:
        path: The file, for messages.
        dimension: Number of values in a row (D).
        stated: Number of rows by the header; None without a header.
    """

    path: Path
    dimension: int
    stated: int | None
    unit: ClassVar[str] = "line"

    @property
    def first(self) -> int:
        """Line of the first row."""
        return 1 if self.stated is None else 2

    def rows(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines, blank ones too, without line ends and trailing spaces.

        Raises:
            TextError: A line is too long to be one of word vectors.
        """
        rest, number = b"", self.first
        for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.rstrip(LINE_END)
            number += len(lines)
            if len(rest) > LONGEST_LINE:
                raise TextError(
                    f"{self.path} line {number} is longer than {LONGEST_LINE >> 20} MiB, so this "
                    "is no file of word vectors that thence can read."
                )
        if rest:
            yield rest.rstrip(LINE_END)

    def word(self, row: bytes) -> bytes:
        """Return the word of a row: all before the last D values, which may include spaces.

        Raises:
            BrokenRowError: There are too few values, too many, or no word.
        """
        spaces = row.count(b" ")
        if spaces == self.dimension:  # The common case is the fast one.
            word = row[: row.index(b" ")]
        elif spaces > self.dimension:
            word = row.rsplit(b" ", self.dimension)[0]
            if ENDS_IN_FRACTION.search(word):
                raise BrokenRowError(f"has more than {self.dimension} values")
        else:
            raise BrokenRowError(f"has {spaces} of {self.dimension} values")
        if not word:
            raise BrokenRowError("has no word")
        return word

    def values(self, row: bytes) -> Float32[np.ndarray, " dimension"]:
        """Return the last D values.

        Raises:
            BrokenRowError: One is not a number that float32 can hold.
        """
        try:
            numbers = [float(value) for value in row.rsplit(b" ", self.dimension)[1:]]
        except ValueError as error:
            reason = str(error).partition(": ")[2].removeprefix("b")
            raise BrokenRowError(f"holds {reason}, which is not a number") from None
        with np.errstate(over="ignore"):  # Too large values become infinite, which is refused.
            return finite(np.array(numbers).astype(np.float32))


@dataclass(frozen=True)
class BinaryRows:
    """The binary format: values are little-endian float32.

    Attributes:
        path: The file, for messages.
        dimension: Number of values in a row (D).
        stated: Number of rows by the header.
    """

    path: Path
    dimension: int
    stated: int
    unit: ClassVar[str] = "row"
    first: ClassVar[int] = 1

    def rows(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the rows: perhaps LF, the word, a space, 4 D bytes.

        Raises:
            TextError: The file ends within a row or before its last, or a word never ends.
        """
        size = 4 * self.dimension
        rest, number = b"", 0
        for piece in pieces:
            data, at = rest + piece, 0
            while (space := data.find(b" ", at)) >= 0 and (end := space + 1 + size) <= len(data):
                yield data[at:end]
                number += 1
                at = end
            rest = data[at:]
            if len(rest) > LONGEST_WORD + size:
                raise TextError(
                    f"{self.path} row {number + 1} has a word longer than {LONGEST_WORD >> 10} "
                    "KiB, so the file is damaged or none of word vectors."
                )
        if number < self.stated or rest.strip():
            raise TextError(
                f"{self.path} ends {'within' if rest.strip() else 'before'} row {number + 1:,} "
                f"of {max(self.stated, number + 1):,}. Was it copied or downloaded whole?"
            )

    def word(self, row: bytes) -> bytes:
        """Return the word.

        Raises:
            BrokenRowError: There is none.
        """
        word = row[: -4 * self.dimension - 1].lstrip(b"\n")
        if not word:
            raise BrokenRowError("has no word")
        return word

    def values(self, row: bytes) -> Float32[np.ndarray, " dimension"]:
        """Return the values.

        Raises:
            BrokenRowError: One is NaN or infinite.
        """
        start = len(row) - 4 * self.dimension
        return finite(np.frombuffer(row, "<f4", offset=start).astype(np.float32))


def finite(values: Float32[np.ndarray, " dimension"]) -> Float32[np.ndarray, " dimension"]:
    """Return the values; BrokenRowError if one is not finite, or was too large for float32."""
    if not np.isfinite(values).all():
        raise BrokenRowError("holds NaN or a number too large for float32")
    return values


def find_layout(sample: bytes, path: Path) -> tuple[TextRows | BinaryRows, int]:
    """Return the format of a file, and the offset in bytes at which its rows begin.

    Args:
        sample: The first megabyte, or the whole file.
        path: The file, for messages.

    Raises:
        TextError: It is no file of word vectors.
    """
    if sample.startswith(FASTTEXT_MODEL):
        raise TextError(f"{path} is a fastText model. Use the .vec file that comes with it.")
    start = len(MARK) if sample.startswith(MARK) else 0
    header = HEADER.match(sample, start)
    if header is None:
        return TextRows(path, dimension_of(sample[start:], path), None), start
    stated, dimension = int(header[1]), int(header[2])
    if not 1 <= dimension <= LARGEST_DIMENSION:
        raise TextError(
            f"{path} line 1 says that a vector has {dimension} values, where 1 to "
            f"{LARGEST_DIMENSION} are possible. Is it a file of word vectors?"
        )
    lines = sample[header.end() :].split(b"\n", 10)[:10]
    readable = any(trailing_numbers(line) >= dimension for line in lines)
    if not readable and CONTROL.search(sample, header.end()):
        return BinaryRows(path, dimension, stated), header.end()
    return TextRows(path, dimension, stated), header.end()


def dimension_of(sample: bytes, path: Path) -> int:
    """Return the number of values in most of the first rows: a few rows may be broken.

    Raises:
        TextError: No row ends in a number.
    """
    found = Counter(map(trailing_numbers, sample.split(b"\n", SAMPLE)[:SAMPLE]))
    del found[0]
    if not found:
        raise TextError(
            f"{path} is no file of word vectors: no row among the first {SAMPLE} is a word, a "
            "space and numbers between spaces. thence reads those of GloVe, word2vec and fastText."
        )
    return min(found.most_common(1)[0][0], LARGEST_DIMENSION)


def trailing_numbers(line: bytes) -> int:
    r"""Return the count of numbers at the end of a line, whose first part is always a word.

    >>> trailing_numbers(b". . 0.1 0.2\r"), trailing_numbers(b"1 2 3")
    (2, 2)
    """
    parts = line.rstrip(LINE_END).split(b" ")[1:]
    numbers = (NUMBER.fullmatch(part) is not None for part in reversed(parts))
    return next((count for count, number in enumerate(numbers) if not number), len(parts))


def pieces_of(path: Path, piece_size: int = CHUNK) -> Generator[bytes, None, None]:
    """Yield the decompressed bytes of a file in pieces.

    Args:
        path: The file; compression is recognised by its first bytes.
        piece_size: Bytes per piece.

    Raises:
        TextError: It is missing or unreadable, or its compressed data is damaged or truncated.
        MissingExtraError: The library that decompresses it is not installed.
    """
    refuse_odd(path)  # A pipe too: the file is read twice.
    with open_named(path) as file:
        refuse_foreign(file.read(1 << 10), str(path))
        file.seek(0)
        with unpacking(file, str(path)) as stream:
            while piece := _read_piece(stream, path, piece_size):
                yield piece


def _read_piece(stream: IO[bytes], path: Path, size: int) -> bytes:
    """Return up to ``size`` bytes; b"" at the end.

    Raises:
        TextError: The file cannot be read.
    """
    try:
        return stream.read(size)
    except OSError as error:
        if error.errno is None:
            raise  # The compressed data is damaged: see ``unpacking``.
        raise TextError(f"{path} cannot be read: {error.strerror}.") from None
