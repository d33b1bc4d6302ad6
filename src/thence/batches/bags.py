"""Bags of features: the tokens, token n-grams and character n-grams of each document.

The feature of a token is its id. An n-gram of tokens or characters is hashed into one of a fixed
number of buckets (the hashing trick of fastText): no table of all n-grams is kept, and two n-grams
in one bucket are the same feature. The two ends of a document are a symbol in n-grams, so that
``<ab`` differs from ``ab``. Rare features are left out; the others are the rows of an embedding
table, from 0 up.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np

from thence._core import library
from thence._core.rows import count_numbers, sum_rows
from thence.array_types import Bool, Float32, Int32, Int64, UInt64
from thence.corpus import Documents
from thence.errors import SettingError
from thence.settings import Range
from thence.tokens.characters import code_points
from thence.tokens.parallel import in_threads
from thence.tokens.store import insert_boundaries
from thence.tokens.tokenizer import Texts, normalized_chunks

CHUNK = 1 << 16
"""Symbols per piece of work: its arrays stay in the processor's cache."""
MULTIPLIER, MIXER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
"""Odd constants of the hash function: 2^64 / golden ratio (Fibonacci hashing), and the first
multiplier of SplitMix64 (G. Steele et al. 2014). They are part of saved models."""
CHARACTER_SALT = np.uint64(0x94D049BB133111EB)
"""Multiplies characters (SplitMix64's second multiplier), so that their n-grams get other hashes
than those of token ids."""
NGramLength = Annotated[int, Range(ge=1, le=50, why="longer runs hardly ever recur")]
MOST_FEATURES = (1 << 31) - 1
"""Largest number of features: token ids and buckets are numbered together in 32 bits."""
Buckets = Annotated[int, Range(ge=1, le=MOST_FEATURES)]
SEARCH_COST = 64
"""A binary search for the row of one feature takes as long as filling this many entries of a
look-up table."""
MAX_LOOKUP_SIZE = 1 << 26
"""Features up to which rows come from a look-up table (256 MB); with more, from a binary search."""
MANY_ROWS = 256
"""Bags of more rows are summed one at a time in NumPy, smaller ones all together."""
END_OF_TEXT = 0x110000
"""The symbol of a document's end among code points, which are below it."""


@dataclass(frozen=True)
class BagOptions:
    """The features in a bag.

    Attributes:
        ngrams: The length of the longest token n-grams.
        character_ngrams: The lengths of character n-grams.
        buckets: The number of buckets, which all n-grams share.
    """

    ngrams: NGramLength
    character_ngrams: tuple[NGramLength, ...]
    buckets: Buckets


@dataclass(frozen=True)
class Bags:
    """The features of documents.

    Attributes:
        features: The features of all documents, one document after another.
        offsets: Where each document's features begin, and the total; shape (documents + 1,).
        counts: How often the document has each feature, if features are distinct; else None.
    """

    features: Int32[np.ndarray, " features"]
    offsets: Int64[np.ndarray, " bounds"]
    counts: Float32[np.ndarray, " features"] | None = None

    @property
    def sizes(self) -> Int64[np.ndarray, " documents"]:
        """The number of features of each document."""
        return np.diff(self.offsets)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> "Bags":
        """Return the bags of the chosen documents, in that order."""
        sizes = self.sizes[indices]
        ends = np.cumsum(sizes)
        shift = np.repeat(self.offsets[:-1][indices] - (ends - sizes), sizes)
        at = np.arange(len(shift)) + shift
        counts = None if self.counts is None else self.counts[at]
        return bags_with(self.features[at], sizes, counts)

    def distinct(self) -> "Bags":
        """Return each document's distinct features, in ascending order, with their counts."""

        def once(part: Bags) -> Bags:
            # One sort of 64-bit keys (document, feature) is faster than a sort per document.
            owners = np.repeat(np.arange(len(part.sizes)), part.sizes)
            keys = part.features + (owners << 32)
            keys.sort()
            first = np.concatenate([np.ones(min(1, len(keys)), bool), keys[1:] != keys[:-1]])
            starts = np.flatnonzero(first)
            counts = np.diff(starts, append=len(keys)).astype(np.float32)
            keys = keys[starts]
            sizes = np.bincount(keys >> 32, minlength=len(part.sizes))
            return bags_with((keys & 0xFFFFFFFF).astype(np.int32), sizes, counts)

        return join(in_threads(once, self.pieces()))

    def sums(
        self,
        table: Float32[np.ndarray, "rows columns"],
        scale: Float32[np.ndarray, " features"] | None = None,
    ) -> Float32[np.ndarray, "documents columns"]:
        """Return the sum of each document's rows of a table; zeros for a document without rows.

        Args:
            table: The table, usually of embeddings; features are its rows.
            scale: A factor for the row of each feature; None: 1.
        """
        sum_all = sum_rows_in_numpy if library() is None else sum_rows

        def sums_of(piece: tuple[int, int]) -> Float32[np.ndarray, "part columns"]:
            bounds = self.offsets[piece[0] : piece[1] + 1]
            chosen = slice(bounds[0], bounds[-1])
            part = None if scale is None else scale[chosen]
            return sum_all(table, self.features[chosen], bounds - bounds[0], part)

        nothing = np.zeros((0, table.shape[1]), np.float32)
        return np.concatenate([nothing, *in_threads(sums_of, _pieces(self.offsets))])

    def pieces(self) -> Iterator["Bags"]:
        """Yield the bags in pieces of a few documents, of about ``CHUNK`` features each."""
        for first, last in _pieces(self.offsets):
            bounds = self.offsets[first : last + 1]
            chosen = slice(bounds[0], bounds[-1])
            counts = None if self.counts is None else self.counts[chosen]
            yield Bags(self.features[chosen], bounds - bounds[0], counts)


