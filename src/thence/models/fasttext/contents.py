"""The contents of a fastText file: settings, a dictionary, and two matrices.

Rows of the input matrix are the words of the dictionary, then buckets that n-grams are hashed into.
A quantised matrix (H. Jégou, M. Douze and C. Schmid 2011, "Product quantization for nearest
neighbor search") stores for each part of a row the nearest of 256 centroids; A. Joulin et al. 2016,
"FastText.zip: compressing text classification models", describe its use in fastText.
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
"""The names of losses and models, in the order in which files number them from 1."""

CENTROIDS = 256
"""Centroids of each part of a row: a code is a byte."""

FNV_32, FNV_32_PRIME, ONES = np.uint64(2166136261), np.uint64(16777619), np.uint64(0xFFFFFFFF)
"""Offset basis and prime of the hash FNV-1a in 32 bits, and the mask of the low 32 bits."""
FNV_64, FNV_64_PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)
"""Offset basis and prime of FNV-1a in 64 bits."""
SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier that spreads a key over all bits (Fibonacci hashing): 2^64 over the golden ratio."""

SubwordLength = Annotated[int, Range(ge=0, le=50, why="longer runs hardly ever recur")]
Bucket = Annotated[int, Range(ge=0, le=(1 << 31) - 1)]


@dataclass(frozen=True)
class Arguments(Settings):
    """The settings that a file stores, by fastText's names and with its defaults."""

    dim: PositiveInt = 100
    """Size of the vectors (D)."""
    ws: int = 5
    """Size of the context window: words on each side."""
    epoch: int = 5
    """Passes over the text."""
    min_count: int = 5
    """Minimum count of a word in the dictionary."""
    neg: int = 5
    """Number of negative samples."""
    word_ngrams: NGramLength = 1
    """Maximum length of word n-grams."""
    loss: Loss = "ns"
    """Hierarchical softmax, negative sampling, softmax, or one vs all."""
    model: Kind = "skipgram"
    """Word vectors (cbow, skipgram) or a classifier (supervised)."""
    bucket: Bucket = 2_000_000
    """Number of buckets of n-grams."""
    minn: SubwordLength = 3
    """Minimum length of character n-grams."""
    maxn: SubwordLength = 6
    """Maximum length of character n-grams; 0: none."""
    lr_update_rate: int = 100
    """Number of tokens between two updates of the learning rate."""
    t: float = 1e-4
    """Sampling threshold of frequent words."""

    @property
    def hashes(self) -> bool:
        """Whether there are n-grams, of characters or of words."""
        return self.maxn > 0 or self.word_ngrams > 1


@dataclass(frozen=True)
class Entries:
    """Strings with their counts, in one buffer of bytes.

    Attributes:
        text: The bytes of all strings, concatenated.
        offsets: The offset of each string, and the end of the last; shape (strings + 1,).
        counts: The count of each string in the train text.
    """

    text: UInt8[np.ndarray, " bytes"]
    offsets: Int64[np.ndarray, " bounds"]
    counts: Int64[np.ndarray, " strings"]

    @classmethod
    def of(cls, strings: Iterable[str | bytes], counts: Iterable[int]) -> "Entries":
        """Make entries from strings and their counts."""
        encoded = [s.encode("utf-8") if isinstance(s, str) else s for s in strings]
        offsets = np.array([0, *accumulate(map(len, encoded))], np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets, np.array([*counts], int))

    def __len__(self) -> int:
        return len(self.counts)

    def keys(self) -> UInt64[np.ndarray, " strings"]:
        """Return the 64-bit hash by which each string is looked up."""
        return hash_strings(self.text, self.offsets[:-1], np.diff(self.offsets))[1]

    def encoded(self) -> list[bytes]:
        """Return the strings as they are in the file."""
        data, bounds = self.text.tobytes(), self.offsets.tolist()
        return [data[start:end] for start, end in pairwise(bounds)]

    def names(self) -> list[str]:
        """Return the strings decoded from UTF-8, with replacement characters for invalid bytes."""
        return [string.decode("utf-8", errors="replace") for string in self.encoded()]


