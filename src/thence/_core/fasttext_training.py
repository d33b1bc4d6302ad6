"""fastText's reading of a text and training by the compiled core: see ``fasttext_training.c``."""

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Int32, Int64, UInt8, UInt32

Array = np.ndarray[Any, np.dtype[Any]]
FIRST_BITS = 12
"""Initial size of the hash table of words: 2^12 slots, doubled when it is half full."""


class _Reading(ctypes.Structure):
    """Position of a training in its text, and ids of words: ``fasttext_training.c``."""

    _fields_ = (
        ("text", Pointer), ("length", Size), ("at", Size), ("slots", Pointer),
        ("bits", ctypes.c_int32), ("starts", Pointer), ("ends", Pointer), ("hashes", Pointer),
        ("words", Size), ("placed", Size), ("tokens", Pointer), ("num_tokens", Size),
    )  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """The words of a text, numbered in the order of their first occurrence.

    Attributes:
        tokens: The number of each word of the text.
        starts: First byte of each distinct word in the text; -1 for ``</s>``, the end of a line.
        ends: The byte after each distinct word.
        hashes: FNV-1a hash of the bytes of each distinct word, as fastText computes it.
    """

    tokens: Int32[np.ndarray, " tokens"]
    starts: Int64[np.ndarray, " words"]
    ends: Int64[np.ndarray, " words"]
    hashes: UInt32[np.ndarray, " words"]


def read_words(text: UInt8[np.ndarray, " bytes"]) -> Reading:
    """Return the words of a text, separated by ASCII white space or zero bytes."""
    tokens = np.empty(len(text), np.int32)  # Pages that are never written take no memory.
    reading = _Reading(address(text, np.uint8), len(text), tokens=tokens.ctypes.data)
    starts = ends = np.empty(0, np.int64)
    hashes = np.empty(0, np.uint32)
    read, bits, more = function("fasttext_read", Pointer), FIRST_BITS, True
    while more:
        room, words = 1 << (bits - 1), reading.words
        starts, ends = (
            np.concatenate([a, np.empty(room - words, a.dtype)]) for a in (starts, ends)
        )
        hashes = np.concatenate([hashes, np.empty(room - words, np.uint32)])
        slots = np.full(1 << bits, -1, np.int32)
        reading.slots, reading.bits, reading.placed = slots.ctypes.data, bits, 0
        reading.starts, reading.ends = starts.ctypes.data, ends.ctypes.data
        reading.hashes = hashes.ctypes.data
        more = bool(read(ctypes.addressof(reading)))
        bits += 1
    found = reading.words
    kept = tokens[: reading.num_tokens].copy()
    return Reading(kept, starts[:found].copy(), ends[:found].copy(), hashes[:found].copy())


class _Training(ctypes.Structure):
    """Weights, texts and settings of a training; the struct of ``fasttext_training.c``."""

    _fields_ = (
        ("input", Pointer), ("output", Pointer), ("rows", Size), ("outputs", Size), ("size", Size),
        ("tokens", Pointer), ("offsets", Pointer), ("targets", Pointer),
        ("target_offsets", Pointer), ("documents", Size), ("words", Size), ("hashes", Pointer),
        ("word_rows", Pointer), ("word_bounds", Pointer), ("first_bucket", Size),
        ("buckets", Size), ("bucket_rows", Pointer), ("run", ctypes.c_int32),
        ("loss", ctypes.c_int32), ("draws", Pointer),
        ("num_draws", Size), ("negatives", ctypes.c_int32), ("path", Pointer), ("turns", Pointer),
        ("path_bounds", Pointer), ("line", Pointer), ("room", Size), ("work", Pointer),
        ("random", ctypes.c_uint64),
    )  # fmt: skip


@cache
def _c(name: str) -> Any:
    """Return a function of ``fasttext_training.c``."""
    double, number = ctypes.c_double, ctypes.c_int32
    progress = (double, double, Pointer, Pointer, Pointer)
    arguments: dict[str, tuple[Any, ...]] = {
        "fasttext_fits": (Pointer,),
        "fasttext_rows": (Pointer, Pointer),
        "fasttext_documents": (Pointer, Pointer, Size, *progress),
        "fasttext_words": (
            Pointer, Size, Size, Pointer, Pointer, Size, number, number, *progress,
        ),
    }  # fmt: skip
    return function(name, *arguments[name])


