r"""ARPA files: the text format of n-gram models that KenLM, SRILM and others read and write.

    \data\
    ngram 1=4
    ngram 2=3

    \1-grams:
    -0.6        a       -0.3        log10 p(a), the word, log10 of its back-off weight

    \end\

One symbol is the boundary here and two are in a file: as a context it is ``<s>``, as a target it
is ``</s>``. White space inside a symbol is written as ``<0x20>``.
"""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TextIO

import numpy as np
from jaxtyping import Float, Int64

from thence.errors import SettingError, TextError
from thence.models.ngram.smoothing import OrderTable
from thence.tokens.vocabulary import UNKNOWN, Vocabulary

START, END = "<s>", "</s>"
NEVER = -99.0
"""How ARPA files write the logarithm of zero."""
LN_10 = float(np.log(10))
_SPACE = re.compile(r"\s")
_ESCAPED = re.compile(r"<0x([0-9a-f]+)>")
_COUNT = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)$")
_SECTION = re.compile(r"\\(\d+)-grams:$")


def write_arpa(tables: list[OrderTable], vocabulary: Vocabulary, path: Path) -> None:
    """Write a model as an ARPA file, compressed if the name ends in ``.gz``.

    Raises:
        SettingError: If n-grams reach across documents, which the format cannot say.
    """
    _check_no_crossing(tables, vocabulary)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in arpa_lines(tables, vocabulary))


