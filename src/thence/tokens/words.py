"""Words: split on white space, or with punctuation set apart."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Literal

import numpy as np

from thence.corpus import Documents
from thence.tokens.unknowns import Encoded, resolve_unknowns
from thence.tokens.vocabulary import UNKNOWN, Vocabulary

WordSplit = Literal["whitespace", "punctuation"]

# A tag such as <unk> stays whole, an apostrophe inside a word stays with it, and every other
# mark is a word of its own.
_WORD_OR_MARK = re.compile(r"<\w+>|\w+(?:['’]\w+)*|[^\w\s]")
_SPACE_BEFORE_MARK = re.compile(r" ([.,;:!?%)\]}’”])")
_SPACE_AFTER_BRACKET = re.compile(r"([(\[{“]) ")


def splitter(split: WordSplit) -> Callable[[str], list[str]]:
    """Return the function that cuts a text into words.

    >>> splitter("punctuation")("Don't stop, <unk>!")
    ["Don't", 'stop', ',', '<unk>', '!']
    """
    return str.split if split == "whitespace" else _WORD_OR_MARK.findall


@dataclass(frozen=True)
class WordTokenizer:
    """Text as words.

    Attributes:
        vocabulary: Its symbols are words, most frequent first.
        split: ``whitespace``, or ``punctuation`` to set marks apart.
    """

    vocabulary: Vocabulary
    split: WordSplit = "punctuation"

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the ids of all words and how many each document has."""
        documents = list(map(splitter(self.split), chunk))
        lengths = np.fromiter(map(len, documents), np.int64, len(documents))
        words = list(chain.from_iterable(documents))
        lookup = map(self.vocabulary.table().get, words, repeat(-1))
        ids = np.fromiter(lookup, np.int32, len(words))
        # A word spelled in bytes ends in a space, which no word holds.
        return resolve_unknowns(ids, lengths, self.vocabulary, lambda at: words[at], b" ")

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words of ids joined by single spaces, marks set back against their word."""
        text = " ".join(self._words(ids))
        if self.split == "whitespace":
            return text
        return _SPACE_AFTER_BRACKET.sub(r"\1", _SPACE_BEFORE_MARK.sub(r"\1", text))

    def _words(self, ids: Iterable[int]) -> Iterable[str]:
        spelled = bytearray()
        for index in ids:
            if index < len(self.vocabulary.symbols):
                yield self.vocabulary.symbols[index]
            elif index == self.vocabulary.unknown_id:
                yield UNKNOWN
            elif self.vocabulary.first_byte_id is not None and index != self.vocabulary.boundary_id:
                spelled.append(index - self.vocabulary.first_byte_id)
                if spelled.endswith(b" "):
                    yield spelled[:-1].decode("utf-8", errors="replace")
                    spelled.clear()
        if spelled:
            yield spelled.decode("utf-8", errors="replace")


def count_words(chunks: Iterable[Documents], split: WordSplit) -> Counter[str]:
    """Count every word of the given chunks."""
    counts: Counter[str] = Counter()
    for chunk in chunks:
        counts.update(chain.from_iterable(map(splitter(split), chunk)))
    return counts
