"""Reading ARPA files of any program; errors name the line."""

import re
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np

from thence._core import library
from thence._core.arpa import read_lines
from thence.corpus.opening import refuse_odd
from thence.corpus.packing import unpacking
from thence.errors import TextError
from thence.exchange.ngram_lists import (
    Entries,
    ListedModel,
    Sections,
    check_logarithms,
    tables_of,
)
from thence.models.ngram.hashed import HashTable, murmurs

_FIELD = re.compile(rb"[^ \t\r\n]+")
LONGEST_LINE = 1 << 20
"""Longest line in bytes; an n-gram has a few dozen. A hostile compressed file could hold a line
larger than memory."""
BLOCK = 1 << 20
"""Bytes per read."""
_COUNT = re.compile(rb"ngram (\d+) ?= ?(\d+)$")


def read_arpa(path: Path) -> ListedModel:
    r"""Read an ARPA file, plain or compressed, as KenLM, SRILM and this library write them.

    White space may be tabs or spaces, lines may end in CRLF, lines before ``\data\`` may be blank
    or begin with #, back-off weights may be missing (they are zero), ``<UNK>`` may stand for
    ``<unk>`` and the end marker may be missing.

    Raises:
        TextError: If it is not an ARPA file; names the line.
    """
    with arpa_sections(path) as sections:
        return tables_of(sections)


@contextmanager
def arpa_sections(path: Path) -> Iterator[Sections]:
    """Open an ARPA file to read its n-grams order by order; see ``read_arpa``.

    Raises:
        TextError: If it is not an ARPA file; names the line.
    """
    refuse_odd(path)
    try:
        with path.open("rb") as raw, unpacking(raw, f"The ARPA file {path}") as file:
            yield _parse(_Lines(path, file))
    except OSError as error:
        raise TextError(f"The ARPA file {path} cannot be read: {error.strerror}.") from error


class _Lines:
    """Iterator over the lines of a file that are not blank, as lists of fields; counts lines.

    As in KenLM, only spaces, tabs and line ends separate fields; any other white space is part of a
    word.
    """

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self.number, self._file = path, 0, file
        self._ahead = BytesIO()
        """Bytes that were read from the file but not yet consumed."""

    def __iter__(self) -> Iterator[list[bytes]]:
        while line := self._ahead.readline() or self._line():
            self.number += 1
            # ``split`` is faster, but also splits at these two characters.
            rare = b"\v" in line or b"\f" in line
            if fields := _FIELD.findall(line) if rare else line.split():
                yield fields

    def _line(self) -> bytes:
        """Return the next line of the file; empty at its end."""
        line = self._file.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            raise TextError(
                f"{self.path} has a line of more than {LONGEST_LINE >> 20} MiB, so it is no ARPA "
                "file."
            )
        return line

    def read_many(self, read: Callable[[bytes], tuple[int, int]]) -> int:
        """Pass a block of whole lines to a function that returns how many lines and bytes it used.

        The rest stays for the next read. Returns the number of lines used.
        """
        block = self._ahead.read() or self._file.read(BLOCK)
        block += b"" if block.endswith(b"\n") else self._line()
        count, used = read(block)
        self.number += count
        self._ahead = BytesIO(block[used:])
        return count

    def error(self, problem: str, number: int | None = None) -> TextError:
        """Return the error for a line: the current one unless a number is given."""
        return TextError(f"{self.path}, line {number or self.number}: {problem}")


def _parse(lines: _Lines) -> Sections:
    """Read the header and the 1-grams; longer n-grams are read by the iterator ``orders``."""
    reader = iter(lines)
    announced, section = _read_header(lines, reader)
    places: dict[bytes, int] = {}
    _check_title(lines, section, 1)
    first, section = _read_section(
        lines, reader, 1, announced[0], lambda word: places.setdefault(word, len(places))
    )
    again = first.places[:, 0] != np.arange(len(first.places))
    if again.any():
        number = int(first.numbers[again.argmax()])
        raise lines.error("a word occurs twice among the 1-grams.", number)

    def orders(section: bytes) -> Iterator[Entries]:
        yield first
        table = None
        if library() is not None:
            table = HashTable.of(
                murmurs(list(places)), place=np.arange(len(places), dtype=np.uint32)
            )
        for order, count in enumerate(announced[1:], start=2):
            _check_title(lines, section, order)
            entries, section = _read_section(lines, reader, order, count, places.__getitem__, table)
            yield entries
        if section not in (b"\\end\\", b""):
            raise lines.error(f"here should be \\end\\, not {_shown(section)}.")

    return Sections(list(places), orders(section), lines.error)


