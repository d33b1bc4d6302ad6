"""What a file of fastText holds: settings, a dictionary, and two matrices.

Rows of the input matrix are the words of the dictionary, then buckets that n-grams are hashed into.
A quantised matrix (H. Jégou, M. Douze and C. Schmid 2011, "Product quantization for nearest
neighbor search") keeps for each part of a row which of 256 centroids it is nearest to; A. Joulin et
al. 2016, "FastText.zip: compressing text classification models", say how fastText uses it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Annotated, Literal, get_args

import numpy as np

from thence.array_types import Float32, Int32, Int64, Integer, UInt8, UInt64
from thence.batches.bags import MOST_FEATURES, NGramLength
from thence.models.fasttext.tree import NOT_MADE, Level, levels
from thence.settings import PositiveInt, Range, Settings
from thence.tokens.hashing import HashTable

Loss = Literal["hs", "ns", "softmax", "ova"]
Kind = Literal["cbow", "skipgram", "supervised"]
LOSSES, KINDS = get_args(Loss), get_args(Kind)
"""In the order in which files number them, from 1."""

CENTROIDS = 256
"""Centroids of each part of a row: a code is a byte."""

FNV_32, FNV_32_PRIME, ONES = np.uint64(2166136261), np.uint64(16777619), np.uint64(0xFFFFFFFF)
FNV_64, FNV_64_PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)
SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Spreads a key over all bits: 2^64 divided by the golden ratio."""

SubwordLength = Annotated[int, Range(ge=0, le=50, why="longer runs hardly ever recur")]
Bucket = Annotated[int, Range(ge=0, le=(1 << 31) - 1)]


@dataclass(frozen=True)
class Arguments(Settings):
    """The settings that a file keeps, with fastText's defaults."""

    dim: PositiveInt = 100
    """Size of a row (D)."""
    ws: int = 5
    """Words on each side that are context."""
    epoch: int = 5
    """Passes over the text."""
    min_count: int = 5
    """Words that occur less often are left out."""
    neg: int = 5
    """Words drawn as negative samples."""
    word_ngrams: NGramLength = 1
    """Longest runs of words."""
    loss: Loss = "ns"
    """Hierarchical softmax, negative sampling, softmax, or one yes or no for each label."""
    model: Kind = "skipgram"
    """What was learned."""
    bucket: Bucket = 2_000_000
    """Buckets of n-grams."""
    minn: SubwordLength = 3
    """Shortest runs of characters."""
    maxn: SubwordLength = 6
    """Longest runs of characters; 0: there are none."""
    lr_update_rate: int = 100
    """Tokens after which the learning rate changes."""
    t: float = 1e-4
    """Sampling threshold of frequent words."""

    @property
    def hashes(self) -> bool:
        """Whether there are n-grams, of characters or of words."""
        return self.maxn > 0 or self.word_ngrams > 1


@dataclass(frozen=True)
class Entries:
    """Strings with their counts; the bytes of all of them stand one after another.

    Attributes:
        text: The bytes.
        offsets: Where each string begins, and one past the last; shape (strings + 1,).
        counts: How often each was seen in training.
    """

    text: UInt8[np.ndarray, " bytes"]
    offsets: Int64[np.ndarray, " bounds"]
    counts: Int64[np.ndarray, " strings"]

    @classmethod
    def of(cls, strings: Iterable[str | bytes], counts: Iterable[int]) -> "Entries":
        """Return strings with their counts."""
        encoded = [s.encode("utf-8") if isinstance(s, str) else s for s in strings]
        offsets = np.array([0, *accumulate(map(len, encoded))], np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets, np.array([*counts], int))

    def __len__(self) -> int:
        return len(self.counts)

    def keys(self) -> UInt64[np.ndarray, " strings"]:
        """Return what the strings are looked up by."""
        return hash_strings(self.text, self.offsets[:-1], np.diff(self.offsets))[1]

    def encoded(self) -> list[bytes]:
        """Return the strings as they are in the file."""
        data, bounds = self.text.tobytes(), self.offsets.tolist()
        return [data[start:end] for start, end in pairwise(bounds)]

    def names(self) -> list[str]:
        """Return the strings; what is no UTF-8 in them is shown as the replacement character."""
        return [string.decode("utf-8", errors="replace") for string in self.encoded()]


