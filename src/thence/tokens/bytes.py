"""Bytes: one token per byte of UTF-8; nothing is ever unknown."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from thence.corpus import Documents
from thence.tokens.unknowns import Encoded
from thence.tokens.vocabulary import Vocabulary


@dataclass(frozen=True)
class ByteTokenizer:
    """Text as bytes.

    Attributes:
        vocabulary: No ordinary symbols, the 256 bytes and the boundary (V = 257).
    """

    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary((), "bytes"))

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the bytes of all documents and how many each has."""
        return chunk.text, chunk.ends - chunk.starts

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; bytes that are not valid UTF-8 show as U+FFFD."""
        return bytes(index for index in ids if index < 256).decode("utf-8", errors="replace")
