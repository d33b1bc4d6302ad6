"""The n-gram model: its settings, fit, and the interface of ``CountedModel``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

import numpy as np

from thence.array_types import Float, Int64, Integer
from thence.errors import SettingError
from thence.mapped import explain_disk_errors
from thence.models.base import Array, TextScore
from thence.models.memory_guard import parse_size
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.jelinek_mercer import interpolate
from thence.models.ngram.likelihood import log_likelihood, log_prob_within
from thence.models.ngram.packing import (
    check_table,
    pack_tables,
    packed_names,
    quantise,
    unpack_tables,
)
from thence.models.ngram.pruning import prune, sums
from thence.models.ngram.queries import Numbers, Queries
from thence.models.ngram.smoothing import Discounts, OrderTable, Smoothing, smooth
from thence.models.ngram.sorting import OrderCounts
from thence.settings import Fraction, NonNegativeFloat, NonNegativeInt, Range, Settings
from thence.tokens import Tokenizer, TokenStore

DISTRIBUTION_CELLS = 1 << 20
"""Log-probabilities that ``distributions`` yields at once (8 MB)."""


@dataclass(frozen=True)
class NGramOptions(Settings):
    """Settings of the ``ngram`` model."""

    order: Annotated[int, Range(ge=1, le=100, why="longer n-grams hardly ever recur")] = 5
    """Symbols in the longest n-gram: one less is the context."""
    smoothing: Smoothing | Literal["imported"] = "modified-kneser-ney"
    """Smoothing method; imported: the model comes from a file (thence import)."""
    add_k: NonNegativeFloat = 1.0
    """For add-k smoothing: the number that is added to every count."""
    prune: tuple[NonNegativeInt, ...] = ()
    """Leave out n-grams with this count or less: a threshold for order 2, 3, ... and beyond."""
    prune_entropy: Fraction | None = None
    """Leave out n-grams that raise the perplexity by less than this share, such as 1e-8."""
    memory: str | None = None
    """Train in so much memory, such as 1GB, the rest on disk; 50 bytes per distinct word are \
