"""Comparing runs on the same text, target by target where they share a tokenisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from thence.corpus import LabelOptions, ReadingOptions, Source
from thence.errors import RunError, TextError
from thence.evaluation.bootstrap import (
    block_starts,
    bootstrap_means,
    document_blocks,
    interval,
)
from thence.evaluation.compare_labels import LabelComparison
from thence.evaluation.labels import compare_labels
from thence.evaluation.likelihood import MANY_UNKNOWN, judged_documents, judged_name
from thence.evaluation.tables import aligned
from thence.evaluation.units import bits, finite, perplexity
from thence.notebook import repr_html
from thence.printable import printable_line
from thence.tokens import TokenStore
from thence.training.run import Run, Split


@dataclass(frozen=True)
class Compared:
    """One run in a comparison.

    Attributes:
        run: Name of the run.
        model: Name of its family.
        parameters: Numbers learned or counted.
        unknown: Share of the targets that the run reads as the unknown symbol.
        bits_per_byte: On the compared text.
        nats_per_token: The same per target; None where the runs' tokens differ.
        difference: Bits per byte (or nats per token) above the first run, and its 95 % interval;
            no number bounds the interval where one document is cut into different tokens.
        place: Of the run among those that were given, from 0.
    """

    run: str
    model: str
    parameters: int
    unknown: float
    bits_per_byte: float
    nats_per_token: float | None
    difference: tuple[float, float, float] | None
    place: int


@dataclass(frozen=True)
class Comparison:
    """Runs judged on the same documents, best first.

    Attributes:
        text: What they were judged on.
        documents: How many documents.
        same_tokens: Whether all runs cut the text into the same targets.
        runs: The runs.
        remark: What to know when reading the table.
    """

    _repr_html_ = repr_html

    text: str
    documents: int
    same_tokens: bool
    runs: tuple[Compared, ...]
    remark: str

    @property
    def unit(self) -> str:
        """Unit of the differences."""
        return "nats per token" if self.same_tokens else "bits per byte"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the rows to show."""
        columns = ["run", "model", "parameters", "unknown"]
        if self.same_tokens:
            columns += ["nats per token", "perplexity"]
        columns += ["bits per byte", f"{self.unit} above the best (95 %)"]
        return columns, [self._row(compared) for compared in self.runs]

    def _row(self, compared: Compared) -> list[str]:
        row = [compared.run, compared.model, f"{compared.parameters:,}"]
        row.append(f"{100 * compared.unknown:.2f} %")
        if compared.nats_per_token is not None:
            nats = compared.nats_per_token
            row += [f"{nats:.4f}", f"{perplexity(nats):.3f}"]
        row.append(f"{compared.bits_per_byte:.4f}")
        if compared.difference is None:
            return [*row, "-"]
        middle, low, high = compared.difference
        return [*row, f"{middle:+.4f} ({low:+.4f} to {high:+.4f})"]

    def to_json(self) -> dict[str, Any]:
        """Return every number for a program."""
        return {
            "text": self.text,
            "documents": self.documents,
            "same_tokens": self.same_tokens,
            "difference_unit": self.unit,
            "remark": self.remark,
            "runs": [
                {
                    "run": item.run,
                    "model": item.model,
                    "parameters": item.parameters,
                    "unknown": item.unknown,
                    "bits_per_byte": finite(item.bits_per_byte),
                    "nats_per_token": item.nats_per_token and finite(item.nats_per_token),
                    "difference": item.difference and [finite(value) for value in item.difference],
                }
                for item in self.runs
            ],
        }

    def __str__(self) -> str:
        return "\n".join([f"on {printable_line(self.text)}", *aligned(*self.table()), self.remark])


def compare(
    runs: Sequence[Run | str | Path],
    split: Split = "dev",
    text: Source | None = None,
    reading: ReadingOptions | None = None,
    labelling: LabelOptions | None = None,
) -> Comparison | LabelComparison:
    """Judge several runs on the same documents.

    Classifiers are compared by which documents each gets right.

    Numbers per token are only compared where all runs cut the text into the same targets;
    otherwise bits per byte are, which do not depend on the tokenisation.

    Args:
        runs: Two or more runs or their folders.
        split: The split to judge on, which must be the same documents for every run.
        text: Another text to judge on instead: its path or name, or the texts themselves.
        reading: How that text is read; by default as UTF-8 with documents like the first run's.
        labelling: Where its labels are, for classifiers; by default as in the first run's text.

    Raises:
        RunError: If there are fewer than two runs, or classifiers and language models.
        TextError: If the runs have different splits, so that no text is common to them.
    """
    if isinstance(runs, str | Path):
        raise RunError(f"A comparison needs several runs in a list, not {str(runs)!r} alone.")
    opened = _opened(runs)
    if len(opened) < 2:
        raise RunError(f"A comparison needs at least two runs; {len(opened)} was given.")
    if text is None:
        _check_same_split(opened, split)
    if len({run.is_classifier for run in opened}) > 1:
        raise RunError(
            "Some of these runs are classifiers, others language models; what they say cannot be "
            "compared. Name runs of one kind."
        )
    if opened[0].is_classifier:
        return compare_labels(opened, split, text, reading, labelling)
    documents = judged_documents(opened[0], split, text, reading)
    encoded = {run: run.encode(documents, "compare") for run in {*opened}}
    stores = [encoded[run] for run in opened]
    costs = [
        -run.model.score(store, run.recipe.training.carry_context)
        for run, store in zip(opened, stores, strict=True)
    ]
    same_tokens = all(_same_targets(opened, stores, index) for index in range(1, len(opened)))
    rows = _rows(opened, stores, costs, same_tokens)
    judged = judged_name(opened[0], split, text)
    remark = _remark(opened, same_tokens)
    return Comparison(judged, len(documents), same_tokens, tuple(rows), remark)


