"""Counting a text in blocks, for a cluster: what is counted apart is merged as if counted at once.

The n-grams of a text are a tree: below each stand those that are longer by a word. Sorted, all
that begin with one of a range of words stand together in every order, so a tree is cut into ranges
of first words without looking at any n-gram. Trees of the same range, counted on different texts,
are merged order by order; merged ranges are put one after the other.

A worker looks at a block twice, first for its symbols, then, when the vocabulary is known, for its
n-grams; and a third time where the model has to score its own text. Everything here is a plain
function of values that can be sent from machine to machine; the engine that sends them is
``cluster``'s.
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
    """The n-grams of one order that begin with one of a range of words, sorted.

    Attributes:
        prefixes: Number of each without its last word, among those of the range.
        words: Last word of each, in the smallest type.
        counts: How often each occurs, in the smallest type.
    """

    prefixes: Int32[np.ndarray, " ngrams"]
    words: Integer[np.ndarray, " ngrams"]
    counts: Integer[np.ndarray, " ngrams"]


@dataclass(frozen=True)
class Part:
    """All n-grams that begin with one of a range of words.

    Attributes:
        unigrams: How often each word of the range occurs.
        longer: The n-grams of orders 2 and up.
    """

    unigrams: Integer[np.ndarray, " words"]
    longer: tuple[Branches, ...]

    @property
    def num_bytes(self) -> int:
        """What it takes in memory, and to be sent."""
        arrays = [getattr(one, name) for one in self.longer for name in vars(one)]
        return int(self.unigrams.nbytes + sum(array.nbytes for array in arrays))


def ranges_of_words(
    counts: Integer[np.ndarray, " words"], parts: int
) -> Int64[np.ndarray, " bounds"]:
    """Divide the vocabulary where each range's words occur about equally often.

    A word is never divided, so a range may be empty beside one of a very frequent word.

    Args:
        counts: About how often each word occurs.
        parts: How many ranges.

    Returns:
        The first word of each range, and the size of the vocabulary.

    >>> ranges_of_words(np.array([5, 1, 1, 1, 2]), 2)
    array([0, 1, 5])
    """
    occurring = np.cumsum(counts.astype(np.int64) + 1)  # One more, so that none counts for nothing.
    shares = occurring[-1] * np.arange(1, parts) // parts
    cuts = np.searchsorted(occurring, shares, "right")
    return np.concatenate([[0], cuts, [len(counts)]]).astype(np.int64)


def cut_by_first_word(
    counts: Sequence[OrderCounts], bounds: Int64[np.ndarray, " bounds"], vocabulary_size: int
) -> list[Part]:
    """Cut the counts of a text into the n-grams of each range of first words."""
    word_type = np.min_scalar_type(vocabulary_size - 1)
    unigrams = [_smallest(counts[0].counts[first:last]) for first, last in pairwise(bounds)]
    longer: list[list[Branches]] = [[] for _ in unigrams]
    starts = bounds  # of each range, in the order below
    for order in counts[1:]:
        places = np.searchsorted(order.keys, starts * vocabulary_size)
        for branches, (first, last), start in zip(longer, pairwise(places), starts, strict=False):
            prefixes, words = np.divmod(order.keys[first:last], vocabulary_size)
            small = words.astype(word_type), _smallest(order.counts[first:last])
            branches.append(Branches((prefixes - start).astype(np.int32), *small))
        starts = places
    return [Part(one, tuple(rest)) for one, rest in zip(unigrams, longer, strict=True)]


def merge(parts: Sequence[Part], vocabulary_size: int) -> Part:
    """Add up the counts of different texts, all of the same range of first words."""
    word_type = np.min_scalar_type(vocabulary_size - 1)
    unigrams = np.sum([part.unigrams.astype(np.int64) for part in parts], axis=0)
    numbers = [np.arange(len(unigrams))] * len(parts)  # of each part's n-grams among all
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
    """Return what ``count_ngrams`` gives for all texts together.

    Args:
        parts: One for each range of first words, in order.
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
    """Count the n-grams of running text that end in a store, whatever of it they begin before.

    Those of the context alone are listed too, with what is left of their counts: perhaps nothing.

    Args:
        context: What stands before the store's first target: N - 1 ids, or all there are.
        store: The tokens.
        order: The highest order (N).
        vocabulary_size: Number of ids (V).
        memory: About how many bytes to work in.
    """
    whole = count_ngrams(following(context, store), order, vocabulary_size, True, memory)
    words = context.astype(np.int64)
    numbers, counts = words, []  # of the n-grams that end at each place of the context
    for level, found in enumerate(whole):
        if level:
            numbers = find(found.keys, numbers[:-1], words[level:], vocabulary_size)
        left = np.array(found.counts)
        np.subtract.at(left, numbers if level else words[1:], 1)
        counts.append(OrderCounts(found.keys, left, found.suffixes))
    return counts


def following(context: Integer[np.ndarray, " before"], store: TokenStore) -> TokenStore:
    """Return a store that begins with a context, for counting or scoring running text."""
    ids = np.concatenate([context.astype(store.ids.dtype), store.targets])
    offsets = np.array([1, len(ids)])
    length = np.array([len(ids)])
    return TokenStore(ids, offsets, length, length, store.boundary_id)


def _smallest(counts: Int64[np.ndarray, " counts"]) -> Integer[np.ndarray, " counts"]:
    return counts.astype(np.min_scalar_type(counts.max(initial=0)))


Context = Integer[np.ndarray, " before"] | None
"""Of running text, the last ids before a block; None where no n-gram crosses documents."""


@dataclass(frozen=True)
class Survey:
    """What some blocks hold.

    Attributes:
        symbols: How often each symbol occurs.
        documents: How many documents there are.
        num_bytes: Bytes of their text.
        hashes: Content hash of each block's documents, in order.
    """

    symbols: dict[str, int]
    documents: int
    num_bytes: int
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """How blocks are counted.

    Attributes:
        reading: How files are read.
        tokenizer: Text to ids.
        order: The highest order (N).
        bounds: The first word of each range that is merged apart, and V.
        memory: About how many bytes to count in; None for as many as needed.
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
    """Add up the surveys of blocks, given in order."""
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
    """Return the last targets of a block: what the next one must know of running text."""
    targets = plan.store(block).targets
    return targets[max(len(targets) - plan.order + 1, 0) :].copy()


def contexts_of(
    endings: Sequence[Integer[np.ndarray, " last"]], order: int, boundary: int
) -> list[Integer[np.ndarray, " before"]]:
    """Return the last N - 1 ids before each block, fewer near the beginning of the text."""
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
    """Return the log-probability of a block by a model."""
    store = plan.store(block)
    if context is None:
        return float(np.sum(model.score(store, False)))
    return float(np.sum(model.score(following(context, store), True)[len(context) - 1 :]))
