"""Splitting text into words, a whole chunk at once, without a Python string per word.

Each character is a letter, white space, an apostrophe or another mark; the beginnings and ends of
words follow by comparing the classes of neighbours. The definition of white space depends on the
setting ``word_split``:

    whitespace    space, tab, line feed, vertical tab, form feed and carriage return, as KenLM and
                  programs in C do; a no-break space or an ideographic space is part of a word
    punctuation   all white space of Unicode (``str.isspace``)

A word is identified by a 64-bit polynomial hash, computed for all words by one cumulative sum: with
r a pseudo-random number per character and M odd,

    hash(a, b) = M^-a (sum of r[c_i] M^i for a <= i < b)   modulo 2^64

does not depend on the position of the word. The probability that two of a million words share a
hash, and would be one word, is about 10^-7.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np

from thence._core import library
from thence._core import words as core_words
from thence.array_types import Bool, Int64, Integer, UInt, UInt8, UInt64
from thence.corpus import Documents
from thence.tokens.characters import code_points
from thence.tokens.symbols import documents_of_symbols

WordSplit = Literal["whitespace", "punctuation"]

Edition = Literal[1, 2]
"""Edition of the word-splitting rules: 1 is that of version 0.1, whose runs keep it. In it
``whitespace`` splits at all white space of Unicode, and of ``SYMBOLS`` only those of letters
between ``<`` and ``>`` are one word."""
LATEST: Edition = 2
"""Edition of new tokenizers."""
SYMBOLS = (
    "<unk>", "<UNK>", "[UNK]", "<s>", "</s>", "<eos>", "</eos>", "<pad>", "[PAD]", "<boundary>",
)  # fmt: skip
"""Symbols in tokenized texts for rare words, or for the beginnings and ends of sentences. Between
white space such a symbol is one word, however words are split."""
NO_TAGS = tuple(symbol for symbol in SYMBOLS if not symbol[1:-1].isalpha() or symbol[0] != "<")
"""The symbols that are no tags (letters between ``<`` and ``>``, which are joined everywhere)."""
LETTER, SPACE, COMBINING, APOSTROPHE, ASCII_SPACE = 1, 2, 4, 8, 16
"""Classes of characters, as bits; a character without a class is a mark."""
STEP = 1 << 16
"""Powers of M are cached for chunk lengths rounded up to a multiple of this."""
_TABLE_SIZES = (0x80, 0x110000)
"""Sizes of tables by code point: ASCII only, or all of Unicode."""
ASCII_SPACES = " \t\n\v\f\r"
JOINERS = "\u200c\u200d"
"""Zero-width non-joiner and joiner: they are inside words, as in Persian."""
MULTIPLIER = 0x9E3779B97F4A7C15
"""M of the hash: 2^64 divided by the golden ratio, odd."""
INVERSE = pow(MULTIPLIER, -1, 1 << 64)
"""M^-1 modulo 2^64."""

Points = UInt[np.ndarray, " characters"]
Edges = Bool[np.ndarray, " edges"]
Places = Int64[np.ndarray, " words"]


@dataclass(frozen=True)
class FoundWords:
    """The words of a chunk.

    Attributes:
        text: The text of the chunk.
        starts: Position of the first character of each word.
        ends: Position after its last character.
        hashes: The hash of each word; equal words have equal hashes.
        lengths: Number of words of each document.
    """

    text: str
    starts: Int64[np.ndarray, " words"]
    ends: Int64[np.ndarray, " words"]
    hashes: UInt64[np.ndarray, " words"]
    lengths: Int64[np.ndarray, " documents"]

    def words(self, at: Int64[np.ndarray, " chosen"]) -> list[str]:
        """Return the words of the given indices as strings."""
        places = zip(self.starts[at].tolist(), self.ends[at].tolist(), strict=True)
        return [self.text[start:end] for start, end in places]


def find_words(chunk: Documents, split: WordSplit, edition: Edition = LATEST) -> FoundWords:
    """Return the words of a compact chunk.

    With ``punctuation`` every mark is a word, with these exceptions: a tag such as ``<unk>`` and
    ``SYMBOLS`` between white space are one word, an apostrophe between letters belongs to the word,
    and accents and vowel signs belong to their letter.
    """
    text = chunk.text.tobytes().decode("utf-8")
    if library() is not None:
        rules = core_rules(split, edition, len(text) == len(chunk.text))
        return FoundWords(text, *core_words.find_words(rules, chunk.text, chunk.ends))
    return FoundWords(text, *find_words_in_numpy(chunk, split, edition))


@cache
def core_rules(split: WordSplit, edition: Edition, ascii_only: bool) -> core_words.Rules:
    """Return the rules in the form of the compiled core; ASCII text needs only small tables."""
    size = _TABLE_SIZES[0 if ascii_only else 1]
    if split == "whitespace":
        rule = core_words.BY_SPACE if edition == 1 else core_words.BY_ASCII_SPACE
    else:
        rule = core_words.APART if edition == 1 else core_words.APART_WITH_SYMBOLS
    return core_words.Rules.of(class_table(size), _scramble_table(size), MULTIPLIER, rule)


def find_words_in_numpy(
    chunk: Documents, split: WordSplit, edition: Edition
) -> tuple[Places, Places, UInt64[np.ndarray, " words"], Int64[np.ndarray, " documents"]]:
    """Return starts, ends, hashes and lengths; the NumPy twin of the C kernel ``find_words``."""
    points, sizes = code_points(chunk)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    edges = np.zeros(len(points) + 1, bool)
    edges[bounds] = True
    if split == "whitespace":
        space = SPACE if edition == 1 else ASCII_SPACE
        starts, ends = _runs(_classes(points) & space == 0, edges)
    else:
        starts, ends = _apart(points, edges)
        if edition > 1:
            starts, ends = _join_symbols(points, edges, starts, ends)
    lengths = np.diff(np.searchsorted(starts, bounds))
    return starts, ends, hash_words(points, starts, ends), lengths


def hash_strings(strings: Sequence[str]) -> UInt64[np.ndarray, " words"]:
    """Return the hashes of words given as strings."""
    return np.concatenate([np.zeros(0, np.uint64), *string_hashes(strings)])


def string_hashes(strings: Sequence[str]) -> Iterator[UInt64[np.ndarray, " some"]]:
    """Yield the hashes of words given as strings, those of some at a time."""
    for chunk in documents_of_symbols(strings).chunks(STEP):
        points, sizes = code_points(chunk)
        ends = np.cumsum(sizes)
        yield hash_words(points, ends - sizes, ends)


def hash_words(points: Points, starts: Places, ends: Places) -> UInt64[np.ndarray, " words"]:
    """Return the hash of each word."""
    powers, inverses = _powers((len(points) // STEP + 1) * STEP)
    sums = np.zeros(len(points) + 1, np.uint64)
    is_ascii = points.dtype == np.uint8  # Of the other table, which is large, few are needed.
    scrambled = _scramble_table(_TABLE_SIZES[0])[points] if is_ascii else _scramble(points)
    np.cumsum(scrambled * powers[: len(points)], out=sums[1:])
    hashes: UInt64[np.ndarray, " words"] = (sums[ends] - sums[starts]) * inverses[starts]
    return hashes


def _apart(points: Points, edges: Edges) -> tuple[Places, Places]:
    """Return the starts and ends of words and marks, for ``punctuation``."""
    classes = _classes(points)
    letters = classes & (LETTER | COMBINING) != 0
    # Characters between two letters of one document: an apostrophe there is part of the word.
    between = np.zeros(len(points), bool)
    between[1:-1] = letters[:-2] & letters[2:] & ~edges[1:-2] & ~edges[2:-1]
    inside = letters | (between & (classes & APOSTROPHE != 0))
    starts, ends = _runs(inside, edges)
    marks = np.flatnonzero(~inside & (classes & SPACE == 0))
    starts, ends = np.concatenate([starts, marks]), np.concatenate([ends, marks + 1])
    order = np.argsort(starts, kind="stable")
    return _join_tags(points, classes, edges, starts[order], ends[order])


def _runs(inside: Bool[np.ndarray, " characters"], edges: Edges) -> tuple[Places, Places]:
    """Return the starts and ends of runs of True in a mask; a document's edge ends a run."""
    begins, stops = inside & edges[:-1], inside & edges[1:]
    begins[1:] |= inside[1:] & ~inside[:-1]
    stops[:-1] |= inside[:-1] & ~inside[1:]
    return np.flatnonzero(begins), np.flatnonzero(stops) + 1


