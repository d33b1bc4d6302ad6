"""Comparing runs on the same text, target by target where they share a tokenisation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from thence.corpus import LabelOptions, ReadingOptions, Source
from thence.errors import RunError, TextError
from thence.evaluation.compare_labels import LabelComparison
from thence.evaluation.intervals import (
    FEWEST_DOCUMENTS,
    SIMULTANEOUS,
    difference_margins,
    sizes_of_units,
    sums_of_units,
    unit_starts,
)
from thence.evaluation.labels import compare_labels
from thence.evaluation.likelihood import (
    MANY_UNKNOWN,
    covered,
    judged_documents,
    judged_name,
    stands_in_order,
)
from thence.evaluation.tables import aligned
from thence.evaluation.units import bits, finite, perplexity
from thence.hooks import repr_html
from thence.printable import printable_line
from thence.runs import ClassifierRun
from thence.runs.description import choices_on_dev
from thence.runs.run import Run, Split, open_run
from thence.tokens import TokenStore


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
        difference: Bits per byte (or nats per token) above the first run, and its 95 % interval,
            which holds for all runs at once; no numbers bound it where there is too little text,
            or too few documents that are cut into different tokens.
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
        in_order: Whether the documents stand as in their text, and were not drawn from it at
            random; the intervals follow it.
    """

    _repr_html_ = repr_html

    text: str
    documents: int
    same_tokens: bool
    runs: tuple[Compared, ...]
    remark: str
    in_order: bool = False

    @property
    def unit(self) -> str:
        """Unit of the differences."""
        return "nats per token" if self.same_tokens else "bits per byte"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the rows to show."""
        columns = ["run", "model", "parameters", *(["unknown"] if self._unknown else [])]
        columns += ["nats per token", "perplexity"] if self.same_tokens else ["bits per byte"]
        return [*columns, "above the best, 95 % simultaneous"], [
            self._row(compared) for compared in self.runs
        ]

    @property
    def _unknown(self) -> bool:
        return any(compared.unknown for compared in self.runs)

    def _row(self, compared: Compared) -> list[str]:
        row = [compared.run, compared.model, f"{compared.parameters:,}"]
        if self._unknown:
            row.append(f"{100 * compared.unknown:.2f} %")
        if compared.nats_per_token is not None:
            nats = compared.nats_per_token
            row += [f"{nats:.4f}", f"{perplexity(nats):.3f}"]
        else:
            row.append(f"{compared.bits_per_byte:.4f}")
        if compared.difference is None:
            return [*row, "-"]
        middle, low, high = compared.difference
        margin = "" if math.isnan(low) else f" ± {(high - low) / 2:.4f}"
        return [*row, f"{middle:+.4f}{margin}"]

    def to_json(self) -> dict[str, Any]:
        """Return every number for a program."""
        return {
            "text": self.text,
            "documents": self.documents,
            "same_tokens": self.same_tokens,
            "difference_unit": self.unit,
            "difference_interval": "simultaneous 95 %",
            "interval_of": covered(self.in_order),
            "in_order": self.in_order,
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
    classifiers = [run for run in opened if isinstance(run, ClassifierRun)]
    if 0 < len(classifiers) < len(opened):
        raise RunError(
            "Some of these runs are classifiers, others language models; what they say cannot be "
            "compared. Name runs of one kind."
        )
    if classifiers:
        return compare_labels(classifiers, split, text, reading, labelling)
    documents = judged_documents(opened[0], split, text, reading)
    encoded = {run: run.encode(documents, "compare") for run in {*opened}}
    stores = [encoded[run] for run in opened]
    costs = [
        -run.model.score(store, run.recipe.training.carry_context)
        for run, store in zip(opened, stores, strict=True)
    ]
    same_tokens = all(_same_targets(opened, stores, index) for index in range(1, len(opened)))
    in_order = any(stands_in_order(run, split, text) for run in opened)
    rows = _rows(opened, stores, costs, same_tokens, in_order)
    judged = judged_name(opened[0], split, text)
    remark = _remark(opened, rows, same_tokens, in_order)
    if split == "dev" and text is None:
        remark = f"{remark} {choices_on_dev(opened)}".strip()
    return Comparison(judged, len(documents), same_tokens, tuple(rows), remark, in_order)


def _opened(runs: Sequence[Run | str | Path]) -> list[Run]:
    """Open runs; one that is given twice is opened once, so that it has one look at test."""
    opened: dict[Path, Run] = {}
    every = [open_run(run) for run in runs]
    return [opened.setdefault(run.folder.resolve(), run) for run in every]


def _check_same_split(runs: list[Run], split: Split) -> None:
    for run in runs:
        run.check_text()
    hashes = {run.provenance["sha256"][split] for run in runs}
    if len(hashes) > 1:
        raise TextError(
            f"The runs have different {split} splits, so their numbers are not about the same "
            "text; name one text to judge them all on with `text`."
        )


def _same_targets(runs: list[Run], stores: list[TokenStore], index: int) -> bool:
    names, first_names = (run.tokenizer.vocabulary.names() for run in (runs[index], runs[0]))
    return names == first_names and np.array_equal(stores[index].ids, stores[0].ids)


def _rows(
    runs: list[Run],
    stores: list[TokenStore],
    costs: list[Float[np.ndarray, " targets"]],
    same_tokens: bool,
    in_order: bool,
) -> list[Compared]:
    bytes_total = float((stores[0].byte_counts + 1).sum())
    totals = [float(np.sum(cost, dtype=np.float64)) for cost in costs]
    unknown = [_unknown_share(run, store) for run, store in zip(runs, stores, strict=True)]
    # A model that reads much of the text as <unk> predicts something easier: it comes last.
    many = np.array([share > MANY_UNKNOWN and not same_tokens for share in unknown])
    order = np.lexsort((np.array(totals), many))
    margins = _margins(stores, costs, same_tokens, int(order[0]), in_order)
    unit_total = float(stores[0].num_targets) if same_tokens else bytes_total
    scale = 1.0 if same_tokens else bits(1.0)
    rows = []
    for index in order:
        difference = None
        if index != order[0] and np.isfinite(totals[index]):
            middle = scale * (totals[index] - totals[order[0]]) / unit_total
            margin = scale * float(margins[index])
            difference = (middle, middle - margin, middle + margin)
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


def _margins(
    stores: list[TokenStore],
    costs: list[Float[np.ndarray, " targets"]],
    same_tokens: bool,
    best: int,
    in_order: bool,
) -> Float[np.ndarray, " models"]:
    """Return how far the differences from the best may be off, per target or per byte.

    They are not numbers where a model has infinite costs, or documents are too few to be drawn
    whole and cannot be cut at the same places.
    """
    margins: Float[np.ndarray, " models"] = np.full(len(costs), np.nan)
    finite_ones = [at for at, cost in enumerate(costs) if np.isfinite(cost).all()]
    first = stores[0]
    if best not in finite_ones:
        return margins
    if same_tokens:
        starts = unit_starts(first)
        sizes = sizes_of_units(starts, first.num_targets)
        sums = [sums_of_units(costs[at], starts) for at in finite_ones]
        # Pieces of a document are neighbours, however the documents were drawn.
        in_order = in_order or first.num_documents < FEWEST_DOCUMENTS
    else:
        sizes = (first.byte_counts + 1).astype(np.float64)
        sums = [stores[at].sum_by_document(costs[at]).astype(np.float64) for at in finite_ones]
    reference = finite_ones.index(best)
    margins[finite_ones] = difference_margins(np.stack(sums, axis=1), sizes, reference, in_order)
    return margins


def _remark(runs: list[Run], rows: list[Compared], same_tokens: bool, in_order: bool) -> str:
    remarks = []
    differences = [row.difference for row in rows if row.difference is not None]
    if any(not math.isnan(low) for _, low, _ in differences):
        remarks.append(f"{SIMULTANEOUS} They are about {covered(in_order)}.")
    elif differences:
        remarks.append("There is too little text for intervals.")
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
