"""The tokenizer of words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from thence._core import words as core_words
from thence.corpus import Documents
from thence.tokens.hashing import HashTable
from thence.tokens.vocabulary import UNKNOWN, Encoded, Vocabulary, resolve_unknowns
from thence.tokens.word_splitting import (
    LATEST,
    Edition,
    WordSplit,
    core_rules,
    find_words,
    string_hashes,
)

_SPACE_BEFORE_MARK = re.compile(r" ([.,;:!?%)\]}’”])")
_SPACE_AFTER_BRACKET = re.compile(r"([(\[{“]) ")


@dataclass(frozen=True)
class WordTokenizer:
    """Text as words.

    Attributes:
        vocabulary: Its symbols are words, most frequent first.
        split: ``whitespace``, or ``punctuation`` to make marks words of their own.
        edition: Edition of the word-splitting rules.
    """

    vocabulary: Vocabulary
    split: WordSplit = "punctuation"
    edition: Edition = LATEST

    @cached_property
    def _ids(self) -> HashTable:
        symbols, done = self.vocabulary.symbols, 0
        ids = HashTable(len(symbols) + 1)
        unknown = [] if self.vocabulary.unknown_id is None else [UNKNOWN]
        for hashes in chain(string_hashes(symbols), string_hashes(unknown)):
            ids.add(hashes, np.arange(done, done := done + len(hashes), dtype=np.int32))
        return ids

    def core_words(self, ascii_only: bool) -> tuple[core_words.Rules, core_words.Table]:
        """Return the splitting rules and the table of ids, in the form of the compiled core."""
        return core_rules(self.split, self.edition, ascii_only), self._ids.core_table

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the ids of all words, and the number of tokens of each document."""
        found = find_words(chunk, self.split, self.edition)
        # A word spelled in bytes ends in a space, which no word contains.
        return resolve_unknowns(
            self._ids.find(found.hashes),
            found.lengths,
            self.vocabulary,
            lambda at: found.words(np.array([at]))[0],
            b" ",
        )

    def unknown_symbols(self, chunk: Documents) -> list[str]:
        """Return the words of a compact chunk that become ``<unk>``, in order."""
        found = find_words(chunk, self.split, self.edition)
        ids = self._ids.find(found.hashes)
        return found.words(np.flatnonzero((ids == -1) | self.vocabulary.are_unknown(ids)))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words of ids with single spaces, and marks attached to their word."""
        text = " ".join(self._words(ids))
        if self.split == "whitespace":
            return text
        return _SPACE_AFTER_BRACKET.sub(r"\1", _SPACE_BEFORE_MARK.sub(r"\1", text))

    def _words(self, ids: Iterable[int]) -> Iterable[str]:
        """Yield the words of ids; consecutive byte tokens are decoded together."""
        first_byte = self.vocabulary.first_byte_id
        spelled = bytearray()
        for index in chain(ids, [self.vocabulary.boundary_id]):
            byte = -1 if first_byte is None else index - first_byte
            if 0 <= byte < 256:
                spelled.append(byte)
            # A model may stop within a spelling; the part of the word is returned.
            if spelled and (not 0 <= byte < 256 or byte == ord(" ")):
                yield spelled.removesuffix(b" ").decode("utf-8", errors="replace")
                spelled.clear()
            if index < len(self.vocabulary.symbols):
                yield self.vocabulary.symbols[index]
            elif index == self.vocabulary.unknown_id:
                yield UNKNOWN
