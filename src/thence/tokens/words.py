"""Words: split on white space, or with punctuation set apart."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat

import numpy as np

from thence.corpus import Documents
from thence.tokens.cutting import WordSplit, find_words
from thence.tokens.unknowns import Encoded, resolve_unknowns
from thence.tokens.vocabulary import UNKNOWN, Vocabulary

_SPACE_BEFORE_MARK = re.compile(r" ([.,;:!?%)\]}’”])")
_SPACE_AFTER_BRACKET = re.compile(r"([(\[{“]) ")


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