@dataclass(frozen=True)
class Dictionary:
    """The words and labels of a model.

    Attributes:
        words: The words, whose ids are 0 to W - 1.
        labels: The labels with the mark before them; their ids follow those of the words.
        num_tokens: Tokens of the train text.
        pruned: Buckets that were kept and their rows, counted after those of the words; shape
            (kept, 2). None: all buckets have a row.
    """

    words: Entries
    labels: Entries
    num_tokens: int
    pruned: Int32[np.ndarray, "kept 2"] | None = None

    def __len__(self) -> int:
        return len(self.words) + len(self.labels)

    @cached_property
    def table(self) -> HashTable:
        """The ids of words and labels by their keys (``hash_strings``); the last of equal ones."""
        keys = np.concatenate([self.words.keys(), self.labels.keys()])
        _, last = np.unique(keys[::-1], return_index=True)
        ids = len(keys) - 1 - last
        table = HashTable()
        table.add(keys[ids], ids.astype(np.int32))
        return table

    @cached_property
    def rows(self) -> HashTable | None:
        """The rows of buckets, counted after those of the words; None: all have one."""
        if self.pruned is None:
            return None
        table = HashTable()
        table.add(spread(self.pruned[:, 0]), self.pruned[:, 1])
        return table


@dataclass(frozen=True)
class Dense:
    """A matrix of single-precision numbers.

    Attributes:
        values: Shape (R, D); may be memory-mapped, and stand anywhere in memory.
    """

    values: Float32[np.ndarray, "rows dim"]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns (R, D)."""
        return self.values.shape[0], self.values.shape[1]

    def rows(self, ids: Integer[np.ndarray, " chosen"]) -> Float32[np.ndarray, "chosen dim"]:
        """Return the chosen rows."""
        found: Float32[np.ndarray, "chosen dim"] = self.values[ids]
        return found


@dataclass(frozen=True)
class Quantised:
    """A matrix whose rows are parts, each one of 256 centroids.

    Attributes:
        codes: The centroid of each part of each row; shape (R, P).
        centroids: Of one part after another, 256 each; shape (256 D,).
        dim: Columns (D).
        part_size: Columns of each part but the last, which may have fewer.
        norm_codes: Which of ``norms`` the parts of each row are multiplied by; None: 1.
        norms: Shape (256,).
    """

    codes: UInt8[np.ndarray, "rows parts"]
    centroids: Float32[np.ndarray, " centroids"]
    dim: int
    part_size: int
    norm_codes: UInt8[np.ndarray, " rows"] | None = None
    norms: Float32[np.ndarray, " 256"] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns (R, D)."""
        return len(self.codes), self.dim

    def rows(self, ids: Integer[np.ndarray, " chosen"]) -> Float32[np.ndarray, "chosen dim"]:
        """Return the chosen rows, put together from their parts."""
        found = np.empty((len(ids), self.dim), np.float32)
        codes = self.codes[ids]
        for part in range(codes.shape[1]):
            first, last = part * self.part_size, min((part + 1) * self.part_size, self.dim)
            table = self.centroids[CENTROIDS * first : CENTROIDS * last]
            found[:, first:last] = table.reshape(CENTROIDS, -1)[codes[:, part]]
        if self.norm_codes is not None and self.norms is not None:
            found *= self.norms[self.norm_codes[ids]][:, None]
        return found


Matrix = Dense | Quantised


@dataclass(frozen=True)
class FastTextModel:
    """Everything that a file holds.

    Attributes:
        arguments: Its settings.
        dictionary: Its words and labels.
        input: One row for each word, then one for each bucket that has one.
        output: One row for each label of a supervised model, else for each word; of a hierarchical
            softmax one for each inner node of the tree, and a last one that nothing uses.
    """

    arguments: Arguments
    dictionary: Dictionary
    input: Matrix
    output: Matrix

    def __post_init__(self) -> None:
        """Check that the parts fit together, so that no id leads beyond a matrix.

        Raises:
            ValueError: If they do not.
        """
        refuse_misfits(self)

    @cached_property
    def columns(self) -> Float32[np.ndarray, "dim targets"]:
        """The rows of the output matrix side by side, not multiplied by their norms yet."""
        matrix = self.output
        if isinstance(matrix, Quantised):
            matrix = replace(matrix, norm_codes=None, norms=None)
        return np.ascontiguousarray(matrix.rows(np.arange(matrix.shape[0])).T)

    @cached_property
    def norms(self) -> Float32[np.ndarray, " targets"] | None:
        """What the products with each row of the output matrix are multiplied by; None: 1."""
        matrix = self.output
        if isinstance(matrix, Dense) or matrix.norm_codes is None or matrix.norms is None:
            return None
        norms: Float32[np.ndarray, " targets"] = matrix.norms[matrix.norm_codes]
        return norms

    @cached_property
    def tree(self) -> list[Level]:
        """The tree of a hierarchical softmax."""
        return levels(self.targets.counts)

    @property
    def targets(self) -> Entries:
        """What is predicted: the labels, or the words."""
        supervised = self.arguments.model == "supervised"
        return self.dictionary.labels if supervised else self.dictionary.words


