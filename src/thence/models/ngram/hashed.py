"""N-gram models in KenLM's hash tables (its "probing" format); ``_core/hashed.c`` describes them.

The tables of KenLM's binary files are used as they are; ``hashing`` builds the same from a list of
n-grams. Without the compiled core, queries run in Python, with the same results to the bit.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from thence._core import hashed as core
from thence._core import library
from thence._core.hashed import END, NO_FIT, Context, Found, Step
from thence.array_types import Int64, UInt8, UInt64
from thence.models.ngram.sorting import sort_with_places

A, B = np.uint64(8978948897894561157), np.uint64(17894857484156487943)
"""KenLM's multipliers in the hash of an n-gram: of the hash so far, and of the id of the word
before it (see ``_walk``)."""
MURMUR = 0xC6A4A7935BD1E995
"""Multiplier of MurmurHash64A."""
MASK = (1 << 64) - 1
"""Keeps the low 64 bits, as arithmetic in C does."""
MULTIPLIER = 1.5
"""Buckets per n-gram in a table that is built here, as in KenLM: a look-up tries two or three."""


def buckets_of(count: int, multiplier: float) -> int:
    """Return KenLM's number of buckets for so many keys, in its single precision."""
    return max(count + 1, int(np.float32(multiplier) * np.float32(count)))


@dataclass(frozen=True)
class HashTable:
    """A hash table with open addressing and linear probing: each slot is a 64-bit key, then values.

    Attributes:
        slots: The bytes of all slots; key 0 marks an empty slot.
        buckets: The search for a key begins at slot key mod ``buckets``.
        stride: Size of a slot in bytes.
    """

    slots: UInt8[np.ndarray, " bytes"]
    buckets: int
    stride: int

    @property
    def parts(self) -> tuple[UInt8[np.ndarray, " bytes"], int, int]:
        """The slots, buckets and stride, as the compiled core takes them."""
        return self.slots, self.buckets, self.stride

    @classmethod
    def of(cls, keys: UInt64[np.ndarray, " keys"], **values: np.ndarray[Any, Any]) -> "HashTable":
        """Build the table of keys (none of them 0) and their values."""
        buckets = buckets_of(len(keys), MULTIPLIER)
        ideal, order = sort_with_places((keys % np.uint64(buckets)).astype(np.int64))
        # With keys sorted by ideal slot, each is put into it or right after the key before:
        # place_i = max(ideal_i, place_(i-1) + 1), a running maximum of ideal_i - i.
        places = np.maximum.accumulate(ideal - np.arange(len(keys))) + np.arange(len(keys))
        fields = [("key", np.uint64), *((name, value.dtype) for name, value in values.items())]
        slots = np.zeros(max(buckets, int(places[-1:].sum()) + 2), np.dtype(fields))
        slots["key"][places] = keys[order]
        for name, value in values.items():
            slots[name][places] = value[order]
        return cls(slots.view(np.uint8), buckets, slots.itemsize)

    @property
    def count(self) -> int:
        """Number of keys."""
        return int(np.count_nonzero(self._rows["key"]))

    @property
    def _rows(self) -> np.ndarray[Any, Any]:
        return self.slots.view([("key", np.uint64), ("rest", f"V{self.stride - 8}")])

    def closed(self) -> UInt8[np.ndarray, " bytes"]:
        """Return a table of exactly ``buckets`` slots, in which probing wraps around at the end."""
        found, beyond = self._rows[: self.buckets].copy(), self._rows[self.buckets :]
        beyond = beyond[beyond["key"] != 0]
        found[np.flatnonzero(found["key"] == 0)[: len(beyond)]] = beyond
        return found.view(np.uint8)

    def numbers(self, keys: UInt64[np.ndarray, " keys"]) -> Int64[np.ndarray, " keys"]:
        """Return the slot index of each key; -1 if it is not in the table."""
        table = self._rows["key"]
        found = np.full(len(keys), -1)
        asked, slots = np.arange(len(keys)), (keys % np.uint64(self.buckets)).astype(np.int64)
        while len(asked):
            there = table[slots]
            is_there = there == keys[asked]
            found[asked[is_there]] = slots[is_there]
            goes_on = ~is_there & (there != 0)
            asked, slots = asked[goes_on], (slots[goes_on] + 1) % len(table)
        return found

    def number(self, form: str, at: int) -> Any:
        """Return the number at a byte offset, by a format of ``struct``."""
        return struct.unpack_from(form, self.slots.data, at)[0]

    def find(self, key: int) -> int | None:
        """Return the byte offset of a key's values; None if it is not in the table."""
        size = len(self.slots) // self.stride
        for place in range(key % self.buckets, key % self.buckets + size):
            at = place % size * self.stride
            found = self.number("<Q", at)
            if found == key:
                return at + 8
            if not found:
                break
        return None