def _join_tags(
    points: Points,
    classes: UInt8[np.ndarray, " characters"],
    edges: Edges,
    starts: Places,
    ends: Places,
) -> tuple[Places, Places]:
    """Join adjacent ``<``, a word of letters and ``>`` into one word."""
    opening = np.flatnonzero(points[starts] == ord("<"))
    opening = opening[opening < len(starts) - 2]
    word, closing = opening + 1, opening + 2
    joined = (ends[opening] == starts[word]) & (ends[word] == starts[closing])
    joined &= points[starts[closing]] == ord(">")
    joined &= ~edges[starts[word]] & ~edges[starts[closing]]
    plain = np.concatenate([np.zeros(1, np.int64), np.cumsum(classes & LETTER != 0)])
    joined &= plain[ends[word]] - plain[starts[word]] == ends[word] - starts[word]
    opening = opening[joined]
    ends[opening] = ends[opening + 2]
    gone = np.concatenate([opening + 1, opening + 2])
    return np.delete(starts, gone), np.delete(ends, gone)


def _join_symbols(
    points: Points, edges: Edges, starts: Places, ends: Places
) -> tuple[Places, Places]:
    """Join the words that together are one of ``NO_TAGS`` between white space."""
    table, size = class_table(_table_size(points)), len(points)
    slash = np.append(points[1:] == ord("/"), False)
    opening = np.flatnonzero((points == ord("[")) | ((points == ord("<")) & slash))
    opening = opening[edges[opening] | (table[points[opening - 1]] & SPACE != 0)]
    if not len(opening):
        return starts, ends
    # Differences of a counter that is above 0 for words inside a symbol, which are removed.
    inner = np.zeros(len(starts) + 1, np.int64)
    for symbol in NO_TAGS:
        first = opening[opening + len(symbol) <= size]
        last = first + len(symbol)
        spelled = np.array([ord(character) for character in symbol])
        same = (points[first[:, None] + np.arange(len(symbol))] == spelled).all(axis=1)
        same &= edges[last] | (table[points[np.minimum(last, size - 1)]] & SPACE != 0)
        same &= ~edges[first[:, None] + np.arange(1, len(symbol))].any(axis=1)
        words, beyond = np.searchsorted(starts, [first[same], last[same]])
        ends[words] = last[same]
        inner[words + 1] += 1
        inner[beyond] -= 1
    kept = np.cumsum(inner[:-1]) == 0
    return starts[kept], ends[kept]


