"""Bags: each document as the tokens and the runs of tokens and characters in it, order forgotten.

A token is a feature by its id. A run of several tokens, or of characters, is hashed into one of a
number of buckets (the hashing trick of fastText): no table of all runs is kept, and two runs that
share a bucket are taken for one. The document's two ends count as a symbol in runs, so that ``<ab``
is told from ``ab``. Features that too few train documents have are left out; the others are rows
of a table, from 0 up.
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
from thence.tokens.texts import Texts
from thence.tokens.tokenizer import normalized_chunks

CHUNK = 1 << 16
"""Symbols worked on at once: what is made of them stays in the processor's cache."""
MULTIPLIER, MIXER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
CHARACTER_SALT = np.uint64(0x94D049BB133111EB)
NGramLength = Annotated[int, Range(ge=1, le=50, why="longer runs hardly ever recur")]
MOST_FEATURES = (1 << 31) - 1
"""Token ids and buckets, which are numbered together in 32 bits."""
Buckets = Annotated[int, Range(ge=1, le=MOST_FEATURES)]
SEARCH_COST = 64
"""To search for the row of a feature takes as long as writing the rows of so many into a table."""
MAX_LOOKUP_SIZE = 1 << 26
"""Features up to which the row of each is kept ready (256 MB); of more it is searched for."""
MANY_ROWS = 256
"""Rows of a bag from which on NumPy sums them on their own."""
END_OF_TEXT = 0x110000
"""Stands for a document's end among code points."""


@dataclass(frozen=True)
class BagOptions:
    """What is in a bag.

    Attributes:
        ngrams: The longest runs of tokens.
        character_ngrams: Lengths of runs of characters.
        buckets: How many buckets all runs share.
    """

    ngrams: NGramLength
    character_ngrams: tuple[NGramLength, ...]
    buckets: Buckets


@dataclass(frozen=True)
class Bags:
    """The features of documents.

    Attributes:
        features: Of all documents, one document after another.
        offsets: Where each document's features begin, and one past the last; shape
            (documents + 1,).
        counts: Of distinct features, how often the document has each; None: not counted.
    """

    features: Int32[np.ndarray, " features"]
    offsets: Int64[np.ndarray, " bounds"]
    counts: Float32[np.ndarray, " features"] | None = None

    @property
    def sizes(self) -> Int64[np.ndarray, " documents"]:
        """How many features each document has."""
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
        """Return each document's features once each, in order, with their counts."""

        def once(part: Bags) -> Bags:
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
        """Return the sum of each document's rows of a table; zeros for one without any.

        Args:
            table: The rows.
            scale: What the row of each feature is multiplied by; None: 1.
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
        """Yield the bags a few documents at a time."""
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
    """Return the sum of the rows of each bag; see ``sum_rows`` of the core.

    Rows are added from left to right, as there, so that both round alike: bags of few rows all
    together, first row by first row, those of many one by one.
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
    """Which features have a row.

    Attributes:
        kept: Their numbers (token ids, then buckets), rising: row i is feature ``kept[i]``.
        size: How many features there are in all.
    """

    kept: Int64[np.ndarray, " rows"]
    size: int

    @cached_property
    def _lookup(self) -> Int32[np.ndarray, " size"]:
        """The row of each feature, -1 where it has none."""
        rows = np.full(self.size, -1, np.int32)
        rows[self.kept] = np.arange(len(self.kept), dtype=np.int32)
        return rows

    def _search(self, features: Int32[np.ndarray, " features"]) -> Int32[np.ndarray, " features"]:
        rows = np.minimum(np.searchsorted(self.kept, features), len(self.kept) - 1)
        found: Int32[np.ndarray, " features"] = np.where(self.kept[rows] == features, rows, -1)
        return found.astype(np.int32)

    def rows(self, bags: Bags) -> Bags:
        """Return bags with rows in place of features; what has none is left out."""
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
        """Return a table of the same features with other rows, read from a file.

        Raises:
            ValueError: If they do not name features in order.
        """
        # Compared, not subtracted: the difference of two such numbers may have no room in 32 bits.
        is_row = kept.ndim == 1 and kept.dtype == np.int32
        rising = is_row and bool(np.all(kept[1:] > kept[:-1]))
        if not (rising and len(kept) and kept[0] >= 0 and kept[-1] < self.size):
            raise ValueError("kept does not name features in order")
        return FeatureTable(kept.astype(np.int64), self.size)