def refuse_misfits(model: FastTextModel) -> None:
    """Raise if the parts of a model do not fit together.

    Raises:
        ValueError: Says which.
    """
    arguments, dictionary = model.arguments, model.dictionary
    words, pruned = len(dictionary.words), dictionary.pruned
    if arguments.hashes and not arguments.bucket:
        raise ValueError("it has n-grams, but no buckets for them")
    buckets = {arguments.bucket} if arguments.hashes else {0, arguments.bucket}
    if pruned is not None:
        buckets = {len(pruned)}
        if not np.array_equal(np.sort(pruned[:, 1]), np.arange(len(pruned))):
            raise ValueError("the rows of its buckets are not those after its words")
        if pruned.min(initial=0) < 0 or len(np.unique(pruned[:, 0])) < len(pruned):
            raise ValueError("a bucket has two rows, or is none")
    rows, dim = model.input.shape
    if max(rows, len(dictionary)) > MOST_FEATURES:
        raise ValueError("it has more rows than numbers of 32 bits can tell apart")
    if rows - words not in buckets or dim != arguments.dim:
        raise ValueError(
            f"its input matrix is of {rows:,} x {dim:,}, but it has {words:,} words, "
            f"{max(buckets):,} buckets and `dim={arguments.dim}`"
        )
    if model.output.shape != (len(model.targets), dim):
        rows = model.output.shape[0]
        raise ValueError(f"its output matrix has {rows:,} rows, not {len(model.targets):,}")
    if len(model.targets) < 1:
        raise ValueError("it has nothing to predict")
    if (
        arguments.loss == "hs"
        and not 0 <= model.targets.counts.min() <= model.targets.counts.max() < NOT_MADE
    ):
        raise ValueError("a count is no count")


def hash_strings(
    text: UInt8[np.ndarray, " bytes"],
    starts: Int64[np.ndarray, " strings"],
    sizes: Int64[np.ndarray, " strings"],
) -> tuple[UInt64[np.ndarray, " strings"], UInt64[np.ndarray, " strings"]]:
    """Return fastText's hash of each string (FNV-1a of 32 bits) and the key it is looked up by.

    FastText takes bytes from 128 on as negative numbers. The key is FNV-1a of 64 bits, mixed.
    """
    order = np.argsort(-sizes, kind="stable")
    starts, sizes = starts[order], sizes[order]
    hashes = np.full(len(sizes), FNV_32, np.uint64)
    keys = np.full(len(sizes), FNV_64, np.uint64)
    longer = np.searchsorted(-sizes, -np.arange(sizes.max(initial=0)))
    for place, count in enumerate(longer.tolist()):
        added = text[starts[:count] + place]
        hashes[:count] = fnv(hashes[:count], added)
        keys[:count] = (keys[:count] ^ added) * FNV_64_PRIME
    back = np.argsort(order)
    return hashes[back], ((keys ^ (keys >> np.uint64(32))) * SPREAD)[back]


def fnv(
    hashes: UInt64[np.ndarray, " hashes"], added: UInt8[np.ndarray, " hashes"]
) -> UInt64[np.ndarray, " hashes"]:
    """Return fastText's hashes after one more byte each."""
    signed = added.view(np.int8).astype(np.int64).view(np.uint64)
    return ((hashes ^ signed) * FNV_32_PRIME) & ONES


def spread(buckets: Integer[np.ndarray, " buckets"]) -> UInt64[np.ndarray, " buckets"]:
    """Return the keys by which a table of buckets is asked."""
    keys: UInt64[np.ndarray, " buckets"] = (buckets.astype(np.uint64) + np.uint64(1)) * SPREAD
    return keys
