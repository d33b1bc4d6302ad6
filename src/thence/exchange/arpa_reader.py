"""Reading an ARPA file, whoever wrote it; what is broken is refused with its line."""

import gzip
import re
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from itertools import chain, islice
from pathlib import Path

import numpy as np

from thence.corpus.opening import refuse_odd
from thence.errors import TextError
from thence.exchange.ngram_lists import (
    Entries,
    ListedModel,
    Sections,
    check_logarithms,
    tables_of,
)

_FIELD = re.compile(rb"[^ \t\r\n]+")
LONGEST_LINE = 1 << 20
"""Bytes; an n-gram has a few dozen. A packed file may hold a line longer than memory."""
LINES_AT_ONCE = 1 << 15
"""Lines that are cut together (about 1 MB)."""
RARE = (b"\r", b"\v", b"\f")
"""White space that ``split`` cuts at, and that no program writes between fields."""
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
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            yield _parse(_Lines(path, _bounded_lines(file, path)))
    except (OSError, EOFError, zlib.error) as error:
        problem = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise TextError(f"The ARPA file {path} cannot be read: {problem}.") from error


def _bounded_lines(file: BufferedIOBase, path: Path) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise TextError(
                f"{path} has a line of more than {LONGEST_LINE >> 20} MiB, so it is no ARPA file."
            )
        yield line


class _Lines:
    """The lines of a file that are not blank, cut into fields, with the number of the current one.

    As in KenLM fields end at spaces, tabs and the ends of lines: any other white space is part of a
    word.
    """

    def __init__(self, path: Path, file: Iterator[bytes]) -> None:
        self.path, self.number, self._file = path, 0, file

    def __iter__(self) -> Iterator[list[bytes]]:
        while (line := next(self._file, None)) is not None:
            self.number += 1
            # What ``split`` cuts at besides is rare.
            rare = b"\v" in line or b"\f" in line
            if fields := _FIELD.findall(line) if rare else line.split():
                yield fields

    def take_alike(self, most: int) -> list[list[bytes]] | None:
        """Take up to so many lines of the same number of fields; return their columns.

        None if the next lines are not so, or there are none: then they are still to be read.
        """
        lines = list(islice(self._file, most))
        columns = _columns(lines) if lines else None
        if columns is None:
            self._file = chain(lines, self._file)
        else:
            self.number += len(lines)
        return columns

    def put_back(self, number: int, columns: list[list[bytes]]) -> None:
        """Let what was taken be read again, from the line after a number on."""
        lines = [b"\t".join(fields) for fields in zip(*columns, strict=True)]
        self.number, self._file = number, chain(lines, self._file)

    def error(self, problem: str, number: int | None = None) -> TextError:
        """Return the error for a line: the current one unless a number is given."""
        return TextError(f"{self.path}, line {number or self.number}: {problem}")


def _columns(lines: list[bytes]) -> list[list[bytes]] | None:
    """Return the fields of lines by column if all have as many, with one tab or space between."""
    text, width = b"".join(lines), len(lines[0].split())
    if width < 2 or any(rare in text for rare in RARE):
        return None
    characters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    separators = np.flatnonzero((characters == ord("\t")) | (characters == ord(" ")))
    if len(ends) != len(lines) or len(separators) != (width - 1) * len(lines):
        return None
    by_line, fields = separators.reshape(len(lines), -1), text.split()
    if np.any(by_line[1:, 0] < ends[:-1]) or np.any(by_line[:, -1] > ends):
        return None
    if len(fields) != width * len(lines):
        return None
    return [fields[column::width] for column in range(width)]


def _parse(lines: _Lines) -> Sections:
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
        for order, count in enumerate(announced[1:], start=2):
            _check_title(lines, section, order)
            entries, section = _read_section(lines, reader, order, count, places.__getitem__)
            yield entries
        if section not in (b"\\end\\", b""):
            raise lines.error(f"here should be \\end\\, not {_shown(section)}.")

    return Sections(list(places), orders(section), lines.error)


def _read_header(lines: _Lines, reader: Iterator[list[bytes]]) -> tuple[list[int], bytes]:
    """Return how many n-grams of each order are announced, and the line after that."""
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


def _read_alike(
    lines: _Lines,
    order: int,
    announced: int,
    place_of: Callable[[bytes], int],
    found: tuple["array[int]", "array[float]", "array[int]", "array[float]"],
) -> None:
    """Read n-grams as long as all lines have as many fields, as they mostly have: many at once.

    It leaves the lines of what is wrong, and of what is written otherwise, to be read one by one.
    """
    numbers, probs, places, weights = found
    while len(numbers) < announced:
        before = lines.number
        columns = lines.take_alike(min(LINES_AT_ONCE, announced - len(numbers)))
        if columns is None:
            return
        has_weights = len(columns) == order + 2
        try:
            values = [list(map(float, column)) for column in columns[:: order + 1]]
            words = [list(map(place_of, column)) for column in columns[1 : order + 1]]
        except (ValueError, KeyError):
            values = []
        if len(values) != 1 + has_weights or len(columns) not in (order + 1, order + 2):
            lines.put_back(before, columns)
            return
        numbers.extend(range(before + 1, lines.number + 1))
        probs.extend(values[0])
        weights.extend(values[1] if has_weights else [0.0] * len(values[0]))
        places.extend(chain.from_iterable(zip(*words, strict=True)))


def _read_section(
    lines: _Lines,
    reader: Iterator[list[bytes]],
    order: int,
    announced: int,
    place_of: Callable[[bytes], int],
) -> tuple[Entries, bytes]:
    """Read the n-grams of an order; return them and the line after them."""
    numbers, probs, places, weights = array("q"), array("d"), array("i"), array("d")
    _read_alike(lines, order, announced, place_of, (numbers, probs, places, weights))
    section = b""
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
            probs.append(float(fields[0]))
            weights.append(float(fields[-1]) if len(fields) == order + 2 else 0.0)
            places.extend(map(place_of, fields[1 : order + 1]))
        except ValueError:
            ends = f"{_shown(fields[0])} or {_shown(fields[-1])}"
            raise lines.error(f"{ends} is not a number.") from None
        except KeyError as error:
            word = _shown(error.args[0])
            raise lines.error(f"the word {word} is in an n-gram but not a 1-gram.") from None
        numbers.append(lines.number)
    if len(numbers) != announced:
        raise lines.error(
            f"{announced} n-grams of order {order} are announced, but {len(numbers)} follow; "
            "the file is cut short or was edited."
        )
    entries = Entries(
        np.array(places, np.int32).reshape(-1, order),
        np.array(probs),
        np.array(weights),
        np.array(numbers, np.int64),
    )
    check_logarithms(entries, lines.error)
    return entries, section
