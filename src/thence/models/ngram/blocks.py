"""Counting a text in blocks on a cluster, and merging the counts exactly.

The n-grams of a text are a trie: below each are those that are longer by a word. When they are
sorted, all that begin with a range of words are contiguous in every order, so the trie is cut into
ranges of first words by binary search. Tries of the same range, counted on different texts, are
merged order by order; merged ranges are concatenated.

A worker reads a block twice, first to count its symbols, then, when the vocabulary is known, its
n-grams; and a third time if the model has to score its own text. Everything here is a plain
function of values that can be sent between machines; ``cluster`` sends them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from thence.array_types import Int32, Int64, Integer
from thence.corpus import ReadingOptions
from thence.corpus.blocks import Block, read_block
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.model import NGram
from thence.models.ngram.sorting import OrderCounts, distinct, find
from thence.tokens import Tokenizer, TokenOptions, TokenStore, count_symbols, encode_in_memory


@dataclass(frozen=True)
class Branches:
    """The n-grams of one order that begin with a range of words, sorted.

    Attributes:
        prefixes: Index of each n-gram's prefix (without its last word) within the range.
        words: Last word of each, in the smallest dtype.
        counts: Count of each, in the smallest dtype.
    """

    prefixes: Int32[np.ndarray, " ngrams"]
    words: Integer[np.ndarray, " ngrams"]
    counts: Integer[np.ndarray, " ngrams"]


@dataclass(frozen=True)
class Part:
    """All n-grams that begin with a range of words.

    Attributes:
        unigrams: Count of each word of the range.
        longer: The n-grams of orders 2 and up.
    """

    unigrams: Integer[np.ndarray, " words"]
    longer: tuple[Branches, ...]

    @property
    def num_bytes(self) -> int:
        """Size in bytes, in memory and when it is sent."""
        arrays = [getattr(one, name) for one in self.longer for name in vars(one)]
        return int(self.unigrams.nbytes + sum(array.nbytes for array in arrays))


def ranges_of_words(
    counts: Integer[np.ndarray, " words"], parts: int
) -> Int64[np.ndarray, " bounds"]:
    """Divide the vocabulary into ranges of words with about equal total counts.

    A word is never divided, so a range may be empty next to that of a very frequent word.

    Args:
        counts: Approximate count of each word.
        parts: Number of ranges.

    Returns:
        The first word of each range, and the size of the vocabulary.

    >>> ranges_of_words(np.array([5, 1, 1, 1, 2]), 2)
    array([0, 1, 5])
    """
    occurring = np.cumsum(counts.astype(np.int64) + 1)  # Plus one, so that no word has weight 0.
    shares = occurring[-1] * np.arange(1, parts) // parts
    cuts = np.searchsorted(occurring, shares, "right")
    return np.concatenate([[0], cuts, [len(counts)]]).astype(np.int64)


def cut_by_first_word(
    counts: Sequence[OrderCounts], bounds: Int64[np.ndarray, " bounds"], vocabulary_size: int
) -> list[Part]:
    """Split the counts of a text by ranges of first words.

    Args:
        counts: The counts of orders 1 to N.
        bounds: The first word of each range, and V.
        vocabulary_size: Number of ids (V).
    """
    word_type = np.min_scalar_type(vocabulary_size - 1)
    unigrams = [_smallest(counts[0].counts[first:last]) for first, last in pairwise(bounds)]
    longer: list[list[Branches]] = [[] for _ in unigrams]
    starts = bounds  # Where each range begins in the order below.
    for order in counts[1:]:
        places = np.searchsorted(order.keys, starts * vocabulary_size)
        for branches, (first, last), start in zip(longer, pairwise(places), starts, strict=False):
            prefixes, words = np.divmod(order.keys[first:last], vocabulary_size)
            small = words.astype(word_type), _smallest(order.counts[first:last])
            branches.append(Branches((prefixes - start).astype(np.int32), *small))
        starts = places
    return [Part(one, tuple(rest)) for one, rest in zip(unigrams, longer, strict=True)]


def merge(parts: Sequence[Part], vocabulary_size: int) -> Part:
    """Merge the counts of the same range of first words in several texts."""
    word_type = np.min_scalar_type(vocabulary_size - 1)
    unigrams = np.sum([part.unigrams.astype(np.int64) for part in parts], axis=0)
    numbers = [np.arange(len(unigrams))] * len(parts)  # Each part's n-grams as merged indexes.
    longer = []
    for level in range(len(parts[0].longer)):
        branches = [part.longer[level] for part in parts]
        keys = np.concatenate(
            [
                known[one.prefixes].astype(np.int64) * vocabulary_size + one.words
                for known, one in zip(numbers, branches, strict=True)
            ]
        )
        found, _, which, _ = distinct(keys)
        seen = np.concatenate([one.counts for one in branches])
        totals = np.bincount(which, seen, len(found))  # Exact: far below 2^53.
        numbers = np.split(which, np.cumsum([len(one.words) for one in branches])[:-1])
        prefixes, words = np.divmod(found, vocabulary_size)
        small = words.astype(word_type), _smallest(totals.astype(np.int64))
        longer.append(Branches(prefixes.astype(np.int32), *small))
    return Part(_smallest(unigrams), tuple(longer))


def assemble(parts: Sequence[Part], vocabulary_size: int) -> list[OrderCounts]:
    """Return the counts of all ranges, as ``count_ngrams`` returns them for a whole text.

    Args:
        parts: The merged part of each range of first words, in order.
        vocabulary_size: Number of ids (V).
    """
    unigrams = np.concatenate([part.unigrams for part in parts]).astype(np.int64)
    nothing = np.zeros(vocabulary_size, np.int32)
    counts = [OrderCounts(np.arange(vocabulary_size), unigrams, nothing)]
    sizes = [len(part.unigrams) for part in parts]
    for level in range(len(parts[0].longer)):
        branches = [part.longer[level] for part in parts]
        starts = np.cumsum([0, *sizes[:-1]])
        prefixes = np.concatenate(
            [
                one.prefixes.astype(np.int64) + start
                for one, start in zip(branches, starts, strict=True)
            ]
        )
        words = np.concatenate([one.words for one in branches]).astype(np.int64)
        seen = np.concatenate([one.counts for one in branches]).astype(np.int64)
        below = counts[-1]
        suffixes = words
        if level:
            shorter = below.suffixes[prefixes].astype(np.int64)
            suffixes = find(below.keys, shorter, words, vocabulary_size)
        keys = prefixes * vocabulary_size + words
        counts.append(OrderCounts(keys, seen, suffixes.astype(np.int32)))
        sizes = [len(one.words) for one in branches]
    return counts


def count_after(
    context: Integer[np.ndarray, " before"],
    store: TokenStore,
    order: int,
    vocabulary_size: int,
    memory: int | None = None,
) -> list[OrderCounts]:
    """Count the n-grams of running text that end in a store, including those that begin before it.

    N-grams that end in the context are listed too, without the occurrences there: perhaps with 0.

    Args:
        context: The N - 1 ids before the store's first target, or all there are.
        store: The tokens.
        order: The highest order (N).
        vocabulary_size: Number of ids (V).
        memory: About how many bytes to work in.
    """
    whole = count_ngrams(following(context, store), order, vocabulary_size, True, memory)
    words = context.astype(np.int64)
    # Subtract the n-grams that end within the context: the previous block counts them.
    numbers, counts = words, []  # Indexes of the n-grams that end at each position of the context.
    for level, found in enumerate(whole):
        if level:
            numbers = find(found.keys, numbers[:-1], words[level:], vocabulary_size)
        left = np.array(found.counts)
        np.subtract.at(left, numbers if level else words[1:], 1)
        counts.append(OrderCounts(found.keys, left, found.suffixes))
    return counts


def following(context: Integer[np.ndarray, " before"], store: TokenStore) -> TokenStore:
    """Return a store with a context prepended, for counting or scoring running text."""
    ids = np.concatenate([context.astype(store.ids.dtype), store.targets])
    offsets = np.array([1, len(ids)])
    length = np.array([len(ids)])
    return TokenStore(ids, offsets, length, length, store.boundary_id)


def _smallest(counts: Int64[np.ndarray, " counts"]) -> Integer[np.ndarray, " counts"]:
    """Return counts in the smallest dtype that holds them."""
    return counts.astype(np.min_scalar_type(counts.max(initial=0)))


Context = Integer[np.ndarray, " before"] | None
"""In running text, the last ids before a block; None if no n-gram crosses documents."""


@dataclass(frozen=True)
class Survey:
    """Statistics of some blocks, from the first reading.

    Attributes:
        symbols: Count of each symbol.
        documents: Number of documents.
        num_bytes: Size of their text in bytes.
        hashes: Content hash of each block's documents, in order.
    """

    symbols: dict[str, int]
    documents: int
    num_bytes: int
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The settings with which all blocks are counted.

    Attributes:
        reading: How files are read.
        tokenizer: The tokenizer.
        order: The highest order (N).
        bounds: The first word of each range that is merged separately, and V.
        memory: About how many bytes to work in; None: no bound.
    """

    reading: ReadingOptions
    tokenizer: Tokenizer
    order: int
    bounds: Int64[np.ndarray, " bounds"]
    memory: int | None

    @property
    def vocabulary_size(self) -> int:
        """Number of ids (V)."""
        return len(self.tokenizer.vocabulary)

    def store(self, block: Block) -> TokenStore:
        """Return the tokens of a block."""
        return encode_in_memory(self.tokenizer, read_block(block, self.reading))