@dataclass(frozen=True)
class Dictionary:
    """The words and labels of a model.

    Attributes:
        words: The words, whose ids are 0 to W - 1.
        labels: The labels with their prefix; their ids follow those of the words.
        num_tokens: Number of tokens of the train text.
        pruned: The buckets that were kept, and their rows counted from the end of the words; shape
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
        """Hash table from keys (``hash_strings``) to ids of words and labels."""
        keys = np.concatenate([self.words.keys(), self.labels.keys()])
        _, last = np.unique(keys[::-1], return_index=True)
        ids = len(keys) - 1 - last
        table = HashTable()
        table.add(keys[ids], ids.astype(np.int32))
        return table

    @cached_property
    def rows(self) -> HashTable | None:
        """Hash table from kept buckets to their rows, counted from the end of the words.

        None if all buckets have a row.
        """
        if self.pruned is None:
            return None
        table = HashTable()
        table.add(spread(self.pruned[:, 0]), self.pruned[:, 1])
        return table


@dataclass(frozen=True)
class Dense:
    """A matrix of single-precision numbers.

    Attributes:
        values: Shape (R, D); may be memory-mapped and unaligned.
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
    """A product-quantised matrix: each row is a concatenation of centroids.

    Attributes:
        codes: The index of the centroid of each part of each row; shape (R, P).
        centroids: The 256 centroids of each part, one part after another; shape (256 D,).
        dim: Number of columns (D).
        part_size: Columns of each part; the last may have fewer.
        norm_codes: The index of the norm that each row is multiplied by; None: 1.
        norms: The 256 distinct norms.
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
        """Return the chosen rows, decoded."""
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
    """A model, as a file holds it.

    Attributes:
        arguments: Its settings.
        dictionary: Its words and labels.
        input: The embeddings: one row for each word, then one for each bucket with a row.
        output: One row for each label of a supervised model, else for each word. With a
            hierarchical softmax, one for each inner node of the tree, and a last unused one.
    """

    arguments: Arguments
    dictionary: Dictionary
    input: Matrix
    output: Matrix

    def __post_init__(self) -> None:
        """Check that the parts fit together, so that no index is out of the bounds of a matrix.

        Raises:
            ValueError: If they do not.
        """
        check_consistent(self)

    @cached_property
    def columns(self) -> Float32[np.ndarray, "dim targets"]:
        """The transposed output matrix, without the factors in ``norms``."""
        matrix = self.output
        if isinstance(matrix, Quantised):
            matrix = replace(matrix, norm_codes=None, norms=None)
        return np.ascontiguousarray(matrix.rows(np.arange(matrix.shape[0])).T)

    @cached_property
    def norms(self) -> Float32[np.ndarray, " targets"] | None:
        """The factor of each row of a quantised output matrix; None: 1."""
        matrix = self.output
        if isinstance(matrix, Dense) or matrix.norm_codes is None or matrix.norms is None:
            return None
        norms: Float32[np.ndarray, " targets"] = matrix.norms[matrix.norm_codes]
        return norms

    @cached_property
    def tree(self) -> list[Level]:
        """The Huffman tree of a hierarchical softmax."""
        return levels(self.targets.counts)

    @property
    def targets(self) -> Entries:
        """The strings that are predicted: the labels, or the words."""
        supervised = self.arguments.model == "supervised"
        return self.dictionary.labels if supervised else self.dictionary.words


def check_consistent(model: FastTextModel) -> None:
    """Check that the sizes of a model's settings, dictionary and matrices agree.

    Raises:
        ValueError: If two of them do not; names them.
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
    """Return fastText's hash (FNV-1a, 32 bits) of each string, and its key of 64 bits for look-up.

    FastText's hash treats bytes from 128 on as negative numbers. The key is FNV-1a in 64 bits,
    mixed.
    """
    # All strings are hashed together, byte by byte: sorted by falling length, those that have a
    # byte at a position are a prefix.
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
    """Return fastText's hashes (FNV-1a, 32 bits, signed bytes) extended by one byte each."""
    signed = added.view(np.int8).astype(np.int64).view(np.uint64)
    return ((hashes ^ signed) * FNV_32_PRIME) & ONES


def spread(buckets: Integer[np.ndarray, " buckets"]) -> UInt64[np.ndarray, " buckets"]:
    """Return the keys of buckets in the hash table ``Dictionary.rows``."""
    keys: UInt64[np.ndarray, " buckets"] = (buckets.astype(np.uint64) + np.uint64(1)) * SPREAD
    return keys