def number_of_features(vocabulary_size: int, options: BagOptions) -> int:
    """Return how many features there are in all: token ids, then buckets.

    Raises:
        SettingError: If there are more than numbers of 32 bits can tell apart.
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
    """Choose the features that get a row.

    Args:
        bags: Of the train documents.
        vocabulary_size: Number of token ids, each of which has a row in any case.
        options: What is in the bags.
        min_count: Buckets with fewer occurrences in train have none.
    """
    size = number_of_features(vocabulary_size, options)
    if library() is not None and len(bags.features) <= np.iinfo(np.int32).max:
        counts = count_numbers(bags.features, size)
    else:
        counts = np.bincount(bags.features, minlength=size)
    counts[:vocabulary_size] = min_count
    return FeatureTable(np.flatnonzero(counts >= min_count), len(counts))


def bags_of(texts: Texts, options: BagOptions) -> Bags:
    """Return the features of texts: token ids, and then buckets."""
    vocabulary_size = len(texts.tokenizer.vocabulary)
    words = join(_token_bags(texts, vocabulary_size, options))
    return (
        side_by_side(words, character_bags(texts, options)) if options.character_ngrams else words
    )


def character_bags(texts: Texts, options: BagOptions) -> Bags:
    """Return only the features of texts that are runs of characters."""
    return join(_character_bags(texts, len(texts.tokenizer.vocabulary), options))


def _token_bags(texts: Texts, vocabulary_size: int, options: BagOptions) -> Iterator[Bags]:
    store = texts.store
    bounds = store.offsets - 1  # Where the boundaries stand.
    lengths = range(2, options.ngrams + 1)

    def find(piece: tuple[int, int]) -> Bags:
        first, last = piece
        ids = store.ids[bounds[first] : bounds[last] + 1].astype(np.uint64)
        ends = bounds[first : last + 1] - bounds[first]
        buckets, counted = _runs(ids + np.uint64(1), ends, lengths, options.buckets)
        tokens = ids[1:].astype(np.int32)[:, None]
        is_token = tokens != store.boundary_id
        features = np.hstack([tokens, buckets + np.int32(vocabulary_size)])
        return _bags(features, np.hstack([is_token, counted]), ends)

    return in_threads(find, _pieces(bounds))


def _character_bags(texts: Texts, vocabulary_size: int, options: BagOptions) -> Iterator[Bags]:
    def find(chunk: Documents) -> Bags:
        points, sizes = code_points(chunk)
        wide = np.dtype(np.uint32)
        targets = insert_boundaries(points.astype(wide), sizes, END_OF_TEXT, wide)
        symbols = np.concatenate([np.array([END_OF_TEXT], np.uint64), targets.astype(np.uint64)])
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes + 1)])
        buckets, counted = _runs(
            symbols * CHARACTER_SALT, ends, options.character_ngrams, options.buckets
        )
        return _bags(buckets + np.int32(vocabulary_size), counted, ends)

    return in_threads(find, normalized_chunks(texts.documents, texts.tokenizer.options))


def _pieces(bounds: Int64[np.ndarray, " bounds"]) -> Iterator[tuple[int, int]]:
    """Yield pieces of whole documents, first and one past the last, of about CHUNK symbols."""
    first, documents = 0, len(bounds) - 1
    while first < documents:
        last = int(np.searchsorted(bounds, bounds[first] + CHUNK, "right")) - 1
        last = min(max(last, first + 1), documents)
        yield first, last
        first = last


def _runs(
    symbols: UInt64[np.ndarray, " symbols"],
    ends: Int64[np.ndarray, " bounds"],
    lengths: Sequence[int],
    buckets: int,
) -> tuple[Int32[np.ndarray, "places lengths"], Bool[np.ndarray, "places lengths"]]:
    """Hash the runs of the given lengths that begin at each place.

    Args:
        symbols: Boundary, document, boundary, ..., boundary.
        ends: Where the boundaries stand.
        lengths: Of runs, rising.
        buckets: How many there are.

    Returns:
        The bucket of each run, and whether it lies within a document, its two ends included.
    """
    places = len(symbols) - 1
    found = np.zeros((places, len(lengths)), np.int32)
    counted = np.zeros((places, len(lengths)), bool)
    left = np.repeat(ends[1:], np.diff(ends)) - np.arange(places)  # Symbols up to the end.
    state = symbols
    for length in range(2, max(lengths, default=1) + 1):
        state = (state[:-1] ^ (state[:-1] >> np.uint64(32))) * MULTIPLIER + symbols[length - 1 :]
        if length in lengths:
            column = list(lengths).index(length)
            mixed = ((state ^ (state >> np.uint64(29))) * MIXER) >> np.uint64(32)
            bucket = (mixed * np.uint64(buckets)) >> np.uint64(32)
            found[: len(bucket), column] = bucket
            counted[:, column] = left >= length - 1
    if 1 in lengths:
        mixed = (symbols[1:] * MIXER) >> np.uint64(32)
        found[:, 0] = (mixed * np.uint64(buckets)) >> np.uint64(32)
        counted[:, 0] = left > 1
    return found, counted


def _bags(
    features: Int32[np.ndarray, "places kinds"],
    counted: Bool[np.ndarray, "places kinds"],
    ends: Int64[np.ndarray, " bounds"],
) -> Bags:
    """Return the features that count; those that begin in a document are its."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(counted.sum(1))])
    return Bags(features[counted], before[ends])


def join(parts: Iterable[Bags]) -> Bags:
    """Put the documents of several bags one after another."""
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
    """Return bags of the given sizes."""
    return Bags(features, np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), counts)


def side_by_side(left: Bags, right: Bags) -> Bags:
    """Return bags that hold for each document what both hold for it."""
    offsets = left.offsets + right.offsets
    features = np.empty(len(left.features) + len(right.features), np.int32)
    at = np.arange(len(left.features)) + np.repeat(right.offsets[:-1], left.sizes)
    features[at] = left.features
    at = np.arange(len(right.features)) + np.repeat(left.offsets[1:], right.sizes)
    features[at] = right.features
    return Bags(features, offsets)
