"""N-gram models as lists of n-grams, as files have them, and their conversion to our tables.

Words are represented by their *place* (index) among the 1-grams, and n-grams as arrays of places,
so that millions of them take seconds and little memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from thence.array_types import Bool, Float, Int64
from thence.errors import TextError
from thence.exchange.arpa_writer import END, LN_10, NEVER, START
from thence.models.ngram.hashing import Listed
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.sorting import find
from thence.tokens.vocabulary import UNKNOWN, Vocabulary

SPELLINGS = (UNKNOWN, "<UNK>", "<Unk>")
"""Spellings of the unknown word in files."""


@dataclass(frozen=True)
class Entries(Listed):
    """The n-grams of one order in a file.

    Attributes:
        numbers: Line number of each n-gram, or its index from 1 in a binary file.
    """

    numbers: Int64[np.ndarray, " ngrams"]


@dataclass(frozen=True)
class Sections:
    """The n-grams of a file.

    Attributes:
        words: The words of the 1-grams, in the order of the file.
        orders: Iterator over the n-grams of order 1, 2, ...; it can be read only once.
        error: Function from a problem and the number of an entry to an error.
    """

    words: list[bytes]
    orders: Iterator[Entries]
    error: Callable[[str, int], TextError]

    def refuse(
        self, bad: Bool[np.ndarray, " ngrams"], numbers: Int64[np.ndarray, " ngrams"], problem: str
    ) -> None:
        """Raise the error for the first bad n-gram, if any; ``numbers`` are those of all."""
        if bad.any():
            raise self.error(problem, int(numbers[bad.argmax()]))


@dataclass(frozen=True)
class ListedModel:
    """A model that was read from a file.

    Attributes:
        symbols: The ordinary words, in the order of the file.
        knows_unknown: Whether the file has ``<unk>``.
        tables: One table per order, with the ids of ``vocabulary``.
    """

    symbols: tuple[str, ...]
    knows_unknown: bool
    tables: list[OrderTable]

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the tables."""
        return Vocabulary(self.symbols, "symbol" if self.knows_unknown else "refuse")


def tables_of(sections: Sections) -> ListedModel:
    """Convert the n-grams of a file to tables.

    Raises:
        TextError: If they are not a valid model; names the line.
    """
    entries = next(sections.orders)
    words = _read_words(sections, entries)
    tables = [_unigrams(entries, words)]
    for entries in sections.orders:
        tables.append(_table(sections, entries, words, tables))
    last = tables.pop()  # Some programs write back-off weights of the last order, which are unused.
    tables.append(OrderTable(last.keys, last.log_probs, np.zeros(0, np.float32)))
    return ListedModel(words.symbols, words.knows_unknown, tables)


def _nats(log10: Float[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
    """Convert log10 values to nats; -99 and below is minus infinity."""
    return np.where(log10 <= NEVER, -np.inf, log10 * LN_10).astype(np.float32)


@dataclass(frozen=True)
class _Words:
    """The words of a file.

    Attributes:
        symbols: The ordinary words.
        knows_unknown: Whether ``<unk>`` is among the words.
        ids: The id of each word, by its place. While a file is read, ``<s>`` has the id V, to be
            distinct from ``</s>``; both become the boundary, V - 1.
    """

    symbols: tuple[str, ...]
    knows_unknown: bool
    ids: Int64[np.ndarray, " words"]

    @property
    def size(self) -> int:
        """Number of ids (V)."""
        return len(Vocabulary(self.symbols, "symbol" if self.knows_unknown else "refuse"))


def _read_words(sections: Sections, entries: Entries) -> _Words:
    """Return the words of a file with our ids; raise ``TextError`` if ``</s>`` is missing."""
    names = []
    for word, number in zip(sections.words, entries.numbers.tolist(), strict=True):
        try:
            names.append(word.decode("utf-8"))
        except UnicodeDecodeError:
            raise sections.error(f"the word {word!r} is not UTF-8.", number) from None
    if END not in names:
        raise sections.error(
            f"the 1-grams lack {END}, so no text could end.", int(entries.numbers[-1:].sum())
        )
    unknown = next((name for name in SPELLINGS if name in names), None)
    symbols = tuple(name for name in names if name not in (START, END, unknown))
    size = len(symbols) + (unknown is not None) + 1
    ids = {name: index for index, name in enumerate(symbols)}
    ids |= {START: size, END: size - 1}
    if unknown is not None:
        ids[unknown] = size - 2
    return _Words(symbols, unknown is not None, np.array([ids[name] for name in names]))


def _unigrams(entries: Entries, words: _Words) -> OrderTable:
    log_probs, log_backoffs = np.zeros((2, words.size + 1), np.float32)
    log_probs[words.ids] = _nats(entries.log_probs)
    log_backoffs[words.ids] = _nats(entries.backoffs)
    # The boundary has the probability of </s>, and as a context the back-off weight of <s>.
    log_backoffs[words.size - 1] = log_backoffs[words.size]
    return OrderTable(np.arange(words.size), log_probs[:-1], log_backoffs[:-1])


def _table(
    sections: Sections, entries: Entries, words: _Words, shorter: list[OrderTable]
) -> OrderTable:
    """Convert the n-grams of one order; their prefixes must be in the shorter tables."""
    size, start, end = words.size, words.size, words.size - 1
    ids = words.ids[entries.places]
    # Some programs list n-grams with <s> inside, or that go on after </s>; no text contains them.
    asked = ~((ids[:, 1:] == start).any(axis=1) | (ids[:, :-1] == end).any(axis=1))
    ids, numbers = ids[asked], entries.numbers[asked]
    ids[ids == start] = end
    prefixes = ids[:, 0]
    for table, word in zip(shorter[1:], ids.T[1:-1], strict=True):
        prefixes = find(table.keys, prefixes, word, size)
    problem = "an n-gram is listed whose beginning is not listed one order below."
    sections.refuse(prefixes < 0, numbers, problem)
    # Our tables hold an n-gram as one number: the index of its prefix one order below, times V,
    # plus its last word.
    keys = prefixes * size + ids[:, -1]
    order = np.argsort(keys, kind="stable")
    again = np.zeros(len(keys), bool)
    again[order[1:]] = np.diff(keys[order]) == 0
    sections.refuse(again, numbers, "an n-gram is listed twice.")
    chosen = np.flatnonzero(asked)[order]
    # Nothing follows </s>, so back-off weights of n-grams that end with it are never used.
    log_backoffs = np.where(ids[order, -1] == end, 0, _nats(entries.backoffs[chosen]))
    return OrderTable(keys[order], _nats(entries.log_probs[chosen]), log_backoffs)


def check_logarithms(entries: Entries, error: Callable[[str, int], TextError]) -> None:
    """Raise the error of the first entry whose probability or back-off weight is out of range."""
    # Products of larger back-off weights could overflow; estimated weights are far below.
    for bad, problem in (
        (~(entries.log_probs <= 0), "a log10 probability must be a number from 0 down."),
        (~(entries.backoffs < -NEVER), f"a back-off weight must be a number below {-NEVER:g}."),
    ):
        if bad.any():
            raise error(problem, int(entries.numbers[bad.argmax()]))