class CoreSteps:
    """Steps of a training, which change its weights in place; see ``thence.fasttext.steps``.

    Args:
        job: The weights, the texts and the settings (``steps.Job``).

    Raises:
        TypeError: If arrays are of other types or lengths.
        ValueError: If words, rows or targets are out of range.
    """

    def __init__(self, job: Any) -> None:
        documents, words = len(job.offsets) - 1, len(job.hashes)
        (rows, size), (outputs, width) = job.input.shape, job.output.shape
        targets = documents + 1 if job.target_offsets is not None else words
        given = len(job.targets) if job.target_offsets is None else len(job.target_offsets)
        if (width, len(job.word_bounds), given) != (size, words + 1, targets):
            raise TypeError("the arrays differ in length")
        if not (job.input.flags.writeable and job.output.flags.writeable):
            raise TypeError("the weights cannot be written")
        for offsets, array in (
            (job.offsets, job.tokens), (job.word_bounds, job.word_rows),
            (job.target_offsets, job.targets),
        ):  # fmt: skip
            if offsets is not None and int(offsets[-1]) > len(array):
                raise ValueError("there are offsets past the end")
        if job.bucket_rows is not None and len(job.bucket_rows) != job.buckets:
            raise TypeError("the arrays differ in length")
        if job.path_bounds is not None and (
            len(job.path_bounds) != outputs + 1
            or int(job.path_bounds[-1]) > min(len(job.path), len(job.turns))
        ):
            raise ValueError("the paths do not fit")
        self._job, self._state = job, np.zeros(2)
        self._line = np.empty(job.room, np.int32)
        self._work = np.empty(2 * size + outputs, np.float32)
        longest = int(np.diff(job.offsets).max(initial=0))
        self._sample = np.empty(longest, np.int32)
        self._examples = np.zeros(1, np.int64)

        def at(array: Array | None, dtype: Any) -> int | None:
            return None if array is None else address(array, dtype)

        self._c = _Training(
            address(job.input, np.float32), address(job.output, np.float32), rows, outputs, size,
            at(job.tokens, np.int32), at(job.offsets, np.int64), at(job.targets, np.int32),
            at(job.target_offsets, np.int64), documents, words, at(job.hashes, np.uint32),
            at(job.word_rows, np.int32), at(job.word_bounds, np.int64), job.first_bucket,
            job.buckets, at(job.bucket_rows, np.int32), job.run, job.loss, at(job.draws, np.int32),
            0 if job.draws is None else len(job.draws), job.negatives, at(job.path, np.int32),
            at(job.turns, np.uint8), at(job.path_bounds, np.int64), self._line.ctypes.data,
            job.room, self._work.ctypes.data, job.seed,
        )  # fmt: skip
        if not _c("fasttext_fits")(ctypes.addressof(self._c)):
            raise ValueError("the words, rows, targets or paths do not fit")

    def used(self) -> UInt8[np.ndarray, " rows"]:
        """Return 1 for each row of the input matrix that occurs in some document, else 0."""
        used = np.zeros(len(self._job.input), np.uint8)
        if _c("fasttext_rows")(ctypes.addressof(self._c), used.ctypes.data):
            raise ValueError("there is no room for the rows of a document")
        return used

    def documents(self, chosen: Int64[np.ndarray, " chosen"], rate: float, total: float) -> None:
        """Make a supervised step on each of the chosen documents.

        Args:
            chosen: Indices of the documents, in order.
            rate: The learning rate at the start of the training.
            total: Number of tokens of the whole training, for the decay of the rate.
        """
        self._check(
            _c("fasttext_documents")(
                ctypes.addressof(self._c), address(chosen, np.int64), len(chosen), rate, total,
                *self._progress(),
            )
        )  # fmt: skip

    def words(
        self,
        first: int,
        last: int,
        kept: UInt32[np.ndarray, " words"],
        window: int,
        cbow: bool,
        rate: float,
        total: float,
    ) -> None:
        """Make the steps of skipgram or CBOW on the words of documents ``first`` to ``last``.

        Args:
            first: The first document.
            last: One past the last document.
            kept: Probability of keeping an occurrence of each word, times 2^32.
            window: Largest distance of a context word.
            cbow: CBOW if True, else skipgram.
            rate: The learning rate at the start of the training.
            total: Number of tokens of the whole training, for the decay of the rate.
        """
        if len(kept) != len(self._job.hashes):
            raise TypeError("the arrays differ in length")
        self._check(
            _c("fasttext_words")(
                ctypes.addressof(self._c), first, last, address(kept, np.uint32),
                self._sample.ctypes.data, len(self._sample), window, cbow, rate, total,
                *self._progress(),
            )
        )  # fmt: skip

    @property
    def seen(self) -> float:
        """Number of tokens read so far."""
        return float(self._state[0])

    @property
    def mean_loss(self) -> float:
        """The mean loss of all examples so far, in nats."""
        return float(self._state[1]) / max(int(self._examples[0]), 1)

    def _progress(self) -> tuple[int, int, int]:
        seen = self._state.ctypes.data
        return seen, seen + self._state.itemsize, self._examples.ctypes.data

    def _check(self, failed: int) -> None:
        if failed:
            raise ValueError("there are no such documents, or no room for their rows")