@dataclass(frozen=True)
class HashedNGrams:
    """A back-off model in hash tables.

    Attributes:
        words: Table from word hashes to ids; the unknown word has id 0.
        unigrams: The log10 probability and log10 back-off weight of each id, as bytes.
        unigram_stride: Bytes per id.
        longer: Tables of the n-grams of orders 2, 3 ..., with the same values; those of the highest
            order have no back-off weight.
    """

    words: HashTable
    unigrams: UInt8[np.ndarray, " bytes"]
    unigram_stride: int
    longer: Sequence[HashTable]

    @property
    def order(self) -> int:
        """The highest order (N)."""
        return len(self.longer) + 1

    @cached_property
    def end(self) -> int:
        """The id of ``</s>``."""
        return self.id_of(b"</s>")

    @cached_property
    def begin(self) -> Context:
        """The context at the beginning of a sentence."""
        if self.order == 1:
            return Context()
        word = self.id_of(b"<s>")
        return Context(1, (word,), (self._unigram(word)[1],))

    @cached_property
    def _core(self) -> core.HashedTables | None:
        """The tables in the compiled core; None without it."""
        if library() is None:
            return None
        longer = [table.parts for table in self.longer]
        parts = self.words.parts, self.unigrams, longer, self.unigram_stride, self.end
        return core.HashedTables(*parts)

    def id_of(self, word: bytes) -> int:
        """Return the id of a word; 0 if it is unknown."""
        at = self.words.find(murmur(word.partition(b"\0")[0]))
        if at is None:
            return 0
        found: int = self.words.number("<I", at)
        return found if found < len(self.unigrams) // self.unigram_stride else 0

    def score(self, context: Context, text: bytes, flags: int) -> float:
        """Return the log10 probability of a text after a context, in single precision.

        Args:
            context: The context before the text.
            text: Words separated by white space.
            flags: ``END`` to add ``</s>``, else 0.

        Raises:
            ValueError: If the context is of another model.
        """
        if self._core is not None:
            return self._core.score(context, text, flags)
        total = np.float32(0)
        for found, _ in self._walk(context, self._ids(text, flags)):
            total = np.float32(total + np.float32(found.log_prob))
        return float(total)

    def words_of(self, context: Context, text: bytes, flags: int) -> list[tuple[float, int, int]]:
        """Return the log10 probability, the order of the matched n-gram, and the id of each word.

        The arguments are those of ``score``.
        """
        if self._core is not None:
            return self._core.words_of(context, text, flags)
        walk = self._walk(context, self._ids(text, flags))
        return [(found.log_prob, found.order, found.id) for found, _ in walk]

    @cached_property
    def step(self) -> Step:
        """The function ``step(context, word, after, found)``: the log10 probability of a word.

        The word may contain any bytes. The context after the word is written into ``after``, which
        may be ``context`` itself; the matched order and id are written into ``found`` if it is not
        None. Returns NaN if the context is of another model. It is the core's own function, without
        a wrapper, since decoders call it a million times.
        """
        return self._step if self._core is None else self._core.step

    def _step(self, context: Context, word: bytes, after: Context, known: Found | None) -> float:
        try:
            ((found, after_it),) = self._walk(context, [self.id_of(word)])
        except ValueError:
            return float("nan")
        after.become(after_it)
        if known is not None:
            known.log_prob, known.order, known.id = found.log_prob, found.order, found.id
        log_prob: float = found.log_prob
        return log_prob

    def _ids(self, text: bytes, flags: int) -> list[int]:
        return [*map(self.id_of, text.split()), *[self.end] * (flags & END)]

    def _walk(self, context: Context, words: list[int]) -> Iterator[tuple[Found, Context]]:
        """Yield the match of each word, and the context after it: the twin of ``hashed.c``."""
        length = context.length
        if not 0 <= length < self.order:
            raise ValueError(NO_FIT)
        before, weights = context.words[:length], list(map(np.float32, context.backoffs[:length]))
        for word in words:
            log_prob, weight, extends = self._unigram(word)
            order, key = 1, word
            kept = [weight] if self.order > 1 else []
            for table, earlier in zip(self.longer, before, strict=False):
                key = (key * int(A) & MASK) ^ ((1 + earlier) * int(B) & MASK)
                at = table.find(key) if extends else None
                if at is None:
                    break
                order += 1
                log_prob, extends = _probability(table.slots, at)
                if order < self.order:
                    kept.append(np.float32(table.number("<f", at + 4)))
            # Back off: add the weights of all contexts longer than the one that matched.
            for weight in weights[order - 1 :]:
                log_prob = np.float32(log_prob + weight)
            # A weight of -0.0 marks an n-gram that is no context of longer ones: drop it, so that
            # equal states compare equal (KenLM's state minimisation).
            while kept and kept[-1] == 0 and np.signbit(kept[-1]):
                kept.pop()
            before, weights = [word, *before][: len(kept)], kept
            after = Context(len(kept), tuple(before), tuple(map(float, kept)))
            yield Found(log_prob, order, word), after

    def _unigram(self, word: int) -> tuple[np.float32, np.float32, bool]:
        """Return log10 probability and weight of an id, and whether longer n-grams end in it."""
        at = word * self.unigram_stride
        if at >= len(self.unigrams):
            raise ValueError("the context does not fit the model")
        (weight,) = struct.unpack_from("<f", self.unigrams.data, at + 4)
        log_prob, extends = _probability(self.unigrams, at)
        return log_prob, np.float32(weight), extends


