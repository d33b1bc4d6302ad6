"""The score of one text by the compiled core; ``text.c`` says how."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence._core.ngram import N, NGramTables
from thence._core.words import Rules, Table
from thence.array_types import Int32


class Reader(ctypes.Structure):
    """The tables that a text is read and scored with; the struct ``Reader`` of ``text.c``."""

    _fields_ = (
        ("rules", Rules), ("words", Table), ("characters", Pointer), ("num_characters", Size),
        ("unknown", Size), ("boundary", Size), ("orders", Pointer), ("V", Size), ("N", N),
    )  # fmt: skip


class TextScore(ctypes.Structure):
    """The score of a text.

    Attributes:
        log_prob: Log-probability of the text and its end, in nats.
        targets: Number of tokens, plus one for the end.
        unknown: Number of tokens that are the unknown symbol.
    """

    _fields_ = (("log_prob", ctypes.c_double), ("targets", Size), ("unknown", Size))
    log_prob: float
    targets: int
    unknown: int


class TextScorer:
    """Tokenises and scores single texts in C, with little overhead per text.

    Args:
        tables: The n-gram model.
        unknown: Id of the unknown symbol; None if there is none.
        boundary: Id of the boundary.
        words: For tokens that are words: the splitting rules, and the table of ids.
        characters: For tokens that are characters: the id of each code point, or -1.
    """

    def __init__(
        self,
        tables: NGramTables,
        unknown: int | None,
        boundary: int,
        words: tuple[Rules, Table] | None = None,
        characters: Int32[np.ndarray, " points"] | None = None,
    ) -> None:
        self._kept: tuple[Any, ...] = (tables, words, characters)
        reader = Reader(unknown=-1 if unknown is None else unknown, boundary=boundary)
        reader.orders, reader.N, reader.V = tables.model
        reader.words.bits = 1
        if words is not None:
            reader.rules, reader.words = words
        if characters is not None:
            reader.characters = address(characters, np.int32)
            reader.num_characters = len(characters)
        self._reader, self._place = reader, ctypes.addressof(reader)
        self._call: Callable[..., int] = function(
            "text_score", Pointer, ctypes.c_char_p, Size, Pointer
        )

    def score(self, text: bytes) -> TextScore | None:
        """Return the score of a text in UTF-8; None if C cannot score it and Python must."""
        score = TextScore()
        if self._call(self._place, text, len(text), ctypes.byref(score)):
            return None
        return score