def arpa_lines(tables: list[OrderTable], vocabulary: Vocabulary) -> Iterator[str]:
    """Yield the lines of an ARPA file."""
    size, boundary = len(vocabulary), vocabulary.boundary_id
    words = [_SPACE.sub(lambda m: f"<0x{ord(m[0]):x}>", name) for name in vocabulary.names()]
    words[boundary] = END
    yield "\\data\\"
    for order, table in enumerate(tables, start=1):
        yield f"ngram {order}={len(table.keys) + (order == 1)}"
    opened = [START if index == boundary else word for index, word in enumerate(words)]
    names = opened  # of each n-gram as a context: what opens a document is <s>
    for order, table in enumerate(tables, start=1):
        yield f"\n\\{order}-grams:"
        shown = words
        if order > 1:
            pairs = zip((table.keys // size).tolist(), (table.keys % size).tolist(), strict=True)
            shown = [f"{names[prefix]} {words[word]}" for prefix, word in pairs]
        yield from _order_lines(table, shown, boundary if order == 1 else None)
        names = opened if order == 1 else shown
    yield "\n\\end\\"


def _check_no_crossing(tables: list[OrderTable], vocabulary: Vocabulary) -> None:
    """Refuse n-grams of three words and more that go on after a boundary."""
    size = len(vocabulary)
    for shorter, table in pairwise(tables[1:]):
        continued = shorter.keys[table.keys // size] % size
        if np.any(continued == vocabulary.boundary_id):
            raise SettingError(
                "This model's n-grams reach across documents (--carry-context), which an ARPA file "
                "cannot say; train it without to write one."
            )


def _order_lines(table: OrderTable, names: list[str], boundary: int | None) -> Iterator[str]:
    log_probs = np.maximum(table.log_probs.astype(np.float64) / LN_10, NEVER).tolist()
    weights = np.maximum(table.log_backoffs.astype(np.float64) / LN_10, NEVER).tolist()
    endings = [f"\t{weight:.7g}" for weight in weights] or [""] * len(names)
    for index, (p, name, ending) in enumerate(zip(log_probs, names, endings, strict=True)):
        if index == boundary:  # One symbol here, two in the file.
            yield f"{NEVER:g}\t{START}{ending}"
            yield f"{p:.7g}\t{END}"
        else:
            yield f"{p:.7g}\t{name}{ending}"


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
    """Read an ARPA file, plain or compressed, as KenLM, SRILM and this library write them.

    White space may be tabs or spaces, lines may end in CRLF, back-off weights may be missing (they
    are zero), ``<UNK>`` may stand for ``<unk>`` and the end marker may be missing.

    Raises:
        TextError: If it is not an ARPA file; names the line.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        opener = gzip.open if packed else open
        with opener(path, "rt", encoding="utf-8", newline="\n") as file:
            return _parse(_Lines(path, file))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TextError(f"The ARPA file {path} cannot be read: {error}.") from error


class _Lines:
    """The lines of a file that are not blank, with the number of the current one."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.number = path, 0
        self._lines = iter(file)

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            stripped = line.strip(" \t\r\n")
            if stripped:
                yield stripped

    def error(self, problem: str) -> TextError:
        """Return the error for the current line."""
        return TextError(f"{self.path}, line {self.number}: {problem}")


def _parse(lines: _Lines) -> ArpaModel:
    reader = iter(lines)
    announced: dict[int, int] = {}
    if next(reader, None) != "\\data\\":
        raise lines.error("an ARPA file begins with \\data\\; this is not one.")
    section = next(reader, "")
    while count := _COUNT.match(section):
        announced[int(count[1])] = int(count[2])
        section = next(reader, "")
    if sorted(announced) != list(range(1, len(announced) + 1)) or not announced:
        raise lines.error("the numbers of n-grams ('ngram 1=...') are missing or not in order.")
    entries = []
    for order in sorted(announced):
        found = _SECTION.match(section)
        if not found or int(found[1]) != order:
            raise lines.error(f"here should stand \\{order}-grams:, not {section[:40]!r}.")
        entry, section = _read_order(lines, reader, order, announced[order])
        entries.append(entry)
    if section not in ("\\end\\", ""):
        raise lines.error(f"here should stand \\end\\, not {section[:40]!r}.")
    return _assemble(lines, entries)


@dataclass(frozen=True)
class _Entries:
    """The n-grams of one section: log10 values and words, N words each."""

    log10_probs: list[float]
    words: list[tuple[str, ...]]
    log10_backoffs: list[float]


def _read_order(
    lines: _Lines, reader: Iterator[str], order: int, announced: int
) -> tuple[_Entries, str]:
    """Read a section; return its n-grams and the line after it."""
    entries = _Entries([], [], [])
    section = ""
    for line in reader:
        if line.startswith("\\") and (line == "\\end\\" or _SECTION.match(line)):
            section = line
            break
        fields = line.split()
        if len(fields) not in (order + 1, order + 2):
            raise lines.error(
                f"an entry of order {order} has a number, {order} words and perhaps a back-off "
                f"weight, but here are {len(fields)} fields."
            )
        try:
            entries.log10_probs.append(float(fields[0]))
            entries.log10_backoffs.append(
                float(fields[order + 1]) if len(fields) > order + 1 else 0
            )
        except ValueError:
            raise lines.error(f"{fields[0]!r} or {fields[-1]!r} is not a number.") from None
        entries.words.append(tuple(fields[1 : order + 1]))
    if len(entries.words) != announced:
        raise lines.error(
            f"{announced} n-grams of order {order} are announced, but {len(entries.words)} follow; "
            "the file is cut short or was edited."
        )
    return entries, section


def _assemble(lines: _Lines, entries: list[_Entries]) -> ArpaModel:
    named = [_UNKNOWNS.get(words[0], words[0]) for words in entries[0].words]
    ordinary = [word for word in named if word not in (START, END, UNKNOWN)]
    if len(set(named)) < len(named):
        raise lines.error("a word stands twice among the 1-grams.")
    if END not in named:
        raise lines.error(f"the 1-grams lack {END}, so no text could end.")
    symbols = tuple(_ESCAPED.sub(lambda m: chr(int(m[1], 16)), word) for word in ordinary)
    model = ArpaModel(symbols, UNKNOWN in named, [])
    size, boundary = len(model.vocabulary), model.vocabulary.boundary_id
    ids = {word: index for index, word in enumerate(ordinary)}
    ids |= {START: boundary, END: boundary}
    if model.vocabulary.unknown_id is not None:
        ids |= dict.fromkeys((UNKNOWN, *_UNKNOWNS), model.vocabulary.unknown_id)
    model.tables.append(_unigrams(entries[0], named, ids, size))
    for entry in entries[1:]:
        try:
            words = np.array([[ids[word] for word in ngram] for ngram in entry.words], np.int64)
        except KeyError as error:
            raise lines.error(
                f"the word {error} is in an n-gram but not among the 1-grams."
            ) from None
        model.tables.append(_table(lines, entry, words, model.tables, size))
    return model


_UNKNOWNS = {"<UNK>": UNKNOWN, "<Unk>": UNKNOWN}


def _unigrams(entries: _Entries, named: list[str], ids: dict[str, int], size: int) -> OrderTable:
    log_probs, backoffs = np.full(size, -np.inf), np.zeros(size)
    for word, p, weight in zip(named, entries.log10_probs, entries.log10_backoffs, strict=True):
        if word != START:
            log_probs[ids[word]] = p
        if word != END:
            backoffs[ids[word]] = weight
    return OrderTable(np.arange(size), _nats(log_probs), _nats(backoffs))


def _table(
    lines: _Lines,
    entries: _Entries,
    words: Int64[np.ndarray, "ngrams order"],
    shorter: list[OrderTable],
    size: int,
) -> OrderTable:
    numbers = words[:, 0]
    for level in range(1, words.shape[1] - 1):
        keys = numbers * size + words[:, level]
        numbers = np.searchsorted(shorter[level].keys, keys)
        if not np.array_equal(np.take(shorter[level].keys, numbers, mode="clip"), keys):
            raise lines.error("an n-gram is listed whose beginning is not listed one order below.")
    keys = numbers * size + words[:, -1]
    order = np.argsort(keys, kind="stable")
    if len(keys) and np.any(np.diff(keys[order]) == 0):
        raise lines.error("an n-gram is listed twice.")
    log_probs = _nats(np.array(entries.log10_probs))[order]
    return OrderTable(keys[order], log_probs, _nats(np.array(entries.log10_backoffs))[order])


def _nats(log10: Float[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
    return np.where(log10 <= NEVER, -np.inf, log10 * LN_10).astype(np.float32)