def _probability(slots: UInt8[np.ndarray, " bytes"], at: int) -> tuple[np.float32, bool]:
    """Return a log10 probability, and whether a longer n-gram ends in this one (the sign bit)."""
    value = np.float32(struct.unpack_from("<f", slots.data, at)[0])
    return -abs(value), not np.signbit(value)


def murmur(word: bytes) -> int:
    """Return the MurmurHash64A (A. Appleby) of a word, KenLM's key of words."""
    found = len(word) * MURMUR & MASK
    whole = len(word) & ~7
    for at in range(0, whole, 8):
        part = int.from_bytes(word[at : at + 8], "little") * MURMUR & MASK
        found = (found ^ (part ^ part >> 47) * MURMUR) * MURMUR & MASK
    if whole < len(word):
        found = (found ^ int.from_bytes(word[whole:], "little")) * MURMUR & MASK
    found = (found ^ found >> 47) * MURMUR & MASK
    return found ^ found >> 47


def murmurs(words: Sequence[bytes]) -> UInt64[np.ndarray, " words"]:
    """Return the MurmurHash64A of many words."""
    if library() is None:
        return np.fromiter(map(murmur, words), np.uint64, len(words))
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=offsets[1:])
    return core.hash_words(np.frombuffer(b"".join(words) or b"\0", np.uint8), offsets)
