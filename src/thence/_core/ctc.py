"""The beam search of a CTC decoder by the compiled core; ``ctc.c`` says how."""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any
from weakref import finalize

import numpy as np

from thence._core import Pointer, Size, address, function
from thence._core.ngram import NGramTables
from thence.array_types import Float64, Int64

I32, F64 = ctypes.c_int32, ctypes.c_double
IMPOSSIBLE = -1
"""Number of ids that stands for a word that the model cannot read."""
Answer = tuple[tuple[int, ...] | None, bool]
"""The ids of a word, None if the model cannot read it, and whether it is unknown."""


class Settings(ctypes.Structure):
    """Settings of a beam search: the struct ``Settings`` of ``ctc.h``."""

    _fields_ = (
        ("orders", Pointer), ("V", Size), ("words", Pointer), ("kinds", Pointer),
        ("points", Pointer), ("starts", Pointer), ("labels", Size), ("alpha", F64), ("beta", F64),
        ("offset", F64), ("hot_weight", F64), ("prune", F64), ("min_log_prob", F64),
        ("width", Size), ("most", Size), ("other", Size), ("N", I32), ("history", I32),
        ("average", I32), ("boundary", I32), ("spelled", I32), ("begins", I32),
        ("letters", Pointer), ("firsts", Pointer), ("numbers", Pointer), ("num_letters", Size),
        ("unknown", Size),
    )  # fmt: skip


@cache
def _c(name: str) -> Callable[..., Any]:
    """Return a function of the search."""
    arguments: dict[str, tuple[Any, ...]] = {
        "ctc_words": (Pointer, Pointer, Pointer, Pointer, Size, Size),
        "ctc_words_free": (Pointer,),
        "ctc_search": (Pointer, Pointer, Pointer, Pointer, Size),
        "ctc_free": (Pointer,),
        "ctc_read": (Pointer, Pointer, Size),
        "ctc_finish": (Pointer,),
        "ctc_asked": (Pointer, Pointer, Size),
        "ctc_answer": (Pointer, Pointer, Size, I32),
        "ctc_count": (Pointer, I32),
        "ctc_sizes": (Pointer, I32, Size, Pointer),
        "ctc_write": (Pointer, I32, Size, Pointer, Pointer, Pointer, Pointer),
    }
    results: dict[str, Any] = {"ctc_words": Pointer, "ctc_search": Pointer, "ctc_words_free": None}
    results |= {"ctc_free": None, "ctc_finish": I32, "ctc_answer": I32}
    results |= {"ctc_sizes": I32, "ctc_write": I32}
    found: Callable[..., Any] = function(name, *arguments[name], result=results.get(name, Size))
    return found


def _points(texts: Sequence[str]) -> tuple[np.ndarray[Any, Any], Int64[np.ndarray, " _"]]:
    """Return the concatenated code points of texts, and the start of each."""
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return np.append(points, np.uint32(0)), np.concatenate([[0], np.cumsum(lengths)])


def _numbers(
    ids: Sequence[tuple[int, ...]],
) -> tuple[Int64[np.ndarray, " _"], Int64[np.ndarray, " _"]]:
    """Return the start of each sequence of ids, and all ids concatenated."""
    numbers = np.array([index for some in ids for index in some] + [0], np.int64)
    return np.cumsum([0, *map(len, ids)], dtype=np.int64), numbers


class KnownWords:
    """A lexicon in C: the words that a search knows, with their ids.

    Args:
        words: The words.
        ids: The ids of each, below ``vocabulary_size``.
        vocabulary_size: Number of ids (V).
    """

    def __init__(
        self, words: Sequence[str], ids: Sequence[tuple[int, ...]], vocabulary_size: int
    ) -> None:
        points, starts = _points(words)
        firsts, numbers = _numbers(ids)
        spelled = address(points, np.uint32), address(starts, np.int64)
        named = address(numbers, np.int64), address(firsts, np.int64)
        self.place = _c("ctc_words")(*spelled, *named, len(words), vocabulary_size)
        if not self.place:
            raise ValueError("there is no memory for the words, or their ids do not fit")
        finalize(self, _c("ctc_words_free"), self.place)