def _classes(points: Points) -> UInt8[np.ndarray, " characters"]:
    classes: UInt8[np.ndarray, " characters"]
    classes = class_table(_table_size(points))[points]
    return classes


def _table_size(points: Points) -> int:
    """Return the size of the table for these code points: a small one stays in the cache."""
    return _TABLE_SIZES[0 if points.dtype == np.uint8 else 1]


@cache
def class_table(size: int) -> UInt8[np.ndarray, " points"]:
    """Return the class bits of the code points from 0 to size - 1."""
    every = "".join(map(chr, range(size)))
    table = np.zeros(size, np.uint8)
    patterns = {
        r"\w+": LETTER,
        r"\s+": SPACE,
        "['’]": APOSTROPHE,
        f"[{ASCII_SPACES}]": ASCII_SPACE,
    }
    for pattern, kind in patterns.items():
        for run in re.finditer(pattern, every):
            table[run.start() : run.end()] |= kind
    # Unicode has combining marks only in these ranges.
    for point in (*range(0x300, min(size, 0x1F000)), *range(0xE0100, min(size, 0xE01F0))):
        if unicodedata.category(chr(point))[0] == "M" or chr(point) in JOINERS:
            table[point] |= COMBINING
    return table


@cache
def _scramble_table(size: int) -> UInt64[np.ndarray, " points"]:
    """Return ``_scramble`` of each of the first code points."""
    return _scramble(np.arange(size))


def _scramble(points: Integer[np.ndarray, " points"]) -> UInt64[np.ndarray, " points"]:
    """Return a pseudo-random number for each code point: the output function of SplitMix64."""
    numbers: UInt64[np.ndarray, " points"] = points.astype(np.uint64)
    numbers += np.uint64(1)
    numbers *= np.uint64(MULTIPLIER)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers ^= numbers >> np.uint64(shift)
        numbers *= np.uint64(factor)
    numbers ^= numbers >> np.uint64(31)
    return numbers


@lru_cache(maxsize=2)
def _powers(size: int) -> tuple[UInt64[np.ndarray, " powers"], UInt64[np.ndarray, " powers"]]:
    """Return the powers of the multiplier and of its inverse, modulo 2^64."""
    raised = []
    for base in (MULTIPLIER, INVERSE):
        factors: Integer[np.ndarray, " powers"] = np.full(size, base, np.uint64)
        factors[0] = 1
        raised.append(np.cumprod(factors))
    return raised[0], raised[1]
