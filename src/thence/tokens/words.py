"""Words: split on white space, or with punctuation set apart.

A text repeats its words, so punctuation is set apart and the vocabulary asked once for each
distinct piece of a chunk (what stands between white space), not once for each place.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, repeat
from typing import Literal

import numpy as np
from jaxtyping import Int64

from thence.corpus import Documents
from thence.tokens.characters import strings
from thence.tokens.unknowns import Encoded, resolve_unknowns
from thence.tokens.vocabulary import UNKNOWN, Vocabulary

WordSplit = Literal["whitespace", "punctuation"]

_SPACE_BEFORE_MARK = re.compile(r" ([.,;:!?%)\]}’”])")
_SPACE_AFTER_BRACKET = re.compile(r"([(\[{“]) ")


# A tag such as <unk> stays whole, an apostrophe inside a word stays with it, and every other
# mark is a word of its own.
_WORD_OR_MARK = re.compile(r"<\w+>|\w+(?:['’]\w+)*|[^\w\s]")


def splitter(split: WordSplit) -> Callable[[str], list[str]]:
    """Return the function that cuts a text into words.

    >>> splitter("punctuation")("Don't stop, <unk>!")
    ["Don't", 'stop', ',', '<unk>', '!']
    """
    return str.split if split == "whitespace" else _set_marks_apart


def _set_marks_apart(text: str) -> list[str]:
    if text.isascii() or _combining().isdisjoint(text):
        return _WORD_OR_MARK.findall(text)
    return _word_or_mark_with_combining().findall(text)


@cache
def _combining() -> frozenset[str]:
    """Return what belongs to the letter before it although no letter itself."""
    # Nothing below U+0300 combines, and nothing from U+1F000 up but the last range.
    points = [*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0)]
    marks = [chr(point) for point in points if unicodedata.category(chr(point))[0] == "M"]
    return frozenset([*marks, "\u200c", "\u200d"])


@cache
def _word_or_mark_with_combining() -> re.Pattern[str]:
    # Without accents and vowel signs, which \w lacks, every word of Hindi or Thai would fall apart.
    # So large a class is slow, and is used only where it is needed.
    word = rf"[\w{''.join(sorted(_combining()))}]+"
    return re.compile(rf"<\w+>|{word}(?:['’]{word})*|[^\w\s]")


@dataclass(frozen=True)
class WordTokenizer:
    """Text as words.

    Attributes:
        vocabulary: Its symbols are words, most frequent first.
        split: ``whitespace``, or ``punctuation`` to set marks apart.
    """

    vocabulary: Vocabulary
    split: WordSplit = "punctuation"

    @cached_property
    def _table(self) -> dict[str, int]:
        return self.vocabulary.table()

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the ids of all words and how many each document has."""
        found = find_words(chunk, self.split)
        lookup = map(self._table.get, found.words, repeat(-1))
        ids = np.fromiter(lookup, np.int32, len(found.words))[found.which]
        # A word spelled in bytes ends in a space, which no word holds.
        return resolve_unknowns(
            ids, found.lengths, self.vocabulary, lambda at: found.words[found.which[at]], b" "
        )

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words of ids joined by single spaces, marks set back against their word."""
        text = " ".join(self._words(ids))
        if self.split == "whitespace":
            return text
        return _SPACE_AFTER_BRACKET.sub(r"\1", _SPACE_BEFORE_MARK.sub(r"\1", text))

    def _words(self, ids: Iterable[int]) -> Iterable[str]:
        first_byte = self.vocabulary.first_byte_id
        spelled = bytearray()
        for index in chain(ids, [self.vocabulary.boundary_id]):
            byte = -1 if first_byte is None else index - first_byte
            if 0 <= byte < 256:
                spelled.append(byte)
            # A model may break off a spelling; what it has of the word comes all the same.
            if spelled and (not 0 <= byte < 256 or byte == ord(" ")):
                yield spelled.removesuffix(b" ").decode("utf-8", errors="replace")
                spelled.clear()
            if index < len(self.vocabulary.symbols):
                yield self.vocabulary.symbols[index]
            elif index == self.vocabulary.unknown_id:
                yield UNKNOWN


def count_words(chunks: Iterable[Documents], split: WordSplit) -> Counter[str]:
    """Count every word of the given chunks."""
    totals: Counter[str] = Counter()
    for chunk in chunks:
        found = find_words(chunk, split)
        counts = np.bincount(found.which, minlength=len(found.words))
        for word, count in zip(found.words, counts.tolist(), strict=True):
            totals[word] += count
    return totals


@dataclass(frozen=True)
class FoundWords:
    """The words of a chunk.

    Attributes:
        words: Words, nearly all of them distinct.
        which: Which of them stands at each place of the text.
        lengths: Words of each document.
    """

    words: list[str]
    which: Int64[np.ndarray, " places"]
    lengths: Int64[np.ndarray, " documents"]


def find_words(chunk: Documents, split: WordSplit) -> FoundWords:
    """Cut a compact chunk into words."""
    documents = [text.split() for text in strings(chunk)]
    lengths = np.fromiter(map(len, documents), np.int64, len(documents))
    number: defaultdict[str, int] = defaultdict()
    number.default_factory = number.__len__  # A piece met for the first time gets the next number.
    pieces = map(number.__getitem__, chain.from_iterable(documents))
    which = np.fromiter(pieces, np.int64, lengths.sum())
    distinct = list(number)
    if split == "whitespace":
        return FoundWords(distinct, which, lengths)

    # Every character of a piece is in one of its words, so the lengths tell whose word is whose.
    words = splitter(split)(" ".join(distinct))
    piece_ends = np.cumsum(np.fromiter(map(len, distinct), np.int64, len(distinct)))
    word_ends = np.cumsum(np.fromiter(map(len, words), np.int64, len(words)))
    firsts = np.searchsorted(word_ends, np.append(0, piece_ends), "right")
    sizes = np.diff(firsts)[which]
    places = np.append(0, np.cumsum(sizes))
    expanded = np.repeat(firsts[which] - places[:-1], sizes) + np.arange(places[-1])
    bounds = places[np.append(0, np.cumsum(lengths))]
    return FoundWords(words, expanded, np.diff(bounds))
