"""Characters: one token per Unicode code point."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Integer, UInt

from thence.corpus import Documents
from thence.tokens.unknowns import Encoded, resolve_unknowns, spell_bytes
from thence.tokens.vocabulary import Vocabulary

CODE_POINTS = 0x110000


@dataclass(frozen=True)
class CharacterTokenizer:
    """Text as code points.

    Attributes:
        vocabulary: Its symbols are single characters, in order of code point.
    """

    vocabulary: Vocabulary

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the ids of all characters and how many each document has."""
        points, lengths = code_points(chunk)
        table = np.full(CODE_POINTS, -1, np.int32)
        table[[ord(symbol) for symbol in self.vocabulary.symbols]] = np.arange(
            len(self.vocabulary.symbols)
        )
        ids = table[points]
        return resolve_unknowns(ids, lengths, self.vocabulary, lambda at: chr(points[at]))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; special symbols are left out, ``<unk>`` shows as U+FFFD."""
        return spell_bytes(ids, self.vocabulary, "\ufffd")


def code_points(
    chunk: Documents,
) -> tuple[UInt[np.ndarray, " characters"], Int64[np.ndarray, " documents"]]:
    """Return the code points of a compact chunk and how many each document has."""
    lengths = chunk.ends - chunk.starts
    if len(chunk.text) == 0 or chunk.text.max() < 0x80:
        return chunk.text, lengths
    starts_character = np.concatenate([np.zeros(1, np.int64), np.cumsum(chunk.text & 0xC0 != 0x80)])
    text = chunk.text.tobytes().decode("utf-8")
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return points, starts_character[chunk.ends] - starts_character[chunk.starts]


def count_characters(documents: Iterable[Documents]) -> dict[str, int]:
    """Count every character of the given chunks."""
    totals: Integer[np.ndarray, " points"] = np.zeros(CODE_POINTS, np.int64)
    for chunk in documents:
        counts = np.bincount(code_points(chunk)[0])
        totals[: len(counts)] += counts
    return Counter({chr(point): int(totals[point]) for point in np.flatnonzero(totals)})
