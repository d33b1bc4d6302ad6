"""Reading an ARPA file, whoever wrote it; what is broken is refused with its line.

While the file is read, every word is known by its *place* among the 1-grams, and the n-grams are
kept as arrays of places, so that millions of them cost seconds and little memory.
"""

import gzip
import re
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from thence.array_types import Bool, Float, Int64, Integer
from thence.corpus.opening import refuse_odd
from thence.errors import TextError
from thence.exchange.arpa_writer import END, LN_10, NEVER, START
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.sorting import find
from thence.tokens.vocabulary import UNKNOWN, Vocabulary

SPELLINGS = (UNKNOWN, "<UNK>", "<Unk>")
"""How other programs write the unknown word."""
_FIELD = re.compile(rb"[^ \t\r\n]+")
LONGEST_LINE = 1 << 20
"""Bytes; an n-gram has a few dozen. A packed file may hold a line longer than memory."""
_COUNT = re.compile(rb"ngram (\d+) ?= ?(\d+)$")


@dataclass(frozen=True)
class ArpaModel:
    """What an ARPA file holds.

    Attributes:
        symbols: The ordinary words, in the order of the file.
        knows_unknown: Whether the file has ``<unk>``.
        tables: One per order, over the ids of ``vocabulary``.
    """

    symbols: tuple[str, ...]
    knows_unknown: bool
    tables: list[OrderTable]

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the tables."""
        return Vocabulary(self.symbols, "symbol" if self.knows_unknown else "refuse")


def read_arpa(path: Path) -> ArpaModel:
    r"""Read an ARPA file, plain or compressed, as KenLM, SRILM and this library write them.

    White space may be tabs or spaces, lines may end in CRLF, lines before ``\data\`` may be blank
    or begin with #, back-off weights may be missing (they are zero), ``<UNK>`` may stand for
    ``<unk>`` and the end marker may be missing.

    Raises:
        TextError: If it is not an ARPA file; names the line.
    """
    refuse_odd(path)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            return _parse(_Lines(path, _bounded_lines(file, path)))
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

    def __init__(self, path: Path, file: Iterable[bytes]) -> None:
        self.path, self.number, self._file = path, 0, file

    def __iter__(self) -> Iterator[list[bytes]]:
        for line in self._file:
            self.number += 1
            # What ``split`` cuts at besides is rare.
            rare = b"\v" in line or b"\f" in line
            if fields := _FIELD.findall(line) if rare else line.split():
                yield fields

    def error(self, problem: str, number: int | None = None) -> TextError:
        """Return the error for a line: the current one unless a number is given."""
        return TextError(f"{self.path}, line {number or self.number}: {problem}")

    def refuse(
        self, bad: Bool[np.ndarray, " ngrams"], numbers: Int64[np.ndarray, " ngrams"], problem: str
    ) -> None:
        """Raise the error for the first bad n-gram, if any; ``numbers`` are their lines."""
        if bad.any():
            raise self.error(problem, int(numbers[bad.argmax()]))


def _parse(lines: _Lines) -> ArpaModel:
    reader = iter(lines)
    announced, section = _read_header(lines, reader)
    places: dict[bytes, int] = {}
    _check_title(lines, section, 1)
    entries, section = _read_section(
        lines, reader, 1, announced[0], lambda word: places.setdefault(word, len(places))
    )
    words = _read_words(lines, places, entries)
    tables = [_unigrams(entries, words)]
    for order, count in enumerate(announced[1:], start=2):
        _check_title(lines, section, order)
        entries, section = _read_section(lines, reader, order, count, places.__getitem__)
        tables.append(_table(lines, entries, words, tables))
    if section not in (b"\\end\\", b""):
        raise lines.error(f"here should be \\end\\, not {_shown(section)}.")
    last = tables.pop()  # Some programs write back-off weights here too, which nothing asks for.
    tables.append(OrderTable(last.keys, last.log_probs, np.zeros(0, np.float32)))
    return ArpaModel(words.symbols, words.knows_unknown, tables)


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


@dataclass(frozen=True)
class _Entries:
    """The n-grams of one section.

    Attributes:
        numbers: The line of each.
        log_probs: In nats.
        places: The words of each n-gram, by their places among the 1-grams.
        log_backoffs: In nats.
    """

    numbers: Int64[np.ndarray, " ngrams"]
    log_probs: Float[np.ndarray, " ngrams"]
    places: Integer[np.ndarray, "ngrams order"]
    log_backoffs: Float[np.ndarray, " ngrams"]


def _read_section(
    lines: _Lines,
    reader: Iterator[list[bytes]],
    order: int,
    announced: int,
    place_of: Callable[[bytes], int],
) -> tuple[_Entries, bytes]:
    """Read the n-grams of an order; return them and the line after them."""
    numbers, probs, places, weights = array("q"), array("d"), array("i"), array("d")
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
    entries = _Entries(
        np.array(numbers, np.int64),
        np.array(probs),
        np.array(places, np.int32).reshape(-1, order),
        np.array(weights),
    )
    return _checked(lines, entries), section


def _checked(lines: _Lines, entries: _Entries) -> _Entries:
    """Return the entries with logarithms in nats, if they are logarithms."""
    log10, weights, numbers = entries.log_probs, entries.log_backoffs, entries.numbers
    lines.refuse(~(log10 <= 0), numbers, "a log10 probability must be a number from 0 down.")
    # Beyond, a product of weights has no room in a float; none that is estimated is near it.
    lines.refuse(
        ~(weights < -NEVER), numbers, f"a back-off weight must be a number below {-NEVER:g}."
    )
    return _Entries(numbers, _nats(log10), entries.places, _nats(weights))


def _nats(log10: Float[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
    return np.where(log10 <= NEVER, -np.inf, log10 * LN_10).astype(np.float32)


@dataclass(frozen=True)
class _Words:
    """The words of a file.

    Attributes:
        symbols: The ordinary ones.
        knows_unknown: Whether ``<unk>`` is among them.
        ids: The id of each, by its place. ``<s>`` has V, one more than the boundary, as long as it
            must be told from ``</s>``.
    """

    symbols: tuple[str, ...]
    knows_unknown: bool
    ids: Int64[np.ndarray, " words"]

    @property
    def size(self) -> int:
        """Number of ids (V)."""
        return len(Vocabulary(self.symbols, "symbol" if self.knows_unknown else "refuse"))


def _read_words(lines: _Lines, places: dict[bytes, int], entries: _Entries) -> _Words:
    listed = entries.places[:, 0]
    again = listed != np.arange(len(listed))
    lines.refuse(again, entries.numbers, "a word occurs twice among the 1-grams.")
    names = []
    for word, number in zip(places, entries.numbers.tolist(), strict=True):
        try:
            names.append(word.decode("utf-8"))
        except UnicodeDecodeError:
            raise lines.error(f"the word {word!r} is not UTF-8.", number) from None
    if END not in names:
        raise lines.error(f"the 1-grams lack {END}, so no text could end.")
    unknown = next((name for name in SPELLINGS if name in names), None)
    symbols = tuple(name for name in names if name not in (START, END, unknown))
    size = len(symbols) + (unknown is not None) + 1
    ids = {name: index for index, name in enumerate(symbols)}
    ids |= {START: size, END: size - 1}
    if unknown is not None:
        ids[unknown] = size - 2
    return _Words(symbols, unknown is not None, np.array([ids[name] for name in names]))


def _unigrams(entries: _Entries, words: _Words) -> OrderTable:
    log_probs, log_backoffs = np.zeros((2, words.size + 1), np.float32)
    log_probs[words.ids] = entries.log_probs
    log_backoffs[words.ids] = entries.log_backoffs
    # The boundary is as probable as </s>, and as a context it is <s>.
    log_backoffs[words.size - 1] = log_backoffs[words.size]
    return OrderTable(np.arange(words.size), log_probs[:-1], log_backoffs[:-1])


def _table(
    lines: _Lines, entries: _Entries, words: _Words, shorter: list[OrderTable]
) -> OrderTable:
    size, start, end = words.size, words.size, words.size - 1
    ids = words.ids[entries.places]
    # No text asks for what comes before <s> or after </s>, yet some programs list it.
    asked = ~((ids[:, 1:] == start).any(axis=1) | (ids[:, :-1] == end).any(axis=1))
    ids, numbers = ids[asked], entries.numbers[asked]
    ids[ids == start] = end
    prefixes = ids[:, 0]
    for table, word in zip(shorter[1:], ids.T[1:-1], strict=True):
        prefixes = find(table.keys, prefixes, word, size)
    problem = "an n-gram is listed whose beginning is not listed one order below."
    lines.refuse(prefixes < 0, numbers, problem)
    keys = prefixes * size + ids[:, -1]
    order = np.argsort(keys, kind="stable")
    again = np.zeros(len(keys), bool)
    again[order[1:]] = np.diff(keys[order]) == 0
    lines.refuse(again, numbers, "an n-gram is listed twice.")
    chosen = np.flatnonzero(asked)[order]
    # No text asks for what follows </s> either, so such a weight never counts.
    log_backoffs = np.where(ids[order, -1] == end, 0, entries.log_backoffs[chosen])
    return OrderTable(keys[order], entries.log_probs[chosen], log_backoffs)
