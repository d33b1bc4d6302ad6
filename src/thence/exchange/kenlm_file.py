"""Reading KenLM's binary files (format 5): hash tables unchanged, tries as lists of n-grams.

A file has a header, the vocabulary, the n-grams, and the words as text if it was made with them.
There are two kinds (Heafield 2011, "KenLM: faster and smaller language model queries"):
**hash tables** ("probing"), of a hash of each n-gram, which are queried unchanged, and **tries**.

Tries hold n-grams in reversed order, the last word first: every entry has a word, its log10
probability and back-off weight, and a pointer to the first entry that adds a word before it.
Numbers are bit-packed. Logarithms may be quantised, as indices into a table of values (``-q``), and
pointers may be split, with their upper bits stored as an array of the positions where they increase
(``-a``; Raj and Whittaker 2003, "Lossless compression of language model structure and word
identifiers").
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from thence.array_types import Float, Float32, Int64, UInt8, UInt64
from thence.corpus.opening import read_whole, refuse_odd
from thence.errors import TextError
from thence.exchange.arpa_reader import read_arpa
from thence.exchange.ngram_lists import (
    Entries,
    ListedModel,
    Sections,
    check_logarithms,
    tables_of,
)
from thence.models.ngram.hashed import HashedNGrams, HashTable, buckets_of, murmur, murmurs

BEGINNING = b"mmap lm http://kheafield.com/code"
MAGIC = BEGINNING + b" format version 5\n\0"
SANITY = np.dtype([("magic", "S56"), ("floats", "<f4", 3), ("words", "<u4", 3), ("one", "<u8")])
"""Beginning of a file: numbers with known values, by which byte order and types are checked."""
PARAMETERS = np.dtype(
    {
        "names": ["order", "multiplier", "kind", "has_words", "version"],
        "formats": ["u1", "<f4", "<u4", "u1", "<u4"],
        "offsets": [0, 4, 8, 12, 16],
        "itemsize": 20,
    }
)
UNIGRAM = np.dtype([("log_prob", "<f4"), ("backoff", "<f4"), ("begin", "<u8")])
PROBING, REST_PROBING, TRIE, QUANTISED_TRIE, ARRAY_TRIE, QUANTISED_ARRAY_TRIE = range(6)
MOST_ORDER = 100
MOST_BITS = 25
"""Bits of a quantised logarithm at most."""


def read_ngrams(path: Path) -> ListedModel:
    """Read the n-grams of an ARPA file, or of a binary file of KenLM that is a trie.

    Raises:
        TextError: If it is neither, or damaged, or holds no words.
    """
    refuse_odd(path)
    if not is_kenlm_file(path):
        return read_arpa(path)
    read = read_kenlm(path)
    if isinstance(read, Trie):
        return tables_of(read.sections())
    raise TextError(
        f"{path} is a hash table of KenLM ('probing'), which does not hold the words of its "
        "n-grams. thence.kenlm.Model asks it as it is; to import it, take the ARPA file that it "
        "was made of, or make a trie of that (build_binary trie FILE.arpa FILE.bin)."
    )


def is_kenlm_file(path: Path) -> bool:
    """Return whether a file is a binary file of KenLM, of any version."""
    try:
        with path.open("rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:  # The read that follows reports it.
        return False


@dataclass(frozen=True)
class _File:
    """A file and its parsed header.

    Attributes:
        path: Its path.
        content: Its bytes.
        kind: The kind of model, one of the six constants.
        multiplier: Slots of a hash table per key.
        counts: Numbers of n-grams of orders 1 to N.
        has_words: Whether the words are at the end.
        start: Offset of the vocabulary.
    """

    path: Path
    content: UInt8[np.ndarray, " bytes"]
    kind: int
    multiplier: float
    counts: list[int]
    has_words: bool
    start: int

    def error(self, problem: str, number: int = 0) -> TextError:
        """Return the error for the file, or for one of its n-grams by number, from 1."""
        where = f", n-gram {number:,}" if number else ""
        return TextError(f"{self.path}{where}: {problem}")

    def part(self, start: int, size: int) -> UInt8[np.ndarray, " bytes"]:
        """Return ``size`` bytes from an offset; raise an error if the file is shorter."""
        if size > len(self.content) - start:
            raise self.error("the file is cut short.")
        return self.content[start : start + size]

    def words(self, start: int) -> list[bytes]:
        """Return the words, which are stored from an offset to the end, checked in number."""
        words = self.content[start:].tobytes().split(b"\0")
        if not self.has_words:
            raise self.error(
                "the file was made without its words, which are needed to import it; make it again "
                "with build_binary, or import the ARPA file."
            )
        if words[0] != b"<unk>" or words.pop() or len(words) != self.counts[0]:
            raise self.error("the words at the end are not those of the vocabulary.")
        return words


def _open(path: Path, mapped: bool) -> _File:
    """Read or map a file, and parse and check its header."""
    try:
        content: UInt8[np.ndarray, " bytes"] = (
            np.memmap(path, np.uint8, "r") if mapped else np.frombuffer(read_whole(path), np.uint8)
        )
    except (OSError, ValueError) as error:
        raise TextError(f"The file {path} cannot be read: {error}.") from error
    header = SANITY.itemsize + PARAMETERS.itemsize
    if len(content) < header or not content[: len(MAGIC)].tobytes() == MAGIC:
        raise TextError(_wrong_version_message(path, content[:64].tobytes()))
    sanity = np.frombuffer(content[: SANITY.itemsize].tobytes(), SANITY)[0]
    ones = sanity["words"].tolist()[:2] == [1, 0xFFFFFFFF] and sanity["one"] == 1
    if sys.byteorder != "little" or sanity["floats"].tolist() != [0, 1, -0.5] or not ones:
        raise TextError(f"{path} was made on another kind of machine; import the ARPA file.")
    parameters = np.frombuffer(content[SANITY.itemsize : header].tobytes(), PARAMETERS)[0]
    order, kind = int(parameters["order"]), int(parameters["kind"])
    if (
        not 2 <= order <= MOST_ORDER
        or kind > QUANTISED_ARRAY_TRIE
        or len(content) < header + 8 * order
    ):
        raise TextError(f"{path}: its header names order {order} and kind {kind}: it is damaged.")
    if parameters["version"] != (kind >= TRIE):
        raise TextError(
            f"{path} is of version {parameters['version']} of its kind, which is not known; "
            "import the ARPA file that it was made of."
        )
    if not 1 <= parameters["multiplier"] < len(content):
        raise TextError(f"{path}: its header is damaged.")
    counts = np.frombuffer(content[header : header + 8 * order].tobytes(), "<u8").tolist()
    if max(counts) > 8 * len(content):  # An n-gram takes at least one bit.
        raise TextError(f"{path}: its header names more n-grams than fit into it.")
    start = -(-(header + 8 * order) // 8) * 8
    has_words = bool(parameters["has_words"])
    return _File(path, content, kind, float(parameters["multiplier"]), counts, has_words, start)


def _wrong_version_message(path: Path, beginning: bytes) -> str:
    if beginning.startswith(BEGINNING + b" incomplete"):
        return f"{path} is a binary file of KenLM that was not finished; make it again."
    version = beginning[len(BEGINNING) :].partition(b"\n")[0].decode(errors="replace").strip()
    return (
        f"{path} is a binary file of KenLM of {version!r}; what can be read is format version 5. "
        "Take the ARPA file that it was made of."
    )


def read_kenlm(path: Path, mapped: bool = False) -> "HashedNGrams | Trie":
    """Read a binary file of KenLM.

    Args:
        path: The file.
        mapped: Memory-map hash tables. The file must not be changed while the model is used.

    Raises:
        TextError: If the file is damaged or of a version that is not known.
    """
    file = _open(path, mapped)
    return _hash_tables(file) if file.kind < TRIE else _trie(file)


def _hash_tables(file: _File) -> HashedNGrams:
    """Return the hash tables of a file as views of its bytes."""
    unigram, longest = (8, 12) if file.kind == PROBING else (12, 12)
    at = file.start
    (version, bound) = file.part(at, 8).view("<u4").tolist()
    if version or not 1 <= bound <= file.counts[0] + 1:
        raise file.error(f"its vocabulary has version {version} and {bound} words: not known.")
    at += 8

    def table(count: int, stride: int) -> HashTable:
        nonlocal at
        buckets = buckets_of(count, file.multiplier)
        slots = file.part(at, buckets * stride)
        at += len(slots)
        return HashTable(slots, buckets, stride)

    words = table(file.counts[0], 12)
    unigrams = file.part(at, (file.counts[0] + 1) * unigram)
    at += len(unigrams)
    middle = [table(count, 8 + unigram) for count in file.counts[1:-1]]
    longer = [*middle, table(file.counts[-1], longest)]
    return HashedNGrams(words, unigrams[: bound * unigram], unigram, longer)


@dataclass(frozen=True)
class Trie:
    """The n-grams of a file that is a trie.

    Attributes:
        hashes: Hashes of the words, in the order of their places; that of ``<unk>`` is the first.
        orders: Iterator over the n-grams of order 1, 2, ...; it can be read only once.
    """

    hashes: UInt64[np.ndarray, " words"]
    orders: Iterator[Entries]
    _file: _File
    _words_start: int

    def sections(self) -> Sections:
        """Return the n-grams with their words.

        Raises:
            TextError: If the file was made without words, or they are not those of its hashes.
        """
        words = self._file.words(self._words_start)
        if not np.array_equal(murmurs(words), self.hashes):
            raise self._file.error("the words at the end are not those of the vocabulary.")
        return Sections(words, self.orders, self._file.error)


@dataclass(frozen=True)
class _Level:
    """The bit-packed n-grams of one order in a trie.

    Attributes:
        bits: Their bytes: for each n-gram its word, its logarithms, and its pointer.
        count: Number of n-grams.
        word: Bits of a word.
        total: Bits of an n-gram.
        begin: Bits of a pointer to the first longer n-gram, without split-off upper bits.
        growth: Indices of the n-grams from which on the upper bits of pointers are one larger.
        is_last: Whether this is the highest order, which has no pointers.
    """

    bits: UInt8[np.ndarray, " bytes"]
    count: int
    word: int
    total: int
    begin: int
    growth: UInt64[np.ndarray, " _"]
    is_last: bool

    def numbers(self, start: int, bits: int, extra: int = 0) -> UInt64[np.ndarray, " ngrams"]:
        """Return the ``bits`` bits at bit ``start`` of each n-gram, and of ``extra`` more."""
        places = np.arange(self.count + extra) * self.total + start
        # An overlapping view with a 64-bit word at every byte: 57 bits after a shift by up to 7.
        whole = np.ndarray((len(self.bits) - 7,), "<u8", self.bits.data, 0, (1,))
        found: UInt64[np.ndarray, " ngrams"] = whole[places >> 3]
        return found >> (places & 7).astype(np.uint64) & np.uint64((1 << bits) - 1)

    def begins(self) -> Int64[np.ndarray, " _"]:
        """Return the pointers to the longer n-grams of each n-gram, and their end."""
        lower = self.numbers(self.total - self.begin, self.begin, extra=1).astype(np.int64)
        upper = np.searchsorted(self.growth, np.arange(self.count + 1), "right")
        return lower + (upper - 1 << self.begin) if len(self.growth) else lower


def _trie(file: _File) -> Trie:
    """Return the trie of a file; its n-grams are decoded by the iterator ``orders``."""
    counts = file.counts
    (size,) = file.part(file.start, 8).view("<u8").tolist()
    if size != counts[0] - 1:
        raise file.error(f"its vocabulary has {size:,} words, not {counts[0] - 1:,}.")
    hashes = np.append(np.uint64(murmur(b"<unk>")), file.part(file.start + 8, 8 * size).view("<u8"))
    codes, at = _codes(file, file.start + 8 + 8 * counts[0])
    unigrams = file.part(at, 16 * (counts[0] + 1)).view(UNIGRAM)
    levels, at = _levels(file, at + 16 * (counts[0] + 2), codes)
    return Trie(hashes, _orders(file, unigrams, levels, codes), file, at)


@dataclass(frozen=True)
class _Codes:
    """The encoding of logarithms in a trie.

    Attributes:
        widths: Bits of a log10 probability and of a back-off weight.
        values: Tables of the quantised values for each order from 2; None if not quantised.
    """

    widths: tuple[int, int] = (31, 32)
    values: list[tuple[Float32[np.ndarray, " values"], ...]] | None = None


def _codes(file: _File, at: int) -> tuple[_Codes, int]:
    """Parse the quantisation tables at an offset; return them and the offset after them."""
    if file.kind not in (QUANTISED_TRIE, QUANTISED_ARRAY_TRIE):
        return _Codes(), at
    version, *widths = file.part(at, 8)[:3].tolist()
    if version != 2 or not all(1 <= width <= MOST_BITS for width in widths):
        raise file.error(f"its logarithms are coded in a way (version {version}) not known.")
    at, values, order = at + 8, [], len(file.counts)
    for k in range(2, order + 1):
        sizes = [4 << width for width in widths[: 1 + (k < order)]]
        ends = np.cumsum([at, *sizes]).tolist()
        values.append(tuple(file.part(a, b - a).view("<f4") for a, b in pairwise(ends)))
        at = ends[-1]
    return _Codes((widths[0], widths[1]), values), at


def _levels(file: _File, at: int, codes: _Codes) -> tuple[list[_Level], int]:
    """Parse the layout of orders 2 and up at an offset; return it and the offset after them."""
    counts, levels, most_chopped = file.counts, [], 0
    word = counts[0].bit_length()
    for k in range(1, len(counts)):
        is_last = k == len(counts) - 1
        begin, growth = 0 if is_last else counts[k + 1].bit_length(), np.zeros(0, np.uint64)
        if file.kind >= ARRAY_TRIE and not is_last:
            if k == 1:
                version, most_chopped = file.part(at, 2).tolist()
                if version:
                    raise file.error(f"its pointers are coded in version {version}: not known.")
            begin -= _array_bits(counts[k] + 1, counts[k + 1], most_chopped)
            entries = (counts[k + 1] >> begin) + 1
            growth = file.part(-(-at // 8) * 8 + 8, 8 * entries).view("<u8")
            at += 8 * (1 + entries) + 7
        total = word + (codes.widths[0] if is_last else sum(codes.widths)) + begin
        if word > 32 or begin > 57:
            raise file.error("its header is damaged.")
        size = ((1 + counts[k]) * total + 7) // 8 + 8
        bits = file.part(at, size)
        levels.append(_Level(bits, counts[k], word, total, begin, growth, is_last))
        at += size
    return levels, at


def _array_bits(entries: int, longer: int, most: int) -> int:
    """Return the number of upper bits of pointers in the array: as KenLM, that of least size."""
    required = longer.bit_length()
    costs = [
        (longer >> (required - chop)) * 64 - entries * chop
        for chop in range(min(required, most) + 1)
    ]
    return costs.index(min(costs))


def _orders(
    file: _File, unigrams: np.ndarray[Any, Any], levels: list[_Level], codes: _Codes
) -> Iterator[Entries]:
    """Yield the n-grams of each order, with the words of each from first to last."""
    size = file.counts[0]
    places = np.arange(size, dtype=np.int32)[:, None]
    begins = unigrams["begin"].astype(np.int64)
    log_probs, backoffs = unigrams["log_prob"][:size], unigrams["backoff"][:size]
    for k in range(len(levels) + 1):
        if k:
            level = levels[k - 1]
            followers = np.diff(begins)
            if begins[0] or np.any(followers < 0) or begins[-1] != level.count:
                raise file.error(f"its n-grams of order {k} do not lead to those of {k + 1}.")
            words = level.numbers(0, level.word).astype(np.int64)
            if np.any(words >= size):
                raise file.error(f"its n-grams of order {k + 1} have words that it does not have.")
            # Entries extend their parents by a word in front, since tries are reversed.
            parents = np.repeat(np.arange(len(places)), followers)
            places = np.column_stack([words.astype(np.int32), places[parents]])
            log_probs, backoffs = _logarithms(level, codes, k - 1)
            begins = begins if level.is_last else level.begins()
        entries = Entries(places, log_probs, backoffs, np.arange(1, len(places) + 1))
        check_logarithms(entries, file.error)
        yield entries


def _logarithms(
    level: _Level, codes: _Codes, number: int
) -> tuple[Float[np.ndarray, " ngrams"], Float[np.ndarray, " ngrams"]]:
    """Return log10 probabilities, and back-off weights, which are 0 in the last order."""
    of_probs, of_backoffs = codes.widths
    backoffs = np.zeros(level.count, np.float32)
    if codes.values is None:
        sign = np.uint64(1 << 31)  # Not stored, since log-probabilities are never positive.
        log_probs = (level.numbers(level.word, of_probs) | sign).astype("<u4").view("<f4")
        if not level.is_last:
            backoffs = level.numbers(level.word + of_probs, of_backoffs).astype("<u4").view("<f4")
        return log_probs, backoffs
    values = codes.values[number]
    if level.is_last:
        return values[0][level.numbers(level.word, of_probs)], backoffs
    backoffs = values[1][level.numbers(level.word, of_backoffs)]
    return values[0][level.numbers(level.word + of_backoffs, of_probs)], backoffs