needed in any case (default: no limit)."""
    bits: Annotated[int, Range(ge=2, le=16)] | None = None
    """Save each logarithm in so many bits, such as 8, and words packed: a third of the size."""

    @property
    def prunes(self) -> bool:
        """Whether n-grams are left out."""
        return bool(self.prune) or self.prune_entropy is not None

    @property
    def memory_bytes(self) -> int | None:
        """The memory bound in bytes; None: no bound."""
        return None if self.memory is None else parse_size("memory", self.memory)


PARTS = ("keys", "log_probs", "log_backoffs")
"""The arrays of a table, as the weights file names them."""
FOLLOWER_BUCKETS = 8
"""Buckets of contexts by the number of different words that followed, in powers of two."""
MIN_LOG_BACKOFF = -10.0
"""Lower bound of the log back-off weight as a feature of a mixture's gate: a context that reserves
nothing has minus infinity."""


class NGram:
    """A smoothed n-gram model.

    Args:
        options: Order and smoothing.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: NGramOptions, vocabulary_size: int) -> None:
        self.options = options
        self.vocabulary_size = vocabulary_size
        uniform = np.full(vocabulary_size, -np.log(vocabulary_size), np.float32)
        nothing = np.zeros(0, np.float32)  # The highest order has no back-off weights.
        self.tables = [OrderTable(np.arange(vocabulary_size), uniform, nothing)]
        self.counted = [vocabulary_size]
        self.discounts: list[Discounts] = []

    @classmethod
    def from_tables(cls, tables: list[OrderTable], vocabulary_size: int) -> "NGram":
        """Make a model from smoothed tables, such as those of a file."""
        model = cls(NGramOptions(len(tables), "imported"), vocabulary_size)
        model.tables, model.counted = tables, [len(table.keys) for table in tables]
        return model

    @property
    def is_probability(self) -> bool:
        """Whether the scores sum to one; those of stupid back-off do not."""
        return self.options.smoothing != "stupid-backoff"

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Count a store and smooth the counts.

        Raises:
            SettingError: See ``check_fit``.
        """
        self.check_fit(dev)
        options, size, self.tables = self.options, self.vocabulary_size, []  # Which take memory.
        counts = count_ngrams(store, options.order, size, carry_context, options.memory_bytes)
        return self.fit_counts(counts, carry_context, dev)

    def check_fit(self, dev: TokenStore | None) -> None:
        """Check, before anything is counted, that the counts can be smoothed.

        Raises:
            SettingError: If the smoothing needs dev and there is none, or cannot be pruned.
        """
        smoothing = self.options.smoothing
        if smoothing == "imported":
            raise SettingError(
                "`smoothing='imported'` marks a run that thence import made; to count a text, "
                f"choose one of {', '.join(get_args(Smoothing))}."
            )
        if self.options.prunes and smoothing in ("mle", "add-k", "stupid-backoff"):
            raise SettingError(
                f"`smoothing={smoothing!r}` cannot be pruned: it does not back off with "
                "probabilities."
            )
        if smoothing == "jelinek-mercer" and dev is None:
            raise SettingError(
                "Jelinek-Mercer smoothing learns its weights on the dev split, which is empty; "
                "use another `split` or another `smoothing`."
            )

    def fit_counts(
        self, counts: list[OrderCounts], carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Smooth given counts of orders 1 to N; see ``fit`` and ``check_fit``."""
        options, size = self.options, self.vocabulary_size
        memory = options.memory_bytes
        self.discounts = []
        with explain_disk_errors(memory):
            if options.smoothing == "jelinek-mercer":
                assert dev is not None  # Checked by check_fit.
                tables, _ = interpolate(counts, size, dev, carry_context, memory)
            else:
                assert options.smoothing != "imported"
                tables, self.discounts = smooth(
                    counts, size, options.smoothing, options.add_k, carry_context, memory
                )
            self.counted = [len(table.keys) for table in tables]
            self.tables = tables
            if options.prunes:
                share = options.prune_entropy
                self.tables = prune(tables, counts, size, options.prune, share, memory)
            if options.bits is not None:
                self.tables = quantise(self.tables, options.bits, memory)
        if options.prunes or options.smoothing == "add-k":
            return None  # The counts give the likelihood only if every n-gram has its probability.
        return log_likelihood(counts, [table.log_probs for table in self.tables], memory)

    @property
    def tables(self) -> list[OrderTable]:
        """The smoothed counts of orders 1 to N."""
        return self._tables

    @tables.setter
    def tables(self, tables: list[OrderTable]) -> None:
        self._tables = tables
        self.__dict__.pop("queries", None)

    @cached_property
    def queries(self) -> Queries:
        """The look-up structures of the tables, built at the first query."""
        return Queries(self.tables, self.vocabulary_size)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and copy, without ``queries``, which holds addresses."""
        return {name: value for name, value in self.__dict__.items() if name != "queries"}

    def start(self, batch_size: int) -> Numbers:
        """Return the state before any text: -1, as no n-gram ends there."""
        return np.full((batch_size, len(self.tables) - 1), -1)

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: Numbers
    ) -> tuple[Float[np.ndarray, "batch vocab"], Numbers]:
        """Read one id per row; return the log-probabilities of the next and the new state.

        The state holds the index of the n-gram of each order below N that ends at the last id, or
        -1 if it was not seen.
        """
        numbers = self.queries.advance(ids[:, None], state)
        return self.queries.distributions(numbers), numbers

    def read(
        self, ids: Integer[np.ndarray, "batch time"], state: Numbers, last: bool = False
    ) -> tuple[Float[np.ndarray, "batch places vocab"], Numbers]:
        """Return the log-probabilities after each id (or the last only), and the new state."""
        if last:
            state = self.queries.advance(ids, state)
            return self.queries.distributions(state)[:, None], state
        states = []
        for column in ids.T[..., None]:
            state = self.queries.advance(column, state)
            states.append(state)
        log_probs = self.queries.distributions(np.concatenate(states))  # (time x batch, V)
        return log_probs.reshape(*ids.T.shape, -1).swapaxes(0, 1), state

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        return self.queries.score(store, carry_context)

    def distributions(
        self, store: TokenStore, carry_context: bool = False
    ) -> Iterator[tuple[Int64[np.ndarray, " read"], Float[np.ndarray, "read vocab"]]]:
        """Yield the distributions of a store; see ``GivesDistributions``."""
        contexts = self.contexts(store, carry_context)
        at_once = max(1, DISTRIBUTION_CELLS // self.vocabulary_size)
        for first in range(0, len(contexts), at_once):
            places = np.arange(first, min(first + at_once, len(contexts)))
            yield places, self.queries.distributions(contexts[places])

    def text_scorer(self, tokenizer: Tokenizer) -> Callable[[str], TextScore | None] | None:
        """Return a function that scores one text in microseconds; see ``ScoresText``."""
        return self.queries.text_scorer(tokenizer)

    def log_prob(self, store: TokenStore, carry_context: bool = False) -> float:
        """Return the log-probability of a whole store, in nats, within the memory bound."""
        memory = self.options.memory_bytes
        if memory is None:
            return float(np.sum(self.score(store, carry_context)))
        return log_prob_within(self.tables, self.vocabulary_size, store, carry_context, memory)

    def contexts(
        self, store: TokenStore, carry_context: bool = False
    ) -> Int64[np.ndarray, "targets order-1"]:
        """Return the indexes of the contexts before each target, as in the state of ``step``."""
        return self.queries.contexts(store, carry_context)

    @property
    def num_buckets(self) -> int:
        """Number of buckets of ``bucket_ids``."""
        return 1 + (len(self.tables) - 1) * FOLLOWER_BUCKETS

    def bucket_ids(
        self, numbers: Int64[np.ndarray, "batch order-1"]
    ) -> Int64[np.ndarray, " batch"]:
        """Return the bucket of each context, given by its indexes at each length (-1: not seen).

        Returns:
            0 if no context was seen, else a bucket by the length of the longest one seen, and by
            the power of two of the number of different words that followed it.
        """
        bucket_ids = np.zeros(len(numbers), np.int64)
        for level in range(len(self.tables) - 1):
            followers = self._followers(numbers[:, level], level)
            powers = np.log2(np.maximum(followers, 1)).astype(np.int64)
            powers[powers >= FOLLOWER_BUCKETS] = FOLLOWER_BUCKETS - 1
            bucket_ids = np.where(followers > 0, 1 + level * FOLLOWER_BUCKETS + powers, bucket_ids)
        return bucket_ids

    @property
    def num_context_features(self) -> int:
        """Number of columns that ``context_features`` returns."""
        return 3 * (len(self.tables) - 1)

    def context_features(
        self, numbers: Int64[np.ndarray, "batch order-1"]
    ) -> Float[np.ndarray, "batch features"]:
        """Return features of contexts for a mixture's gate: three for each length of context.

        They are 1 if the context was seen, the logarithm of the number of different words that
        followed it, and its log back-off weight; all zero if it was not seen.

        Args:
            numbers: The indexes of the contexts of each length; -1: not seen.
        """
        features = np.zeros((len(numbers), self.num_context_features))
        for level in range(len(self.tables) - 1):
            followers = self._followers(numbers[:, level], level)
            seen = np.flatnonzero(followers)
            left = self.tables[level].log_backoffs[numbers[seen, level]]
            features[seen, 3 * level] = 1
            features[seen, 3 * level + 1] = np.log(followers[seen])
            features[seen, 3 * level + 2] = np.maximum(left, MIN_LOG_BACKOFF)
        return features

    def _followers(
        self, contexts: Int64[np.ndarray, " batch"], level: int
    ) -> Int64[np.ndarray, " batch"]:
        """Return the number of different words that followed each context of one length."""
        bounds = [(contexts + more) * self.vocabulary_size for more in (0, 1)]
        first, last = (np.searchsorted(self.tables[level + 1].keys, bound) for bound in bounds)
        followers: Int64[np.ndarray, " batch"] = np.where(contexts >= 0, last - first, 0)
        return followers

    def facts(self, dev: TokenStore | None, carry_context: bool = False) -> list[tuple[str, str]]:
        """Return facts for reports: names and values as text."""
        rows = []
        for order, (table, before) in enumerate(zip(self.tables, self.counted, strict=True), 1):
            left_out = f" of {before:,}, the others pruned" if len(table.keys) < before else ""
            rows.append((f"n-grams of order {order}", f"{len(table.keys):,}{left_out}"))
        for found in self.discounts:
            ones = ", ".join(f"{count:,}" for count in found.counts_of_counts)
            rows.append((f"order {found.order}: n-grams counted 1, 2, 3, 4 times", ones))
            why = " (fallback: these counts cannot give them)" if found.fallback else ""
            values = ", ".join(f"{value:.3f}" for value in found.values)
            rows.append((f"order {found.order}: discounts of counts 1, 2, 3+", f"{values}{why}"))
        if dev is not None and dev.num_targets:
            rows += self._hit_rates(dev, carry_context)
        if self.options.smoothing == "imported":
            by_length = sums(self.tables, self.vocabulary_size)
            excess = max(float(np.abs(some.totals - 1).max(initial=0)) for some in by_length)
            rows.append(("sums of probabilities differ from 1 by at most", f"{excess:.2g}"))
        if not self.is_probability:
            rows.append(("note", "stupid back-off gives scores, not probabilities"))
        return rows

    def known_orders(
        self, store: TokenStore, carry_context: bool = False
    ) -> Int64[np.ndarray, " targets"]:
        """Return for each target the order of the longest known n-gram that ends there."""
        longest = np.ones(store.num_targets, np.int64)
        for level, (_, found) in enumerate(self.queries.walk(store, carry_context), start=2):
            longest[found >= 0] = level
        return longest

    def _hit_rates(self, dev: TokenStore, carry_context: bool) -> list[tuple[str, str]]:
        longest = self.known_orders(dev, carry_context)
        shares = np.bincount(longest, minlength=len(self.tables) + 1)[1:] / dev.num_targets
        return [
            (f"dev targets whose longest known n-gram has order {order}", f"{share:.1%}")
            for order, share in enumerate(shares, start=1)
        ]

    def tensors(self) -> dict[str, Array]:
        """Return keys, log-probabilities and back-off weights of each order, packed if ``bits``."""
        named: dict[str, Array] = {}
        options = self.options
        if options.bits is not None:
            size, memory = self.vocabulary_size, options.memory_bytes
            with explain_disk_errors(memory):
                named = pack_tables(self.tables, size, options.bits, memory)
        else:
            for number, table in enumerate(self.tables, start=1):
                named |= {f"{number}.{part}": getattr(table, part) for part in PARTS}
        named["counted"] = np.array(self.counted, np.int64)
        named["discounts"] = np.array([found.to_row() for found in self.discounts]).reshape(-1, 9)
        return named

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        options, size = self.options, self.vocabulary_size
        orders = range(1, options.order + 1)
        names = {f"{order}.{part}" for order in orders for part in PARTS}
        names = names if options.bits is None else packed_names(options.order)
        if set(tensors) != names | {"counted", "discounts"}:
            found = ", ".join(sorted(tensors))
            raise ValueError(f"found {found} for a model of order {orders[-1]}")
        if options.bits is None:
            tables = [
                OrderTable(*(tensors[f"{order}.{part}"] for part in PARTS)) for order in orders
            ]
        else:
            tables = unpack_tables(tensors, options.order, size, options.bits)
        contexts = 1
        for order, table in zip(orders, tables, strict=True):
            check_table(order, table, contexts * size, order == orders[-1])
            contexts = len(table.keys)
        self.tables = tables
        counted, discounts = tensors["counted"], tensors["discounts"]
        fit = counted.shape == (len(tables),) and discounts.shape[1:] == (9,)
        if not fit or counted.dtype.kind != "i" or not np.isfinite(discounts).all():
            raise ValueError("the facts about the counts do not fit the order")
        self.counted = tensors["counted"].tolist()
        self.discounts = [Discounts.from_row(row) for row in tensors["discounts"].tolist()]

    def num_parameters(self) -> int:
        """Return the number of n-grams of all orders."""
        return sum(len(table.keys) for table in self.tables)


def fit_orders(models: Sequence[NGram], store: TokenStore, carry_context: bool) -> Iterator[NGram]:
    """Fit models of several orders to a text, counting it once; yield each when it is fitted."""
    highest = max(model.options.order for model in models)
    counted = count_ngrams(store, highest, models[0].vocabulary_size, carry_context)
    for model in models:
        model.fit_counts(counted[: model.options.order], carry_context)
        yield model
