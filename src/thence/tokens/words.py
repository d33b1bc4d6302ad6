"""The tokenizer of words, and the counter of words that learns its vocabulary."""

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from thence._core import library
from thence._core import words as core_words
from thence.array_types import Int32, Int64, UInt64
from thence.corpus import Documents
from thence.tokens.hashing import HashTable
from thence.tokens.vocabulary import UNKNOWN, Encoded, Unknown, Vocabulary, resolve_unknowns
from thence.tokens.word_splitting import (
    LATEST,
    Edition,
    FoundWords,
    WordSplit,
    core_rules,
    find_words,
    hash_strings,
)

FIRST_BITS = 12
"""Initial slots of the hash table of counted words, as a power of 2; it doubles when half full."""
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
        hashes, ids = hash_strings(self.vocabulary.symbols), HashTable()
        if self.vocabulary.unknown_id is not None:
            hashes = np.append(hashes, hash_strings([UNKNOWN]))
        ids.add(hashes, np.arange(len(hashes), dtype=np.int32))
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


class WordCounter:
    """Numbers distinct words in order of appearance, and counts them.

    The words are kept as bytes: as Python strings they would take most of the memory when a large
    vocabulary is learned.
    """

    def __init__(self) -> None:
        self._numbers, self._size = HashTable(), 0
        self._totals = np.zeros(1 << (FIRST_BITS - 1), np.int64)
        self._numbers.enlarge(FIRST_BITS)
        self._bytes, self._bounds = bytearray(), array("q", [0])

    def __len__(self) -> int:
        return self._size

    @property
    def totals(self) -> Int64[np.ndarray, " words"]:
        """The count of each word, by number."""
        return self._totals[: self._size]

    @property
    def words(self) -> Documents:
        """The words by number, a view of the buffer: no word can be added while it exists."""
        bounds = np.frombuffer(self._bounds, np.int64)
        return Documents(np.frombuffer(self._bytes, np.uint8), bounds[:-1], bounds[1:])

    def add(self, found: FoundWords) -> Int32[np.ndarray, " words"]:
        """Count the words of a chunk; return their numbers."""
        numbers = np.empty(len(found.hashes), np.int32)
        done = 0
        while done < len(numbers):
            hashes, part = found.hashes[done:], numbers[done:]
            if library() is not None:
                table = self._numbers.core_table
                counted, fresh = core_words.count_words(
                    table, self._size, hashes, self._totals, part
                )
            else:
                counted, fresh = self.count_in_numpy(hashes, part)
            for word in found.words(done + fresh):
                self._bytes += word.encode("utf-8")
                self._bounds.append(len(self._bytes))
            self._size += len(fresh)
            done += counted
            if done < len(numbers):
                self._enlarge()
        return numbers

    def _enlarge(self) -> None:
        """Double the capacity."""
        self._totals = np.concatenate([self._totals, np.zeros_like(self._totals)])
        self._numbers.enlarge(len(self._totals).bit_length())

    def count_in_numpy(
        self, hashes: UInt64[np.ndarray, " words"], numbers: Int32[np.ndarray, " words"]
    ) -> tuple[int, Int64[np.ndarray, " fresh"]]:
        """Count all words and write their numbers; the NumPy twin of the C kernel ``count_words``.

        Returns:
            The number of words counted, and the positions of those that are new.
        """
        numbers[:] = self._numbers.find(hashes)
        unknown = np.flatnonzero(numbers < 0)
        _, first, back = np.unique(hashes[unknown], return_index=True, return_inverse=True)
        order = np.argsort(first)
        fresh = unknown[first[order]]
        of_hash = np.empty(len(order), np.int32)
        of_hash[order] = np.arange(self._size, self._size + len(order))
        while self._size + len(order) > len(self._totals):
            self._enlarge()
        self._numbers.add(hashes[fresh], of_hash[order])
        numbers[unknown] = of_hash[back]
        np.add.at(self._totals, numbers, 1)
        return len(numbers), fresh

    def counts(self) -> dict[str, int]:
        """Return the count of each word, in order of number."""
        return dict(zip(self.words, self.totals.tolist(), strict=True))

    def ordered(
        self, numbers: Int32[np.ndarray, " chosen"], by_count: bool
    ) -> Int32[np.ndarray, " chosen"]:
        """Return word numbers sorted by code points; ``by_count``: first by count, descending."""
        counts, all_words = self.totals if by_count else None, self.words
        if library() is not None:
            return core_words.sort_words(all_words.text, all_words.ends, numbers, counts)
        words = dict(zip(numbers.tolist(), all_words.take(numbers), strict=True))
        found = sorted(words, key=lambda at: (0 if counts is None else -counts[at], words[at]))
        return np.array(found, np.int32)

    def choose(
        self, max_size: int | None, min_count: int, unknown: Unknown
    ) -> tuple[Int32[np.ndarray, " kept"], Int32[np.ndarray, " left"]]:
        """Return the numbers of the words that ``choose_symbols`` chooses, and of the others.

        The hash table is freed to save memory, so nothing can be counted afterwards.
        """
        is_word = np.ones(self._size, bool)
        if unknown == "symbol":
            (placeholder,) = self._numbers.find(hash_strings([UNKNOWN]))
            if placeholder >= 0:
                is_word[placeholder] = False
        self._numbers = HashTable()
        kept = np.flatnonzero(is_word & (self.totals >= min_count)).astype(np.int32)
        kept = self.ordered(kept, by_count=True)[:max_size]
        is_word[kept] = False
        return kept, np.flatnonzero(is_word).astype(np.int32)


def count_words(chunks: Iterable[FoundWords]) -> WordCounter:
    """Return a counter of all words of the given chunks."""
    counter = WordCounter()
    for found in chunks:
        counter.add(found)
    return counter