def _read_header(lines: _Lines, reader: Iterator[list[bytes]]) -> tuple[list[int], bytes]:
    """Return the numbers of n-grams of each order in the header, and the line after it."""
    first = next(reader, [])
    while first and first[0].startswith(b"#"):  # A comment, which KenLM skips too.
        first = next(reader, [])
    if first not in ([b"\\data\\"], [b"\xef\xbb\xbf\\data\\"]):
        raise lines.error("an ARPA file begins with \\data\\; this is not one.")
    announced: dict[int, int] = {}
    section = b" ".join(next(reader, []))
    while count := _COUNT.match(section):
        announced[int(count[1])] = int(count[2])
        section = b" ".join(next(reader, []))
    if list(announced) != list(range(1, len(announced) + 1)) or not announced:
        raise lines.error("the numbers of n-grams ('ngram 1=...') are missing or not in order.")
    return list(announced.values()), section


def _check_title(lines: _Lines, section: bytes, order: int) -> None:
    if section != b"\\%d-grams:" % order:
        raise lines.error(f"here should be \\{order}-grams:, not {_shown(section)}.")


def _shown(line: bytes) -> str:
    return repr(line.decode("utf-8", errors="replace")[:40])


@dataclass(frozen=True)
class _SectionBuffers:
    """The n-grams of a section that were read so far.

    Attributes:
        numbers: Line number of each.
        log_probs: Its log10 probability.
        places: Places of its words, concatenated.
        backoffs: Its log10 back-off weight, 0 if missing.
    """

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    log_probs: "array[float]" = field(default_factory=lambda: array("d"))
    places: "array[int]" = field(default_factory=lambda: array("i"))
    backoffs: "array[float]" = field(default_factory=lambda: array("d"))

    def read_many(self, lines: _Lines, order: int, announced: int, words: HashTable) -> None:
        """Read lines with the compiled core, up to the first one in an unusual form."""

        def read(text: bytes) -> tuple[int, int]:
            most = announced - len(self.numbers)
            found, used = read_lines(text, order, most, words.parts)
            self.log_probs.frombytes(found[0].tobytes())
            self.places.frombytes(found[1].tobytes())
            self.backoffs.frombytes(found[2].tobytes())
            first = lines.number + 1
            self.numbers.extend(range(first, first + len(found[0])))
            return len(found[0]), used

        while len(self.numbers) < announced and lines.read_many(read):
            pass

    def entries(self, order: int) -> Entries:
        """Return the n-grams as arrays."""
        return Entries(
            np.array(self.places, np.int32).reshape(-1, order),
            np.array(self.log_probs),
            np.array(self.backoffs),
            np.array(self.numbers, np.int64),
        )


def _read_section(
    lines: _Lines,
    reader: Iterator[list[bytes]],
    order: int,
    announced: int,
    place_of: Callable[[bytes], int],
    words: HashTable | None = None,
) -> tuple[Entries, bytes]:
    """Read the n-grams of an order; return them and the line after them."""
    found, section = _SectionBuffers(), b""
    if words is not None:
        found.read_many(lines, order, announced, words)
    for fields in reader:
        if fields[0].startswith(b"\\"):
            section = b" ".join(fields)
            break
        if not order < len(fields) < order + 3:
            raise lines.error(
                f"an entry of order {order} has a number, {order} words and perhaps a back-off "
                f"weight, but here are {len(fields)} fields."
            )
        try:
            found.log_probs.append(float(fields[0]))
            found.backoffs.append(float(fields[-1]) if len(fields) == order + 2 else 0.0)
            found.places.extend(map(place_of, fields[1 : order + 1]))
        except ValueError:
            ends = f"{_shown(fields[0])} or {_shown(fields[-1])}"
            raise lines.error(f"{ends} is not a number.") from None
        except KeyError as error:
            word = _shown(error.args[0])
            raise lines.error(f"the word {word} is in an n-gram but not a 1-gram.") from None
        found.numbers.append(lines.number)
    if len(found.numbers) != announced:
        raise lines.error(
            f"{announced} n-grams of order {order} are announced, but {len(found.numbers)} follow; "
            "the file is cut short or was edited."
        )
    entries = found.entries(order)
    check_logarithms(entries, lines.error)
    return entries, section
