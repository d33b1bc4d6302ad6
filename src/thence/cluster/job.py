"""Counting the n-grams of many files on a cluster.

The model is identical to that of ``thence train`` on the same text: the vocabulary comes from the
same counts of words, and the n-grams are the same in the same order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from thence.array_types import Int64
from thence.cluster import engine
from thence.corpus import Documents
from thence.corpus.blocks import Block, File, cut_into_blocks
from thence.errors import SettingError, TextError
from thence.models.ngram import NGram
from thence.models.ngram.blocks import (
    Context,
    Part,
    Plan,
    Survey,
    assemble,
    contexts_of,
    count_block,
    ending,
    join_surveys,
    merge,
    nats_of,
    ranges_of_words,
    survey,
)
from thence.processes import number_of_processes
from thence.recipes.recipe import Recipe
from thence.runs.sources import IN_MEMORY, is_read_once, named_sources
from thence.tokens import COUNTED, Tokenizer, TokenStore, tokenizer_from_counts
from thence.tokens.word_splitting import SYMBOLS

if TYPE_CHECKING:
    from distributed import Client

SMALLEST_BLOCK, LARGEST_BLOCK = 1 << 20, 64 << 20
"""Bytes of text per block: smaller ones cost more to schedule than to count, larger ones take too
much memory at once."""
BLOCKS_PER_THREAD = 4
"""Enough for all threads to finish at about the same time, although blocks differ."""
PARTS_PER_THREAD = 2
"""Ranges of the vocabulary per thread; the n-grams of each range are merged in one task."""

OnTask = Callable[[int, float], None]
"""Called after each task with the tasks done in this phase and the fraction done of the job."""


@dataclass(frozen=True)
class ClusterCounts:
    """An n-gram model counted on a cluster, with facts about its text.

    Attributes:
        model: The n-gram model.
        tokenizer: Made from the counts of all symbols.
        dev: Tokens of the dev split; None without one.
        train_log_prob: Log-probability of the train text in nats.
        tokens: Number of targets of the train text.
        documents: Number of its documents.
        num_bytes: Size of its documents.
        train_hash: SHA-256 over the hashes of its blocks.
    """

    model: NGram
    tokenizer: Tokenizer
    dev: TokenStore | None
    train_log_prob: float
    tokens: int
    documents: int
    num_bytes: int
    train_hash: str


def count_on_cluster(
    client: "Client",
    recipe: Recipe,
    files: Sequence[File],
    dev: Documents,
    on_task: OnTask,
    on_symbols: Callable[[Mapping[str, int]], None],
    smallest_block: int = SMALLEST_BLOCK,
) -> ClusterCounts:
    """Count an n-gram model on a cluster.

    Args:
        client: The cluster, from ``engine.connect``.
        recipe: The settings; accepted by ``check_recipe``.
        files: The train text.
        dev: The dev split; may be empty.
        on_task: Shows progress.
        on_symbols: Called once with the count of each of ``SYMBOLS`` that is a word of the text.
        smallest_block: Minimal bytes of text per block.

    Raises:
        TextError: If there is no text.
        TrainingError: If several workers died on the same task.
    """
    size = sum(file.size for file in files) // (
        BLOCKS_PER_THREAD * engine.number_of_threads(client)
    )
    size = min(max(size, smallest_block), LARGEST_BLOCK)
    job = _Job(recipe, client, cut_into_blocks(files, recipe.reading, size), on_task)
    surveyed = job.survey()
    tokenizer = tokenizer_from_counts(surveyed.symbols, recipe.tokens)
    counts = {symbol: surveyed.symbols.get(symbol, 0) for symbol in SYMBOLS}
    on_symbols({symbol: count for symbol, count in counts.items() if count})
    dev_store = tokenizer.encode(dev) if len(dev) else None
    model = NGram(recipe.options, len(tokenizer.vocabulary))
    model.check_fit(dev_store)
    tokens, log_prob = job.fit(model, surveyed, tokenizer, dev_store)
    return ClusterCounts(
        model,
        tokenizer,
        dev_store,
        log_prob,
        tokens,
        surveyed.documents,
        surveyed.num_bytes,
        sha256("".join(surveyed.hashes).encode()).hexdigest(),
    )


def check_recipe(recipe: Recipe) -> None:
    """Raise SettingError if a recipe cannot be counted on a cluster."""
    split = recipe.splitting
    if recipe.model != "ngram":
        raise SettingError(
            f"`cluster` counts n-grams, but the model is {recipe.model}; use `model='ngram'`, or "
            "leave `cluster` out."
        )
    if number_of_processes() > 1:
        raise SettingError("`cluster` brings its own processes; start it without torchrun.")
    for text in named_sources(recipe).values():
        if text in IN_MEMORY.values() or text.startswith("hf:") or is_read_once(text):
            raise SettingError(
                f"`cluster` reads files that every worker can reach, not {text}; write it "
                "to a folder, or name a URL such as s3://bucket/folder."
            )
    if recipe.tokens.tokens not in COUNTED:
        raise SettingError(
            f"`cluster` cannot learn {recipe.tokens.tokens}, which takes the whole text at once; "
            "use `tokens='words'`, characters or bytes."
        )
    if split.dev is None and (split.test is not None or not split.split.startswith("100/")):
        raise SettingError(
            "`cluster` keeps the whole text for train; name the file of dev with `dev` (and of "
            "test with `test`), or do without with `split='100/0/0'`."
        )


@dataclass(frozen=True)
class _Job:
    """The tasks of counting blocks of text on a cluster."""

    recipe: Recipe
    client: Any
    blocks: list[Block]
    on_task: OnTask

    def survey(self) -> Survey:
        """Return the counts of symbols, documents and bytes of the text.

        Raises:
            TextError: If there is no text.
        """
        given = [(block,) for block in self.blocks]
        recipe = self.recipe
        surveyed = engine.map_reduce(
            self.client,
            survey,
            given,
            join_surveys,
            self._counter(0.0, 0.3, len(given)),
            recipe.reading,
            recipe.tokens,
        )
        if surveyed.num_bytes == 0:
            raise TextError(
                f"{recipe.text} holds no text: it is empty, or all its lines or cells are."
            )
        return surveyed

    def fit(
        self, model: NGram, surveyed: Survey, tokenizer: Tokenizer, dev: TokenStore | None
    ) -> tuple[int, float]:
        """Count the n-grams, fit the model; return the number of tokens and their log-probability.

        ``model`` is fitted in place. The log-probability is in nats.
        """
        recipe, parts = self.recipe, PARTS_PER_THREAD * engine.number_of_threads(self.client)
        bounds = ranges_of_words(_word_counts(surveyed, tokenizer), parts)
        options = recipe.options
        plan = Plan(recipe.reading, tokenizer, options.order, bounds, options.memory_bytes)
        shared = engine.broadcast(self.client, plan)
        given = list(zip(self.blocks, self._contexts(plan, shared), strict=True))
        merged: list[Part] = engine.map_shuffle_merge(
            self.client,
            count_block,
            given,
            parts,
            merge,
            self._counter(0.3, 0.9, len(given) + parts),
            shared,
            merge_with=plan.vocabulary_size,
        )
        counts = assemble(merged, plan.vocabulary_size)
        tokens = int(counts[0].counts.sum())
        log_prob = model.fit_counts(counts, recipe.training.carry_context, dev)
        if log_prob is None:  # It cannot be computed from the counts: score the text.
            del merged, counts
            on_workers = engine.broadcast(self.client, model)
            done = self._counter(0.9, 1.0, len(given))
            log_prob = float(
                sum(engine.map_tasks(self.client, nats_of, given, done, shared, on_workers))
            )
        return tokens, log_prob

    def _contexts(self, plan: Plan, shared: Any) -> list[Context]:
        """Return the last tokens before each block, for context that crosses documents."""
        if not self.recipe.training.carry_context:
            return [None] * len(self.blocks)
        given = [(block,) for block in self.blocks]
        endings = engine.map_tasks(self.client, ending, given, lambda: None, shared)
        return list(contexts_of(endings, plan.order, plan.tokenizer.vocabulary.boundary_id))

    def _counter(self, first: float, last: float, tasks: int) -> Callable[[], None]:
        """Return a function to call after each of ``tasks`` tasks.

        It shows progress from the fraction ``first`` to the fraction ``last`` of the whole job.
        """
        finished = 0

        def done() -> None:
            nonlocal finished
            finished += 1
            share = first + (last - first) * finished / tasks
            self.on_task(finished, share)

        return done


def _word_counts(surveyed: Survey, tokenizer: Tokenizer) -> Int64[np.ndarray, " words"]:
    """Return the approximate count of each id, to divide the vocabulary into even ranges."""
    symbols, size = tokenizer.vocabulary.symbols, len(tokenizer.vocabulary)
    counts = np.zeros(size, np.int64)
    counts[: len(symbols)] = [surveyed.symbols.get(symbol, 0) for symbol in symbols]
    unknown = sum(surveyed.symbols.values()) - int(counts.sum())
    counts[len(symbols) : -1] = unknown // max(size - len(symbols) - 1, 1)
    counts[-1] = surveyed.documents
    return counts
