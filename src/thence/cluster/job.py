"""The whole way from many files to a run, counted on a cluster.

The result is that of ``thence train`` on the same text: the vocabulary is chosen from the same
counts, the n-grams are the same in the same order, and from there on the code is the same.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from thence.atomic import NewFolder, new_folder
from thence.cluster import engine
from thence.corpus import Documents
from thence.corpus.blocks import Block, cut_into_blocks, find_files, is_url
from thence.errors import SettingError, TextError
from thence.models.ngram import NGram, create
from thence.models.ngram.parts import Part, assemble, merge, ranges_of_words
from thence.models.ngram.tasks import (
    Context,
    Plan,
    Survey,
    contexts_of,
    count_block,
    ending,
    join_surveys,
    nats_of,
    survey,
)
from thence.processes import number_of_processes
from thence.recipes.recipe import Recipe
from thence.runs.looks_at_test import TEST, facts_of_test
from thence.runs.provenance import CLUSTER
from thence.runs.run import Run, create_run, held_out_of
from thence.runs.sources import IN_MEMORY, is_read_once, named_sources
from thence.tokens import Tokenizer, TokenStore, tokenizer_from_counts
from thence.tokens.word_splitting import SYMBOLS
from thence.training.callbacks import Logs, StopTraining, opened
from thence.training.distributed_setup import resolved_paths
from thence.training.progress import ProgressCallback, ProgressFactory, silent_progress
from thence.training.remarks import warn_of_symbols
from thence.training.train import fitted_metrics, save_fitted

SMALLEST_BLOCK, LARGEST_BLOCK = 1 << 20, 64 << 20
"""Bytes of text in a block: fewer are no work, more take too much memory at once."""
BLOCKS_PER_THREAD = 4
PARTS_PER_THREAD = 2


def count_on_cluster(
    recipe: Recipe,
    folder: Path,
    address: str,
    progress: ProgressFactory = silent_progress,
    logs: Logs = None,
) -> Run:
    """Count an n-gram model on a cluster; see ``thence.train``.

    Args:
        recipe: What to count; the text is a folder, a file, a pattern or a URL.
        folder: The run folder to make.
        address: A scheduler's address, or ``local:2`` for two workers on this machine.
        progress: Opens what is told of each task that is done.
        logs: Who else is told, as in ``train``.

    Raises:
        ThenceError: If the text, a setting, the cluster or the output cannot be used.
    """
    _check(recipe)
    with new_folder(folder) as new:
        return _count_into(new, recipe, address, progress, logs)


def _count_into(
    new: NewFolder, recipe: Recipe, address: str, progress: ProgressFactory, logs: Logs
) -> Run:
    started = time.monotonic()
    recipe = resolved_paths(recipe)
    if not is_url(recipe.text):
        recipe = replace(recipe, text=str(Path(recipe.text).absolute()))
    held_out = held_out_of(recipe)
    files = find_files(recipe.text)
    with engine.opened(address) as client, progress(new.target.name) as listener:
        size = sum(file.size for file in files) // (
            BLOCKS_PER_THREAD * engine.number_of_threads(client)
        )
        blocks = cut_into_blocks(
            files, recipe.reading, min(max(size, SMALLEST_BLOCK), LARGEST_BLOCK)
        )
        job = _Job(recipe, client, blocks, listener)
        surveyed = job.survey()
        tokenizer = tokenizer_from_counts(surveyed.symbols, recipe.tokens)
        counted = {symbol: surveyed.symbols.get(symbol, 0) for symbol in SYMBOLS}
        warn_of_symbols(recipe, {symbol: count for symbol, count in counted.items() if count})
        dev = tokenizer.encode(held_out["dev"]) if len(held_out["dev"]) else None
        model = create(recipe.options, len(tokenizer.vocabulary))
        model.check_fit(dev)
        tokens, train_nats = job.fit(model, surveyed, tokenizer, dev)
    losses = {"train_nats_per_token": -train_nats / tokens}
    if dev is not None:
        scores = model.score(dev, recipe.training.carry_context)
        losses["dev_nats_per_token"] = -float(np.mean(scores))
    facts = {"files": len(files), "documents": surveyed.documents, "tokens": tokens}
    facts["bytes"] = surveyed.num_bytes
    more = {CLUSTER: facts, TEST: facts_of_test(held_out["test"])}
    hashes, line = _hashes(surveyed, held_out), fitted_metrics(tokens, losses, started)

    def write(folder: Path) -> None:
        run = create_run(folder, recipe, tokenizer, hashes, more=more)
        save_fitted(run, model.tensors(), line)

    new.fill(write)
    run = Run(new.target)
    with opened(logs, run, _of(dev, tokenizer), -1) as log, suppress(StopTraining):
        log(run.metrics()[-1])
    return run


def _check(recipe: Recipe) -> None:
    """Refuse what cannot be counted on a cluster.

    Raises:
        SettingError: Says what, and what to do instead.
    """
    split = recipe.splitting
    if recipe.model != "ngram":
        raise SettingError(
            f"--cluster counts n-grams, but the model is {recipe.model}; use --model ngram, or "
            "leave --cluster out."
        )
    if number_of_processes() > 1:
        raise SettingError("--cluster brings its own processes; start it without torchrun.")
    for text in named_sources(recipe).values():
        if text in IN_MEMORY.values() or text.startswith("hf:") or is_read_once(text):
            raise SettingError(
                f"--cluster reads files that every worker can reach, not {text}; write it "
                "to a folder, or name a URL such as s3://bucket/folder."
            )
    if recipe.tokens.tokens == "subwords":
        raise SettingError(
            "--cluster cannot learn subwords, which takes the whole text at once; use --tokens "
            "words, characters or bytes."
        )
    if split.dev is None and (split.test is not None or not split.split.startswith("100/")):
        raise SettingError(
            "--cluster keeps the whole text for train; name the file of dev with --dev (and of "
            "test with --test), or do without with --split 100/0/0."
        )


@dataclass(frozen=True)
class _Job:
    """Blocks of text on a cluster, and who hears how far they are."""

    recipe: Recipe
    client: Any
    blocks: list[Block]
    listener: ProgressCallback

    def survey(self) -> Survey:
        """Count symbols and documents.

        Raises:
            TextError: If there is no text.
        """
        given = [(block,) for block in self.blocks]
        recipe = self.recipe
        surveyed = engine.joined(
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
        """Count the n-grams and smooth them; return the number of tokens and their nats."""
        recipe, parts = self.recipe, PARTS_PER_THREAD * engine.number_of_threads(self.client)
        bounds = ranges_of_words(_word_counts(surveyed, tokenizer), parts)
        options = recipe.options
        plan = Plan(recipe.reading, tokenizer, options.order, bounds, options.memory_bytes)
        shared = engine.share(self.client, plan)
        given = list(zip(self.blocks, self._contexts(plan, shared), strict=True))
        merged: list[Part] = engine.shuffled(
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
        nats = model.fit_counts(counts, recipe.training.carry_context, dev)
        if nats is None:  # Only the text itself says.
            del merged, counts
            on_workers = engine.share(self.client, model)
            done = self._counter(0.9, 1.0, len(given))
            nats = float(sum(engine.each(self.client, nats_of, given, done, shared, on_workers)))
        return tokens, nats

    def _contexts(self, plan: Plan, shared: Any) -> list[Context]:
        if not self.recipe.training.carry_context:
            return [None] * len(self.blocks)
        given = [(block,) for block in self.blocks]
        endings = engine.each(self.client, ending, given, lambda: None, shared)
        return list(contexts_of(endings, plan.order, plan.tokenizer.vocabulary.boundary_id))

    def _counter(self, first: float, last: float, tasks: int) -> Callable[[], None]:
        """Return what is called for each of so many tasks, which lead from one share to another."""
        finished = 0

        def done() -> None:
            nonlocal finished
            finished += 1
            share = first + (last - first) * finished / tasks
            self.listener.on_step(finished, 0.0, share)

        return done


def _word_counts(surveyed: Survey, tokenizer: Tokenizer) -> Int64[np.ndarray, " words"]:
    """Return about how often each id occurs, to cut the vocabulary by."""
    symbols, size = tokenizer.vocabulary.symbols, len(tokenizer.vocabulary)
    counts = np.zeros(size, np.int64)
    counts[: len(symbols)] = [surveyed.symbols.get(symbol, 0) for symbol in symbols]
    unknown = sum(surveyed.symbols.values()) - int(counts.sum())
    counts[len(symbols) : -1] = unknown // max(size - len(symbols) - 1, 1)
    counts[-1] = surveyed.documents
    return counts


def _hashes(surveyed: Survey, held_out: Mapping[str, Documents]) -> dict[str, str]:
    """Return the SHA-256 of each split; that of train is over the hashes of its blocks."""
    train = sha256("".join(surveyed.hashes).encode()).hexdigest()
    return {"train": train, **{name: part.content_hash() for name, part in held_out.items()}}


def _of(dev: TokenStore | None, tokenizer: Tokenizer) -> TokenStore:
    return tokenizer.encode(Documents.from_strings([])) if dev is None else dev
