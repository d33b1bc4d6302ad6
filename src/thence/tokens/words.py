"""Words: split on white space, or with punctuation set apart."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from thence._core import words as core_words
from thence.array_types import Int32
from thence.corpus import Documents
from thence.tokens.hashing import HashTable
from thence.tokens.vocabulary import UNKNOWN, Encoded, Vocabulary, resolve_unknowns
from thence.tokens.word_splitting import (
    LATEST,
    Edition,
    FoundWords,
    WordSplit,
    core_rules,
    find_words,
    hash_strings,
)

_SPACE_BEFORE_MARK = re.compile(r" ([.,;:!?%)\]}’”])")
_SPACE_AFTER_BRACKET = re.compile(r"([(\[{“]) ")


@dataclass(frozen=True)
class WordTokenizer:
    """Text as words.

    Attributes:
        vocabulary: Its symbols are words, most frequent first.
        split: ``whitespace``, or ``punctuation`` to set marks apart.
        edition: Of the rules by which words are found.
    """

    vocabulary: Vocabulary
    split: WordSplit = "punctuation"
    edition: Edition = LATEST

    @cached_property
    def _ids(self) -> HashTable:
        spelled = self.vocabulary.spelled
        ids = HashTable()
        ids.add(hash_strings(spelled), np.arange(len(spelled), dtype=np.int32))
        return ids

    def core_words(self, ascii_only: bool) -> tuple[core_words.Rules, core_words.Table]:
        """Return how words are found and numbered, as the compiled core needs it."""
        return core_rules(self.split, self.edition, ascii_only), self._ids.core_table

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the ids of all words and how many each document has."""
        found = find_words(chunk, self.split, self.edition)
        # A word spelled in bytes ends in a space, which no word holds.
        return resolve_unknowns(
            self._ids.find(found.hashes),
            found.lengths,
            self.vocabulary,
            lambda at: found.words(np.array([at]))[0],
            b" ",
        )

    def unknown_symbols(self, chunk: Documents) -> list[str]:
        """Return the words of a compact chunk whose id is that of ``<unk>``, in order."""
        found = find_words(chunk, self.split, self.edition)
        ids = self._ids.find(found.hashes)
        return found.words(np.flatnonzero((ids == -1) | self.vocabulary.are_unknown(ids)))

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


class WordCounter:
    """Gives each different word a number, in order of appearance, and counts it."""

    def __init__(self) -> None:
        self._numbers, self._words = HashTable(), list[str]()
        self._totals = np.zeros(1, np.int64)

    def add(self, found: FoundWords) -> Int32[np.ndarray, " words"]:
        """Count the words of a chunk; return their numbers."""
        numbers = self._numbers.find(found.hashes)
        unknown = np.flatnonzero(numbers < 0)
        hashes, first, back = np.unique(
            found.hashes[unknown], return_index=True, return_inverse=True
        )
        words = self._words
        fresh = np.arange(len(words), len(words) + len(hashes), dtype=np.int32)
        self._numbers.add(hashes, fresh)
        numbers[unknown] = fresh[back]
        words += found.words(unknown[first])
        if len(words) > len(self._totals):
            more = np.zeros(2 * len(words) - len(self._totals), np.int64)
            self._totals = np.concatenate([self._totals, more])
        np.add.at(self._totals, numbers, 1)
        return numbers

    def counts(self) -> dict[str, int]:
        """Return how often each word was seen, in order of number."""
        return dict(zip(self._words, self._totals.tolist(), strict=False))


def count_words(chunks: Iterable[FoundWords]) -> dict[str, int]:
    """Count every word of the given chunks."""
    counter = WordCounter()
    for found in chunks:
        counter.add(found)
    return counter.counts()
