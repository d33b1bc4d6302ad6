"""The symbols of a vocabulary by id: a tuple of strings; if there are many, one text with offsets.

A Python string takes about 70 bytes beside its letters, so millions of words are kept as bytes, and
a string is made when a symbol is looked up.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

import numpy as np

from thence.corpus import Documents

MANY = 1 << 17
"""From this many symbols on they are kept as bytes; fewer take at most 10 MB as strings, which are
faster to look up."""


class Symbols(Sequence[str]):
    """A sequence of many strings, kept as bytes.

    Args:
        words: The strings; each is a document.
        more: A few strings that follow, such as special symbols.
    """

    def __init__(self, words: Documents, more: tuple[str, ...] = ()) -> None:
        self.words, self.more = words, more
        # Indexing a memoryview is several times as fast as indexing an array.
        self._text = words.text.data
        self._starts, self._ends = words.starts.data, words.ends.data

    def __reduce__(self) -> tuple[Any, ...]:
        return Symbols, (self.words, self.more)

    def __len__(self) -> int:
        return len(self.words) + len(self.more)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self._slice(range(len(self))[index]))
        size = len(self._starts)
        if 0 <= index < size:
            return str(self._text[self._starts[index] : self._ends[index]], "utf-8")
        return self[range(len(self))[index]] if index < 0 else self.more[index - size]

    def _slice(self, places: range) -> Iterable[str]:
        if places.step != 1:
            return map(self.__getitem__, places)
        words, first, size = self.words, places.start, len(self.words)
        starts, ends = words.starts[first : places.stop], words.ends[first : places.stop]
        more = self.more[max(first - size, 0) : max(places.stop - size, 0)]
        return chain(Documents(words.text, starts, ends), more)

    def __iter__(self) -> Iterator[str]:
        return chain(self.words, self.more)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Symbols):
            return NotImplemented
        arrays = ("text", "starts", "ends")
        mine, others = ([getattr(one.words, name) for name in arrays] for one in (self, other))
        return self.more == other.more and all(map(np.array_equal, mine, others))

    def __hash__(self) -> int:
        return hash((len(self), self.more))

    def followed_by(self, more: Iterable[str]) -> "Symbols":
        """Return these symbols followed by more; the text is shared."""
        return Symbols(self.words, (*self.more, *more))


def symbols_of(words: Iterable[str]) -> Sequence[str]:
    """Return symbols in the form that vocabularies keep: a tuple, or ``Symbols`` if many."""
    if isinstance(words, Symbols):
        return words
    if not isinstance(words, Documents):
        words = tuple(words)
        if len(words) < MANY:
            return words
        words = pack([words])
    return tuple(words) if len(words) < MANY else Symbols(words)


def documents_of_symbols(symbols: Sequence[str]) -> Documents:
    """Return symbols as documents, one per symbol."""
    if not isinstance(symbols, Symbols):
        return pack([symbols])
    return Documents.join([symbols.words, pack([symbols.more])]) if symbols.more else symbols.words


def pack(parts: Iterable[Sequence[str]]) -> Documents:
    """Return the strings of several sequences as compact documents, one per string.

    >>> list(pack([["emma", "zoë"], ["ava"]]))
    ['emma', 'zoë', 'ava']
    """
    text, sizes = bytearray(), array("q", [0])
    for part in parts:
        joined = "".join(part)
        text += joined.encode("utf-8")
        sizes.extend(map(len, part if joined.isascii() else map(str.encode, part)))
    bounds = np.cumsum(np.frombuffer(sizes, np.int64))
    return Documents(np.frombuffer(text, np.uint8), bounds[:-1], bounds[1:])
