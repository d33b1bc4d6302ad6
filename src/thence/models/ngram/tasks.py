"""What a worker of a cluster does: plain functions of values that can be sent.

No engine is named here; ``cluster`` hands the functions to one.

A block is looked at twice, first for its symbols, then, when the vocabulary is known, for its
n-grams; and a third time where the model has to score its own text.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Integer

from thence.corpus import ReadingOptions
from thence.corpus.blocks import Block, read_block
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.model import NGram
from thence.models.ngram.parts import Part, count_after, cut_by_first_word, following
from thence.tokens import Tokenizer, TokenOptions, TokenStore, count_symbols, encode_in_memory

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
