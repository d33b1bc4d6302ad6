"""Counting words; in bounded memory the counts are spilled to disk.

Spilled words are sorted by hash. At the end they are merged, one range of hashes at a time, and
then sorted by count in the same way.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from thence._core import library
from thence._core import words as core_words
from thence.allocator import trim
from thence.array_types import Int32, Int64, Integer, UInt64
from thence.corpus import Documents
from thence.mapped import Spool, explain_disk_errors, pieces, release, search
from thence.tokens.hashing import HashTable
from thence.tokens.vocabulary import UNKNOWN, Unknown
from thence.tokens.word_splitting import FoundWords

FIRST_BITS = 12
"""Initial slots of the hash table of counted words, as a power of 2; it doubles when half full."""
BYTES_PER_WORD = 128
"""Maximal memory of a counted word, while the table grows: up to 4 slots of 12 bytes, in the old
table and the new one, 16 for its count, 8 for its offset, and its bytes."""
SORTED_AT_ONCE = 4
"""Merging and sorting make copies, so they process one part in this many of the counted words."""
FEWEST, MOST_RUNS = 1 << 19, 32
"""Number of words that may always be in memory (64 MB); maximal number of runs on disk."""
AT_ONCE = 1 << 18
"""Words written to disk at a time."""


@dataclass(frozen=True)
class CountedWords:
    """Distinct words by number.

    Attributes:
        words: Each is a document.
        totals: The count of each.
        most: Number of words that may be sorted in memory, if the words are on disk, which are then
            in order of count; None: the words are in memory.
    """

    words: Documents
    totals: Int64[np.ndarray, " words"]
    most: int | None = None

    def __len__(self) -> int:
        return len(self.totals)

    def counts(self) -> dict[str, int]:
        """Return the count of each word, in order of number."""
        return dict(zip(self.words, self.totals.tolist(), strict=True))

    def choose(
        self, max_size: int | None, min_count: int, unknown: Unknown
    ) -> tuple[Int32[np.ndarray, " kept"], Int32[np.ndarray, " left"]]:
        """Return the numbers of the words that ``choose_symbols`` chooses, and of the others."""
        is_word = np.ones(len(self), bool)
        if unknown == "symbol":
            is_word[self._numbers_of(UNKNOWN)] = False
        kept = np.flatnonzero(is_word & (self.totals >= min_count)).astype(np.int32)
        if self.most is None:
            kept = _order(self, kept, by_count=True)
        kept = kept[:max_size]
        is_word[kept] = False
        return kept, np.flatnonzero(is_word).astype(np.int32)

    def spread(self, numbers: Int32[np.ndarray, " chosen"], most: int) -> list[str]:
        """Return at most ``most`` of the given words, evenly spaced in order of code points."""
        step = -(-len(numbers) // most) or 1
        if self.most is None:
            return list(self.words.take(_order(self, numbers, by_count=False)[::step]))
        some = CountedWords(self.words.take(numbers), self.totals[numbers])
        return list(_sort(some, self.most, by_count=False).words.take(slice(None, None, step)))

    def _numbers_of(self, word: str) -> list[int]:
        """Return the number of a word; nothing if it was not counted."""
        spelled, done, found = word.encode("utf-8"), 0, []
        for sizes in self.words.sizes():
            places = np.flatnonzero(sizes == len(spelled)) + done
            places = places[self.words.text[self.words.starts[places]] == spelled[0]]
            found += [at for at in places.tolist() if self.words[at] == word]
            done += len(sizes)
        return found


def _order(
    counted: CountedWords, numbers: Int32[np.ndarray, " chosen"], by_count: bool
) -> Int32[np.ndarray, " chosen"]:
    """Return word numbers sorted by code points; ``by_count``: first by count, descending."""
    counts, words = counted.totals if by_count else None, counted.words
    if library() is not None:
        return core_words.sort_words(words.text, words.ends, numbers, counts)
    spelled = dict(zip(numbers.tolist(), words.take(numbers), strict=True))
    found = sorted(spelled, key=lambda at: (0 if counts is None else -counts[at], spelled[at]))
    return np.array(found, np.int32)


class WordCounter:
    """Numbers distinct words in order of appearance, and counts them.

    The words are kept as bytes: as Python strings they would take most of the memory when a large
    vocabulary is learned.
    """

    def __init__(self) -> None:
        self._numbers, self._size = HashTable(), 0
        self._totals = np.zeros(1 << (FIRST_BITS - 1), np.int64)
        self._numbers.enlarge(FIRST_BITS)
        self._bytes, self._bounds = bytearray(), array("q", [0])

    def __len__(self) -> int:
        return self._size

    def add(self, found: FoundWords) -> Int32[np.ndarray, " words"]:
        """Count the words of a chunk; return their numbers."""
        numbers = np.empty(len(found.hashes), np.int32)
        done = 0
        while done < len(numbers):
            hashes, part = found.hashes[done:], numbers[done:]
            if library() is not None:
                table = self._numbers.core_table
                counted, fresh = core_words.count_words(
                    table, self._size, hashes, self._totals, part
                )
            else:
                counted, fresh = self.count_in_numpy(hashes, part)
            for word in found.words(done + fresh):
                self._bytes += word.encode("utf-8")
                self._bounds.append(len(self._bytes))
            self._size += len(fresh)
            done += counted
            if done < len(numbers):
                self._enlarge()
        return numbers

    def _enlarge(self) -> None:
        """Double the capacity."""
        self._totals = np.concatenate([self._totals, np.zeros_like(self._totals)])
        self._numbers.enlarge(len(self._totals).bit_length())

    def count_in_numpy(
        self, hashes: UInt64[np.ndarray, " words"], numbers: Int32[np.ndarray, " words"]
    ) -> tuple[int, Int64[np.ndarray, " fresh"]]:
        """Count all words and write their numbers; the NumPy twin of the C kernel ``count_words``.

        Returns:
            The number of words counted, and the positions of those that are new.
        """
        numbers[:] = self._numbers.find(hashes)
        unknown = np.flatnonzero(numbers < 0)
        _, first, back = np.unique(hashes[unknown], return_index=True, return_inverse=True)
        order = np.argsort(first)
        fresh = unknown[first[order]]
        of_hash = np.empty(len(order), np.int32)
        of_hash[order] = np.arange(self._size, self._size + len(order))
        while self._size + len(order) > len(self._totals):
            self._enlarge()
        self._numbers.add(hashes[fresh], of_hash[order])
        numbers[unknown] = of_hash[back]
        np.add.at(self._totals, numbers, 1)
        return len(numbers), fresh

    def counted(self) -> CountedWords:
        """Return the counts; the hash table is freed, so nothing can be counted afterwards."""
        self._numbers = HashTable()
        return self._counted

    @property
    def _counted(self) -> CountedWords:
        bounds = np.frombuffer(self._bounds, np.int64)
        words = Documents(np.frombuffer(self._bytes, np.uint8), bounds[:-1], bounds[1:])
        return CountedWords(words, self._totals[: self._size])

    def spilled(self) -> "_Run":
        """Return the counts, on disk, in order of hash."""
        hashes, numbers = self._numbers.sorted()
        run, counted = _Run(), self._counted
        for first in range(0, len(hashes), AT_ONCE):
            run.hashes.append(hashes[first : first + AT_ONCE])
            run.append(counted, numbers[first : first + AT_ONCE])
        return run


class _Run:
    """Counted words on disk.

    Attributes:
        hashes: Of the words, if these are in order of hash; else empty.
    """

    def __init__(self) -> None:
        self.hashes, self._totals = Spool(np.uint64), Spool(np.int64)
        self._text, self._bounds = Spool(np.uint8), Spool(np.int64)
        self._bounds.append(np.zeros(1, np.int64))

    def append(self, counted: CountedWords, numbers: Integer[np.ndarray, " chosen"]) -> None:
        """Append some words."""
        words = counted.words.take(numbers).compact()
        self._bounds.append(self._text.size + words.ends)
        self._text.append(words.text)
        self._totals.append(counted.totals[numbers])

    def counted(self, most: int | None = None) -> CountedWords:
        """Return the words, memory-mapped."""
        bounds = self._bounds.array()
        words = Documents(self._text.array(), bounds[:-1], bounds[1:])
        return CountedWords(words, self._totals.array(), most)


def count_words(chunks: Iterable[FoundWords], memory: int | None = None) -> CountedWords:
    """Return the counts of all words of the given chunks.

    Args:
        chunks: The words of each chunk.
        memory: About how many bytes to work in, but at least those of ``FEWEST`` words; the counted
            words are then on disk. None: no bound.
    """
    counter, runs = WordCounter(), list[_Run]()
    most = max((memory or 0) // BYTES_PER_WORD, FEWEST)
    at_once = max(most // SORTED_AT_ONCE, 1)
    for chunk in chunks:
        counter.add(chunk)
        if memory is not None and len(counter) > most:
            with explain_disk_errors(memory):
                runs.append(counter.spilled())
                counter = WordCounter()
                if len(runs) == MOST_RUNS:
                    runs = [_merge(runs, at_once)]
    if memory is None:
        return counter.counted()
    with explain_disk_errors(memory):
        runs.append(counter.spilled())
        del counter
        found = _sort(_merge(runs, at_once).counted(), at_once, by_count=True)
    trim()
    return found


def _merge(runs: list[_Run], most: int) -> _Run:
    """Merge several runs, one range of hashes at a time."""
    merged, counted, hashes = (
        _Run(),
        [run.counted() for run in runs],
        [r.hashes.array() for r in runs],
    )
    ranges = sum(map(len, counted)) // most + 1  # Hashes look random.
    cuts = np.array([(number << 64) // ranges for number in range(1, ranges)], np.uint64)
    bounds = [[0, *search(one, cuts), len(one)] for one in hashes]
    for parts in _ranges(bounds):
        found, first, numbers = np.unique(
            np.concatenate([one[part] for one, part in zip(hashes, parts, strict=True)]),
            return_index=True,
            return_inverse=True,
        )
        some = _join(counted, parts)
        totals = np.zeros(len(found), np.int64)
        np.add.at(totals, numbers, some.totals)
        merged.hashes.append(found)
        merged.append(CountedWords(some.words.take(first), totals), np.arange(len(found)))
        release(*hashes)
    return merged


def _sort(counted: CountedWords, most: int, by_count: bool) -> CountedWords:
    """Return words sorted on disk: parts are sorted in memory, then merged range by range."""
    parts = []
    for start, stop in pieces(0, len(counted), most):
        parts.append(_sorted(_join([counted], [slice(start, stop)]), _Run(), by_count).counted())

    def place(of_part: CountedWords, at: int) -> tuple[int, str]:
        return -int(of_part.totals[at]) if by_count else 0, of_part.words[at]

    whole, longest = _Run(), max(parts, key=len, default=counted)
    step = max(most // max(len(parts), 1), 1)
    cuts = [place(longest, at) for at in range(step, len(longest), step)]
    bounds = []
    for one in parts:
        of_cuts = (bisect_left(range(len(one)), cut, key=partial(place, one)) for cut in cuts)
        bounds.append([0, *of_cuts, len(one)])
        _release(one)
    for ranges in _ranges(bounds):
        _sorted(_join(parts, ranges), whole, by_count)
    return whole.counted(most)


def _sorted(counted: CountedWords, run: _Run, by_count: bool) -> _Run:
    """Append words in memory to a run, sorted, and return the run."""
    run.append(counted, _order(counted, np.arange(len(counted), dtype=np.int32), by_count))
    return run


def _ranges(bounds: list[list[int]]) -> Iterator[list[slice]]:
    """Yield one slice of each of several sequences, from the bounds of each."""
    for starts, ends in pairwise(zip(*bounds, strict=True)):
        yield list(map(slice, starts, ends))


def _join(counted: Sequence[CountedWords], parts: Sequence[slice]) -> CountedWords:
    """Return parts of counted words, concatenated in memory."""
    both = list(zip(counted, parts, strict=True))
    words = Documents.join([one.words.take(part).compact() for one, part in both])
    totals = np.concatenate([one.totals[part] for one, part in both])
    for one in counted:
        _release(one)
    return CountedWords(words, totals)


def _release(counted: CountedWords) -> None:
    """Release the memory that was read of words on disk."""
    release(counted.words.text, counted.words.starts, counted.words.ends, counted.totals)