def _opened(runs: Sequence[Run | str | Path]) -> list[Run]:
    """Open runs; one that is given twice is opened once, so that it has one look at test."""
    opened: dict[Path, Run] = {}
    every = [run if isinstance(run, Run) else Run(run) for run in runs]
    return [opened.setdefault(run.folder.resolve(), run) for run in every]


def _check_same_split(runs: list[Run], split: Split) -> None:
    for run in runs:
        run.check_text()
    hashes = {run.provenance["sha256"][split] for run in runs}
    if len(hashes) > 1:
        raise TextError(
            f"The runs have different {split} splits, so their numbers are not about the same "
            "text; name one text to judge them all on with --text."
        )


def _same_targets(runs: list[Run], stores: list[TokenStore], index: int) -> bool:
    names, first_names = (run.tokenizer.vocabulary.names() for run in (runs[index], runs[0]))
    return names == first_names and np.array_equal(stores[index].ids, stores[0].ids)


def _rows(
    runs: list[Run],
    stores: list[TokenStore],
    costs: list[Float[np.ndarray, " targets"]],
    same_tokens: bool,
) -> list[Compared]:
    bytes_total = float((stores[0].byte_counts + 1).sum())
    totals = [float(np.sum(cost, dtype=np.float64)) for cost in costs]
    unknown = [_unknown_share(run, store) for run, store in zip(runs, stores, strict=True)]
    # A model that reads much of the text as <unk> predicts something easier: it comes last.
    many = np.array([share > MANY_UNKNOWN and not same_tokens for share in unknown])
    order = np.lexsort((np.array(totals), many))
    means = _replicates(stores, costs, same_tokens)
    unit_total = float(stores[0].num_targets) if same_tokens else bytes_total
    scale = 1.0 if same_tokens else bits(1.0)
    rows = []
    for index in order:
        difference = None
        if index != order[0] and np.isfinite(totals[index]):
            middle = scale * (totals[index] - totals[order[0]]) / unit_total
            difference = (middle, *interval(scale * (means[:, index] - means[:, order[0]])))
        rows.append(
            Compared(
                run=runs[index].name,
                model=runs[index].recipe.model,
                parameters=runs[index].model.num_parameters(),
                unknown=unknown[index],
                bits_per_byte=bits(totals[index]) / bytes_total,
                nats_per_token=totals[index] / stores[index].num_targets if same_tokens else None,
                difference=difference,
                place=int(index),
            )
        )
    return rows


def _unknown_share(run: Run, store: TokenStore) -> float:
    unknown_id = run.tokenizer.vocabulary.unknown_id
    return 0.0 if unknown_id is None else float(np.mean(store.targets == unknown_id))


def _replicates(
    stores: list[TokenStore], costs: list[Float[np.ndarray, " targets"]], same_tokens: bool
) -> Float[np.ndarray, "replicates models"]:
    """Return bootstrap means per target, or per byte where the targets differ.

    They are not numbers where a single document leaves nothing to draw from.
    """
    finite_costs = [np.where(np.isinf(cost), 0, cost).astype(np.float64) for cost in costs]
    if same_tokens:
        starts = block_starts(stores[0])
        counts = np.diff(np.append(starts, stores[0].num_targets)).astype(np.float64)
        sums = np.stack([np.add.reduceat(cost, starts) for cost in finite_costs], axis=1)
        return bootstrap_means(sums, counts)
    blocks = document_blocks(stores[0].num_documents)
    by_block = [
        np.add.reduceat(store.sum_by_document(cost), blocks)
        for store, cost in zip(stores, finite_costs, strict=True)
    ]
    if len(blocks) == 1:  # One document, which different tokens cannot cut at the same places.
        return np.full((1, len(stores)), np.nan)
    counts = np.add.reduceat((stores[0].byte_counts + 1).astype(np.float64), blocks)
    return bootstrap_means(np.stack(by_block, axis=1), counts)


def _remark(runs: list[Run], same_tokens: bool) -> str:
    remarks = []
    if not same_tokens:
        remarks.append(
            "The runs cut the text into different tokens, so numbers per token are not compared; "
            "bits per byte are (a document's end counts as one byte)."
        )
        if any(run.tokenizer.vocabulary.unknown_id is not None for run in runs):
            remarks.append(
                "A run that reads symbols as <unk> predicts less than the text says; one with more "
                f"than {100 * MANY_UNKNOWN:.0f} % unknown comes last, whatever its number."
            )
    if len({run.recipe.training.carry_context for run in runs}) > 1:
        remarks.append("Some runs see the documents before, others do not.")
    return " ".join(remarks)