def sum_rows_in_numpy(
    table: Float32[np.ndarray, "rows columns"],
    rows: Int32[np.ndarray, " chosen"],
    offsets: Int64[np.ndarray, " bounds"],
    scale: Float32[np.ndarray, " chosen"] | None = None,
) -> Float32[np.ndarray, "bags columns"]:
    """Return the sum of the rows of each bag; the NumPy twin of the C kernel ``sum_rows``.

    Rows are added from left to right, as in the kernel, so that both round alike. Small bags are
    summed together: the first row of each, then the second of each, and so on.
    """
    sizes = np.diff(offsets)
    found = np.zeros((len(sizes), table.shape[1]), np.float32)

    def scaled(places: Any) -> Float32[np.ndarray, "places columns"]:
        chosen: Float32[np.ndarray, "places columns"] = table[rows[places]]
        return chosen if scale is None else chosen * scale[places][:, None]

    for bag in np.flatnonzero(sizes > MANY_ROWS):
        found[bag] = np.cumsum(scaled(slice(offsets[bag], offsets[bag + 1])), axis=0)[-1]
    bags = np.flatnonzero(sizes <= MANY_ROWS)
    bags = bags[np.argsort(-sizes[bags], kind="stable")]
    starts, lengths, sums = offsets[:-1][bags], sizes[bags], found[bags]
    longer = np.searchsorted(-lengths, -np.arange(lengths.max(initial=0)))
    for place, count in enumerate(longer.tolist()):
        sums[:count] += scaled(starts[:count] + place)
    found[bags] = sums
    return found


@dataclass(frozen=True)
class FeatureTable:
    """The features that have a row in the embedding table.

    Attributes:
        kept: These features in ascending order (token ids, then buckets): row i is ``kept[i]``.
        size: Number of all features.
    """

    kept: Int64[np.ndarray, " rows"]
    size: int

    @cached_property
    def _lookup(self) -> Int32[np.ndarray, " size"]:
        """The row of each feature; -1 if it has none."""
        rows = np.full(self.size, -1, np.int32)
        rows[self.kept] = np.arange(len(self.kept), dtype=np.int32)
        return rows

    def _search(self, features: Int32[np.ndarray, " features"]) -> Int32[np.ndarray, " features"]:
        rows = np.minimum(np.searchsorted(self.kept, features), len(self.kept) - 1)
        found: Int32[np.ndarray, " features"] = np.where(self.kept[rows] == features, rows, -1)
        return found.astype(np.int32)

    def rows(self, bags: Bags) -> Bags:
        """Return bags of rows instead of features; features without a row are left out."""
        is_looked_up = "_lookup" in self.__dict__ or (
            len(bags.features) * SEARCH_COST > self.size and self.size <= MAX_LOOKUP_SIZE
        )
        find = self._lookup.take if is_looked_up else self._search

        def rows_of(part: Bags) -> Bags:
            rows = find(part.features)
            is_kept = rows >= 0
            kept_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_kept)])
            counts = None if part.counts is None else part.counts[is_kept]
            return Bags(rows[is_kept], kept_before[part.offsets], counts)

        return join(in_threads(rows_of, bags.pieces()))

    def restored(self, kept: np.ndarray[Any, np.dtype[Any]]) -> "FeatureTable":
        """Return a table with the rows ``kept`` of a file, of the same number of features.

        Raises:
            ValueError: If these are not features in ascending order.
        """
        # Compared, not subtracted: the difference of two such numbers may overflow 32 bits.
        is_row = kept.ndim == 1 and kept.dtype == np.int32
        rising = is_row and bool(np.all(kept[1:] > kept[:-1]))
        if not (rising and len(kept) and kept[0] >= 0 and kept[-1] < self.size):
            raise ValueError("kept does not name features in order")
        return FeatureTable(kept.astype(np.int64), self.size)


