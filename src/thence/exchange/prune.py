"""``prune``: n-gram models with fewer n-grams, words or orders, from runs and ARPA files."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from thence.atomic import NewFolder, new_folder
from thence.errors import RunError, SettingError
from thence.exchange.arpa import new_imported_run
from thence.exchange.arpa_writer import write_arpa
from thence.exchange.ngrams import NGrams, open_ngrams
from thence.models.ngram import NGram
from thence.models.ngram.packing import quantise
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.static import Backoff, interpolate
from thence.results import Serializable, format_pairs
from thence.runs.create import create_run, inherited_looks
from thence.runs.looks_at_test import TEST, Fingerprint
from thence.runs.provenance import CLUSTER
from thence.runs.run import Run
from thence.tokens import COUNTED, Tokenizer, tokenizer_of
from thence.tokens.vocabulary import read_word_list
from thence.training.fitting import FittedModel, fitted_metrics, save_fitted

NOTHING = 1e-12
"""Threshold if none is given, as a relative change of perplexity: it removes n-grams whose removal
changes nothing but rounding, which are listed only since longer ones end with them."""


@dataclass(frozen=True)
class Pruned(Serializable):
    """The result of pruning.

    Attributes:
        path: The file or the run folder.
        symbols: Number of ordinary symbols after and before pruning.
        ngrams: Number of n-grams of each order after pruning.
        before: Number of n-grams of each order before pruning.
    """

    _in_json: ClassVar[tuple[str, ...]] = ("path=_path", "symbols", "ngrams", "before")
    path: Path
    symbols: tuple[int, int]
    ngrams: tuple[int, ...]
    before: tuple[int, ...]

    @property
    def _path(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        left, all_of_them = self.symbols
        rows = [("written", str(self.path)), ("symbols", f"{left:,} of {all_of_them:,}")]
        for order, before in enumerate(self.before, start=1):
            kept = self.ngrams[order - 1] if order <= len(self.ngrams) else 0
            rows.append((f"n-grams of order {order}", f"{kept:,} of {before:,}"))
        return "\n".join(format_pairs(rows))


def prune(
    model: Run | str | Path,
    output: str | Path,
    *,
    threshold: float | None = None,
    vocabulary: str | Path | None = None,
    order: int | None = None,
) -> Pruned:
    """Make an n-gram model smaller, and set its back-off weights so that every context sums to one.

    Only the probabilities are needed, so this works on files of other programs too.

    Args:
        model: An ARPA file, or a run.
        output: What to make: an ARPA file if it is called ``NAME.arpa`` or ``NAME.arpa.gz``, else a
            run folder.
        threshold: Leave out n-grams that raise the perplexity by less than this share, such as
            1e-8 (Stolcke 1998).
        vocabulary: Keep the symbols of this file, one per line; the probability of the others goes
            to ``<unk>``.
        order: Keep n-grams of up to this order.

    Raises:
        SettingError: If nothing is to be pruned, or a value cannot be.
        TextError: If a file cannot be read.
        RunError: If the run has no n-gram model, or the output exists or cannot be written.
    """
    output = Path(output)
    if output.exists():
        raise RunError(f"{output} exists already and is left as it is; choose another name.")
    _check(threshold, vocabulary, order)
    started, opened = time.monotonic(), open_ngrams(model)
    tokenizer = opened.tokenizer if vocabulary is None else _restricted(opened, vocabulary)
    within = Backoff.within(opened.tables[:order], opened.vocabulary, tokenizer.vocabulary)
    tables = interpolate([within], np.ones(1), NOTHING if threshold is None else threshold)
    if ".arpa" in output.suffixes:
        write_arpa(tables, tokenizer.vocabulary, output)
    else:
        with new_folder(output) as new:
            _write_run(new, opened, tables, tokenizer, threshold, started)
    return Pruned(
        output,
        (len(tokenizer.vocabulary.symbols), len(opened.vocabulary.symbols)),
        tuple(len(table.keys) for table in tables),
        tuple(len(table.keys) for table in opened.tables),
    )


def _check(threshold: float | None, vocabulary: str | Path | None, order: int | None) -> None:
    """Raise ``SettingError`` if nothing is to be pruned, or a value is out of range."""
    if threshold is None and vocabulary is None and order is None:
        raise SettingError("Nothing is to be pruned; give `threshold`, `vocabulary` or `order`.")
    if threshold is not None and not 0 <= threshold < 1:
        raise SettingError(f"`threshold` is {threshold}; it must be a share from 0 to below 1.")
    if order is not None and order < 1:
        raise SettingError(f"`order` is {order}; it must be 1 or more.")


def _restricted(model: NGrams, path: str | Path) -> Tokenizer:
    """Return the tokenizer of a model, its vocabulary restricted to the symbols in a file."""
    options = model.tokenizer.options
    if options.tokens not in COUNTED or model.vocabulary.unknown == "bytes":
        raise SettingError(
            f"`vocabulary` is for models of words or characters, but {model.name} spells what it "
            "does not know."
        )
    listed = frozenset(read_word_list(path))
    kept = [symbol for symbol in model.vocabulary.symbols if symbol in listed]
    if not kept:
        raise SettingError(f"{model.name} knows none of the {len(listed):,} symbols of {path}.")
    return tokenizer_of(kept, options, model.tokenizer.edition)


def _write_run(
    new: NewFolder,
    model: NGrams,
    tables: Sequence[OrderTable],
    tokenizer: Tokenizer,
    threshold: float | None,
    started: float,
) -> None:
    """Write the pruned model as a run, with the text and provenance of its parent, if any."""
    parent = model.run
    pruned = NGram.from_tables(list(tables), len(tokenizer.vocabulary))
    if parent is None or parent.imported:
        of = Path(model.name if parent is None else parent.recipe.text)
        hashes = None if parent is None else parent.provenance["sha256"]
        new_imported_run(new, pruned, tokenizer, of, hashes)
        return
    options = replace(parent.recipe.options, order=len(tables), prune_entropy=threshold)
    if options.bits is not None:
        pruned.tables = quantise(pruned.tables, options.bits)
    pruned.options = options
    recipe = replace(parent.recipe, options=options, tokens=tokenizer.options)
    more: dict[str, Any] = {}
    looks: list[dict[str, Any]] = parent.test_looks()
    losses: dict[str, float] = {}
    if parent.cluster_counts is not None:
        more[CLUSTER] = parent.cluster_counts
    if parent.has_text:
        test, dev = parent.documents("test"), tokenizer.encode(parent.documents("dev"))
        more[TEST], looks = asdict(Fingerprint.of(test)), inherited_looks([parent], test)
        carry_context = recipe.training.carry_context
        if dev.num_documents:
            losses["dev_nats_per_token"] = -float(np.mean(pruned.score(dev, carry_context)))
    line = fitted_metrics(0, losses, started)

    def write(folder: Path) -> None:
        run = create_run(
            folder, recipe, tokenizer, parent.provenance["sha256"], parent.sources, more, looks
        )
        save_fitted(run, FittedModel(pruned.tensors(), line), **losses)

    new.fill(write)
