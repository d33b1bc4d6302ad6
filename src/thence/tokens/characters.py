"""Characters, one token per Unicode code point; and bytes, one token per byte of UTF-8."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from thence._core import library
from thence._core import words as core_words
from thence.array_types import Int32, Int64, Integer, UInt
from thence.corpus import Documents
from thence.tokens.vocabulary import Encoded, Vocabulary, resolve_unknowns, spell_bytes

CODE_POINTS = 0x110000


@dataclass(frozen=True)
class CharacterTokenizer:
    """Text as code points.

    Attributes:
        vocabulary: Its symbols are single characters, in order of code point.
    """

    vocabulary: Vocabulary

    @cached_property
    def table(self) -> Int32[np.ndarray, " points"]:
        """Id of each code point; -1 if it has none."""
        table = np.full(CODE_POINTS, -1, np.int32)
        points = [ord(symbol) for symbol in self.vocabulary.symbols]
        table[points] = np.arange(len(points))
        return table

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the ids of all characters, and the number of characters of each document."""
        points, lengths = code_points(chunk)
        ids = self.table[points]
        return resolve_unknowns(ids, lengths, self.vocabulary, lambda at: chr(points[at]))

    def unknown_symbols(self, chunk: Documents) -> list[str]:
        """Return the characters of a compact chunk that have no id, in order."""
        points = code_points(chunk)[0]
        return list(map(chr, points[self.table[points] == -1].tolist()))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; special symbols are left out, ``<unk>`` shows as U+FFFD."""
        return spell_bytes(ids, self.vocabulary, "\ufffd")


@dataclass(frozen=True)
class ByteTokenizer:
    """Text as bytes: nothing is ever unknown.

    Attributes:
        vocabulary: No ordinary symbols, the 256 bytes and the boundary (V = 257).
    """

    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary((), "bytes"))

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the bytes of all documents, and the number of bytes of each document."""
        return chunk.text, chunk.ends - chunk.starts

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; bytes that are not valid UTF-8 show as U+FFFD."""
        return bytes(index for index in ids if index < 256).decode("utf-8", errors="replace")


def strings(chunk: Documents) -> list[str]:
    """Return the documents of a compact chunk as strings; one call decodes them all."""
    text = chunk.text.tobytes().decode("utf-8")
    starts, ends = chunk.starts, chunk.ends
    if len(text) < len(chunk.text):
        places = character_places(chunk)
        starts, ends = places[starts], places[ends]
    return [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


def character_places(chunk: Documents) -> Int64[np.ndarray, " places"]:
    """Return the number of characters before each byte of a compact chunk, shape (bytes + 1,).

    Every byte but the continuation bytes of UTF-8 (10xxxxxx) begins a character.
    """
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(chunk.text & 0xC0 != 0x80)])


def character_counts(chunk: Documents) -> Int64[np.ndarray, " documents"]:
    """Return the number of characters of each document of a compact chunk."""
    if is_ascii(chunk):
        lengths: Int64[np.ndarray, " documents"] = chunk.ends - chunk.starts
        return lengths
    if library() is not None:
        return core_words.count_characters(chunk.text, chunk.ends)
    places = character_places(chunk)
    counts: Int64[np.ndarray, " documents"] = places[chunk.ends] - places[chunk.starts]
    return counts


def is_ascii(chunk: Documents) -> bool:
    """Return whether every character of a compact chunk is one byte."""
    return len(chunk.text) == 0 or int(chunk.text.max()) < 0x80


def code_points(
    chunk: Documents,
) -> tuple[UInt[np.ndarray, " characters"], Int64[np.ndarray, " documents"]]:
    """Return the code points of a compact chunk, and the number of them in each document."""
    if is_ascii(chunk):
        return chunk.text, character_counts(chunk)
    text = chunk.text.tobytes().decode("utf-8")
    return np.frombuffer(text.encode("utf-32-le"), "<u4"), character_counts(chunk)


def count_characters(documents: Iterable[Documents]) -> dict[str, int]:
    """Return how often each character occurs in the given chunks."""
    totals: Integer[np.ndarray, " points"] = np.zeros(0, np.int64)
    for chunk in documents:
        counts = np.bincount(code_points(chunk)[0])
        if len(counts) > len(totals):  # The array is only as long as the highest code point needs.
            counts[: len(totals)] += totals
            totals = counts
        else:
            totals[: len(counts)] += counts
    return Counter({chr(point): int(totals[point]) for point in np.flatnonzero(totals)})