def number_of_features(vocabulary_size: int, options: BagOptions) -> int:
    """Return the number of all features: token ids and buckets.

    Raises:
        SettingError: If there are more than ``MOST_FEATURES``.
    """
    has_runs = options.ngrams > 1 or bool(options.character_ngrams)
    if has_runs and vocabulary_size + options.buckets > MOST_FEATURES:
        raise SettingError(
            f"`buckets` is {options.buckets}; beside a vocabulary of {vocabulary_size:,} tokens "
            f"there are at most {MOST_FEATURES - vocabulary_size:,}."
        )
    return vocabulary_size + (options.buckets if has_runs else 0)


def learn_table(
    bags: Bags, vocabulary_size: int, options: BagOptions, min_count: int
) -> FeatureTable:
    """Return the table of the features that get a row.

    Args:
        bags: The features of the train documents.
        vocabulary_size: Number of token ids, each of which always gets a row.
        options: The features in a bag.
        min_count: Buckets with fewer occurrences in train get no row.
    """
    size = number_of_features(vocabulary_size, options)
    if library() is not None and len(bags.features) <= np.iinfo(np.int32).max:
        counts = count_numbers(bags.features, size)
    else:
        counts = np.bincount(bags.features, minlength=size)
    counts[:vocabulary_size] = min_count
    return FeatureTable(np.flatnonzero(counts >= min_count), len(counts))


def bags_of(texts: Texts, options: BagOptions) -> Bags:
    """Return the features of texts: token ids, and numbers of buckets after them."""
    vocabulary_size = len(texts.tokenizer.vocabulary)
    words = join(_token_bags(texts, vocabulary_size, options))
    return concatenate(words, character_bags(texts, options)) if options.character_ngrams else words


def character_bags(texts: Texts, options: BagOptions) -> Bags:
    """Return only the character n-grams of texts."""
    return join(_character_bags(texts, len(texts.tokenizer.vocabulary), options))


def _token_bags(texts: Texts, vocabulary_size: int, options: BagOptions) -> Iterator[Bags]:
    """Yield the tokens and token n-grams of pieces of documents."""
    store = texts.store
    bounds = store.offsets - 1  # Positions of the boundaries.
    lengths = range(2, options.ngrams + 1)

    def find(piece: tuple[int, int]) -> Bags:
        first, last = piece
        ids = store.ids[bounds[first] : bounds[last] + 1].astype(np.uint64)
        ends = bounds[first : last + 1] - bounds[first]
        buckets, is_inside = _hash_ngrams(ids + np.uint64(1), ends, lengths, options.buckets)
        tokens = ids[1:].astype(np.int32)[:, None]
        is_token = tokens != store.boundary_id
        features = np.hstack([tokens, buckets + np.int32(vocabulary_size)])
        return _bags(features, np.hstack([is_token, is_inside]), ends)

    return in_threads(find, _pieces(bounds))


def _character_bags(texts: Texts, vocabulary_size: int, options: BagOptions) -> Iterator[Bags]:
    """Yield the character n-grams of chunks of documents."""

    def find(chunk: Documents) -> Bags:
        points, sizes = code_points(chunk)
        wide = np.dtype(np.uint32)
        targets = insert_boundaries(points.astype(wide), sizes, END_OF_TEXT, wide)
        symbols = np.concatenate([np.array([END_OF_TEXT], np.uint64), targets.astype(np.uint64)])
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes + 1)])
        buckets, is_inside = _hash_ngrams(
            symbols * CHARACTER_SALT, ends, options.character_ngrams, options.buckets
        )
        return _bags(buckets + np.int32(vocabulary_size), is_inside, ends)

    return in_threads(find, normalized_chunks(texts.documents, texts.tokenizer.options))


