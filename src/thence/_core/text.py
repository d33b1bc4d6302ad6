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
        log_prob: Of the text and its end, in nats.
        targets: Its tokens and its end.
        unknown: How many of them are the unknown symbol.
    """

    _fields_ = (("log_prob", ctypes.c_double), ("targets", Size), ("unknown", Size))
    log_prob: float
    targets: int
    unknown: int


class TextScorer:
    """Scores one text at a time.

    Args:
        tables: The model.
        unknown: Id of the unknown symbol; None: there is none.
        boundary: Id of the boundary.
        words: Rules and numbers of the words, if tokens are words.
        characters: The id of each code point, or -1, if tokens are characters.
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
        """Return the score of a text in UTF-8; None if the text has to go the long way."""
        score = TextScore()
        if self._call(self._place, text, len(text), ctypes.byref(score)):
            return None
        return score