class BeamSearch:
    """A CTC prefix beam search that reads frames one block at a time.

    Args:
        labels: The kind of each label and its text.
        tables: The n-gram language model; None for no language model.
        state: The state of the language model before the first frame.
        words: The known words; None for no words.
        answer: Callback that returns the ids of any other word.
        hotwords: Words with a bonus, the shortest first.
        letters: For n-grams of characters or bytes: the ids of each character, and the id of
            unknown ones, or -1.
        **settings: The numeric fields of ``Settings``.
    """

    def __init__(
        self,
        labels: Sequence[tuple[int, str]],
        tables: NGramTables | None,
        state: Sequence[int],
        words: KnownWords | None,
        answer: Callable[[str], Answer],
        hotwords: Sequence[str],
        letters: tuple[Mapping[str, tuple[int, ...]], int] | None = None,
        **settings: float,
    ) -> None:
        self._answer, self._labels = answer, len(labels)
        kinds = np.array([kind for kind, _ in labels], np.int32)
        points, starts = _points([spelled for _, spelled in labels])
        hot_points, hot_starts = _points(hotwords)
        search = Settings(kinds=address(kinds, np.int32), points=address(points, np.uint32))
        search.starts, search.labels = address(starts, np.int64), len(labels)
        for name, value in settings.items():
            setattr(search, name, value)
        if tables is not None:
            search.orders, search.N, search.V = tables.model
        search.words = words.place if words is not None else None
        self._kept: Any = kinds, points, starts, tables, words
        if letters is not None:
            self._kept += self._spelled(search, *letters)
        self._numbers = tables.order - 1 if tables is not None else 0
        before = np.array([*state, 0], np.int64)
        arrays = (before.ctypes.data, hot_points.ctypes.data, hot_starts.ctypes.data)
        self._place = _c("ctc_search")(ctypes.addressof(search), *arrays, len(hotwords))
        if not self._place:
            raise ValueError("there is no memory for the search, or its settings do not fit")
        finalize(self, _c("ctc_free"), self._place)

    def _spelled(
        self, search: Settings, letters: Mapping[str, tuple[int, ...]], unknown: int
    ) -> tuple[Any, ...]:
        """Set the ids of characters in a search; return the arrays that must stay alive."""
        points, _ = _points(list(letters))
        firsts, numbers = _numbers(list(letters.values()))
        search.spelled, search.num_letters, search.unknown = 1, len(letters), unknown
        search.letters, search.firsts = address(points, np.uint32), address(firsts, np.int64)
        search.numbers = address(numbers, np.int64)
        return points, firsts, numbers

    def read(self, log_probs: Float64[np.ndarray, "frames labels"]) -> None:
        """Extend the beams by frames (frames x labels): log-probabilities of each label."""
        log_probs = np.ascontiguousarray(log_probs, np.float64)
        if log_probs.ndim != 2 or log_probs.shape[1] != self._labels:
            raise ValueError("a frame has a number for each label")
        while len(log_probs):
            done = _checked(_c("ctc_read")(self._place, log_probs.ctypes.data, len(log_probs)))
            log_probs = log_probs[done:]
            self._answer_all()

    def _answer_all(self) -> None:
        """Look up the ids of all words that the search has asked for."""
        while word := self._asked():
            ids, unknown = self._answer(word)
            numbers = np.array([*(ids or ()), 0], np.int64)
            count = IMPOSSIBLE if ids is None else len(ids)
            _checked(_c("ctc_answer")(self._place, numbers.ctypes.data, count, unknown))

    def _asked(self) -> str:
        room = 64
        while True:
            points = np.empty(room, np.uint32)
            length = _c("ctc_asked")(self._place, points.ctypes.data, room)
            if length <= room:
                return points[:length].tobytes().decode("utf-32-le", "surrogatepass")
            room = length

    def finish(self) -> int:
        """Finish the last words of all beams on copies of them; return how many beams there are."""
        while _checked(_c("ctc_finish")(self._place)):
            self._answer_all()
        return int(_c("ctc_count")(self._place, 1))

    def beam(
        self, number: int, finished: bool
    ) -> tuple[list[str], list[tuple[int, int]], float, float, list[int]]:
        """Return the words of a beam, their frames, its two scores and its language model state.

        Args:
            number: The rank of the beam; 0 is the best.
            finished: True for the beams of ``finish``; False for those after the last frame, whose
                last word may be incomplete or empty and has no frames.
        """
        sizes = np.empty(2, np.int64)
        _checked(_c("ctc_sizes")(self._place, finished, number, sizes.ctypes.data))
        points, frames = np.empty(sizes[0], np.uint32), np.empty((sizes[1], 2), np.int32)
        scores, state = np.empty(2), np.empty(self._numbers, np.int64)
        arrays = (points.ctypes.data, frames.ctypes.data, scores.ctypes.data, state.ctypes.data)
        _checked(_c("ctc_write")(self._place, finished, number, *arrays))
        words = points.tobytes().decode("utf-32-le", "surrogatepass").split("\0")
        spans = [(first, last) for first, last in frames.tolist()]
        return words, spans, float(scores[0]), float(scores[1]), state.tolist()


def _checked(result: int) -> int:
    """Return the result of a C function; raise MemoryError or ValueError for an error code."""
    if result == -1:
        raise MemoryError("there is no memory for the beam search")
    if result < 0:
        raise ValueError("an id or a number of a beam does not fit")
    return result