def _pieces(bounds: Int64[np.ndarray, " bounds"]) -> Iterator[tuple[int, int]]:
    """Yield ranges of documents (first, last + 1) of about ``CHUNK`` symbols each."""
    first, documents = 0, len(bounds) - 1
    while first < documents:
        last = int(np.searchsorted(bounds, bounds[first] + CHUNK, "right")) - 1
        last = min(max(last, first + 1), documents)
        yield first, last
        first = last


def _hash_ngrams(
    symbols: UInt64[np.ndarray, " symbols"],
    ends: Int64[np.ndarray, " bounds"],
    lengths: Sequence[int],
    buckets: int,
) -> tuple[Int32[np.ndarray, "places lengths"], Bool[np.ndarray, "places lengths"]]:
    """Hash the n-grams of the given lengths that begin at each position.

    Args:
        symbols: Boundary, document, boundary, ..., boundary.
        ends: Positions of the boundaries.
        lengths: Lengths of the n-grams, ascending.
        buckets: Number of buckets.

    Returns:
        The bucket of each n-gram, and whether it is inside a document, its two ends included.
    """
    places = len(symbols) - 1
    found = np.zeros((places, len(lengths)), np.int32)
    is_inside = np.zeros((places, len(lengths)), bool)
    left = np.repeat(ends[1:], np.diff(ends)) - np.arange(places)  # Symbols up to the end.
    # A polynomial hash in 64 bits: that of n symbols follows from that of n - 1. Its high bits are
    # mixed into the low ones, and (hash * buckets) >> 32 scales 32 bits to a bucket without a
    # division (D. Lemire 2019, "Fast random integer generation in an interval").
    state = symbols
    for length in range(2, max(lengths, default=1) + 1):
        state = (state[:-1] ^ (state[:-1] >> np.uint64(32))) * MULTIPLIER + symbols[length - 1 :]
        if length in lengths:
            column = list(lengths).index(length)
            mixed = ((state ^ (state >> np.uint64(29))) * MIXER) >> np.uint64(32)
            bucket = (mixed * np.uint64(buckets)) >> np.uint64(32)
            found[: len(bucket), column] = bucket
            is_inside[:, column] = left >= length - 1
    if 1 in lengths:  # A boundary alone is no n-gram.
        mixed = (symbols[1:] * MIXER) >> np.uint64(32)
        found[:, 0] = (mixed * np.uint64(buckets)) >> np.uint64(32)
        is_inside[:, 0] = left > 1
    return found, is_inside


def _bags(
    features: Int32[np.ndarray, "places kinds"],
    is_inside: Bool[np.ndarray, "places kinds"],
    ends: Int64[np.ndarray, " bounds"],
) -> Bags:
    """Return the bags of the features inside documents, given the features at each position."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_inside.sum(1))])
    return Bags(features[is_inside], before[ends])


def join(parts: Iterable[Bags]) -> Bags:
    """Return bags with the documents of several, one after another."""
    found = list(parts)
    sizes = np.concatenate([np.zeros(0, np.int64), *(part.sizes for part in found)])
    features = np.concatenate([np.zeros(0, np.int32), *(part.features for part in found)])
    counts = [part.counts for part in found if part.counts is not None]
    return bags_with(features, sizes, np.concatenate(counts) if counts else None)


def bags_with(
    features: Int32[np.ndarray, " features"],
    sizes: Int64[np.ndarray, " documents"],
    counts: Float32[np.ndarray, " features"] | None = None,
) -> Bags:
    """Return bags of the given number of features per document."""
    return Bags(features, np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), counts)


def concatenate(left: Bags, right: Bags) -> Bags:
    """Return bags with the features of both, document by document, those of ``left`` first."""
    offsets = left.offsets + right.offsets
    features = np.empty(len(left.features) + len(right.features), np.int32)
    at = np.arange(len(left.features)) + np.repeat(right.offsets[:-1], left.sizes)
    features[at] = left.features
    at = np.arange(len(right.features)) + np.repeat(left.offsets[1:], right.sizes)
    features[at] = right.features
    return Bags(features, offsets)