def survey(block: Block, reading: ReadingOptions, tokens: TokenOptions) -> Survey:
    """Read a block and count its symbols."""
    documents = read_block(block, reading)
    symbols = dict(count_symbols(documents, tokens))
    return Survey(symbols, len(documents), documents.num_bytes, (documents.content_hash(),))


def join_surveys(surveys: Sequence[Survey]) -> Survey:
    """Merge the surveys of blocks, given in order."""
    symbols: Counter[str] = Counter()
    for one in surveys:
        symbols.update(one.symbols)
    return Survey(
        dict(symbols),
        sum(one.documents for one in surveys),
        sum(one.num_bytes for one in surveys),
        tuple(digest for one in surveys for digest in one.hashes),
    )


def ending(block: Block, plan: Plan) -> Integer[np.ndarray, " last"]:
    """Return the last N - 1 targets of a block: context for the next one in running text."""
    targets = plan.store(block).targets
    return targets[max(len(targets) - plan.order + 1, 0) :].copy()


def contexts_of(
    endings: Sequence[Integer[np.ndarray, " last"]], order: int, boundary: int
) -> list[Integer[np.ndarray, " before"]]:
    """Return the last N - 1 ids before each block; fewer near the beginning of the text."""
    context = np.array([boundary])
    contexts = []
    for last in endings:
        contexts.append(context)
        context = np.concatenate([context, last])[-max(order - 1, 1) :]
    return contexts


def count_block(block: Block, context: Context, plan: Plan) -> list[Part]:
    """Count the n-grams of a block; return them by range of first words."""
    store, size = plan.store(block), plan.vocabulary_size
    if context is None:
        counts = count_ngrams(store, plan.order, size, False, plan.memory)
    else:
        counts = count_after(context, store, plan.order, size, plan.memory)
    return cut_by_first_word(counts, plan.bounds, size)


def nats_of(block: Block, context: Context, plan: Plan, model: NGram) -> float:
    """Return the log-probability of a block by a model, in nats."""
    store = plan.store(block)
    if context is None:
        return float(np.sum(model.score(store, False)))
    return float(np.sum(model.score(following(context, store), True)[len(context) - 1 :]))
