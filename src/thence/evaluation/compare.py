"""``compare``: runs on the same documents, with simultaneous intervals of their differences.

Language models are compared target by target where they share a tokenisation, else by bytes;
classifiers document by document.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from thence.array_types import Float
from thence.corpus import LabelOptions, ReadingOptions, Source
from thence.errors import RunError, TextError
from thence.evaluation.compare_labels import (
    LabelComparison,
    check_same_labels,
    compare_labels,
)
from thence.evaluation.data import EvaluationData
from thence.evaluation.intervals import (
    FEWEST_DOCUMENTS,
    SIMULTANEOUS,
    difference_margins,
    unit_sizes,
    unit_starts,
    unit_sums,
)
from thence.evaluation.language import covers
from thence.evaluation.metrics import bits, perplexity
from thence.models.spelling import spelling_costs
from thence.results import BestFirst, with_margin
from thence.runs import ClassifierRun
from thence.runs.description import choices_on_dev
from thence.runs.run import Run, Split, open_run
from thence.tokens import TokenStore

AnyComparison = TypeVar("AnyComparison", bound="Comparison | LabelComparison")


@dataclass(frozen=True)
class Compared:
    """One language model in a comparison.

    Attributes:
        run: Name of the run.
        model: Name of its family.
        parameters: Number of parameters or counts.
        unknown: Share of the targets that the run reads as the unknown symbol.
        bits_per_byte: Loss on the compared text, unknown targets spelled out.
        nats_per_token: Loss per target; None where the runs' tokens differ.
        difference: Bits per byte (or nats per token) above the first run, and the bounds of its
            simultaneous 95 % interval: NaN where there is too little text, or too few documents
            that are cut into different tokens. None for the first run itself.
        place: Index of the run in the order given, from 0.
    """

    run: str
    model: str
    parameters: int
    unknown: float
    bits_per_byte: float
    nats_per_token: float | None
    difference: tuple[float, float, float] | None
    place: int = field(metadata={"_in_json": False})


@dataclass(frozen=True)
class Comparison(BestFirst):
    """Language models evaluated on the same documents, best first.

    Attributes:
        text: What they were evaluated on.
        documents: Number of documents.
        same_tokens: Whether all runs cut the text into the same targets.
        runs: The language models.
        remark: What to know when reading the table.
        in_order: Whether neighbouring documents depend on each other, since they were not drawn
            from the text at random; the intervals are then by blocks.
    """

    _in_json = (
        *("text", "documents", "same_tokens", "difference_unit=unit", "difference_interval"),
        *("interval_of", "in_order", "remark", "runs"),
    )

    text: str
    documents: int
    same_tokens: bool
    runs: tuple[Compared, ...]
    remark: str
    in_order: bool = False

    @property
    def unit(self) -> str:
        """Unit of the losses and their differences."""
        return "nats per token" if self.same_tokens else "bits per byte"

    @property
    def interval_of(self) -> str:
        """The population that the intervals are about, in words."""
        return covers(self.in_order)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the rows to show."""
        columns = ["run", "model", "parameters"]
        if self.same_tokens:
            columns += ["nats per token", "bits per token", "perplexity"]
        else:
            columns += [*(["unknown"] if self._unknown else []), "bits per byte"]
        columns.append("above the best, 95 % simultaneous")
        return columns, [self._row(compared) for compared in self.runs]

    @property
    def _unknown(self) -> bool:
        return any(compared.unknown for compared in self.runs)

    def _row(self, compared: Compared) -> list[str]:
        row = [compared.run, compared.model, f"{compared.parameters:,}"]
        nats = compared.nats_per_token
        if nats is None:
            unknown = [f"{100 * compared.unknown:.2f} %"] if self._unknown else []
            row += [*unknown, f"{compared.bits_per_byte:.4f}"]
        else:
            row += [f"{nats:.4f}", f"{bits(nats):.4f}", f"{perplexity(nats):.3f}"]
        if compared.difference is None:
            return [*row, "-"]
        return [*row, with_margin(compared.difference, 4)]


def compare(
    runs: Sequence[Run | str | Path],
    split: Split = "dev",
    text: Source | None = None,
    reading: ReadingOptions | None = None,
    labelling: LabelOptions | None = None,
    static: bool = False,
) -> Comparison | LabelComparison:
    """Evaluate several runs on the same documents.

    Classifiers are compared by which documents each gets right.

    Numbers per token are only compared where all runs cut the text into the same targets;
    otherwise bits per byte are, which do not depend on the tokenisation: what a run reads as
    ``<unk>`` is spelled out, letter by letter (``bits_per_byte_with_spelling`` of ``evaluate``).

    Args:
        runs: Two or more runs or their folders.
        split: The split to evaluate on, which must be the same documents for every run.
        text: Another text to evaluate on instead: its path or name, or the texts themselves.
        reading: How that text is read; by default as UTF-8 with documents like the first run's.
        labelling: Where its labels are, for classifiers; by default as in the first run's text.
        static: Keep language models from adapting to the text: caches are left out, and nothing
            goes on learning.

    Raises:
        RunError: If there are fewer than two runs, classifiers and language models, or classifiers
            of different labels.
        TextError: If the runs have different splits, so that no text is common to them.
        SettingError: If ``static`` leaves nothing of a model, or they are classifiers.
    """
    opened = open_comparable(runs, None if text is not None else split)
    classifiers = [run for run in opened if isinstance(run, ClassifierRun)]
    data = EvaluationData(split, text, reading, labelling, static)
    compared: Comparison | LabelComparison
    if classifiers:
        compared = compare_labels(classifiers, data)
    else:
        compared = compare_losses(opened, model_losses(opened, data), data)
    return with_selection_remark(compared, opened) if data.is_dev_split else compared


def open_comparable(runs: Sequence[Run | str | Path], split: Split | None) -> list[Run]:
    """Open runs and check that they can be compared.

    Args:
        runs: Two or more runs or their folders.
        split: The split that must be the same text in all; None if another text is evaluated on.

    Raises:
        RunError, TextError: If they cannot be compared; see ``compare``.
    """
    if isinstance(runs, str | Path):
        raise RunError(f"A comparison needs several runs in a list, not {str(runs)!r} alone.")
    # A run that is given twice is opened once, so that only one look at test is recorded.
    unique: dict[str, Run] = {}
    every = [open_run(run) for run in runs]
    opened = [unique.setdefault(run.address, run) for run in every]
    if len(opened) < 2:
        raise RunError(f"A comparison needs at least two runs; {len(opened)} was given.")
    if len({run.kind for run in opened}) > 1:
        raise RunError(
            "Some of these runs are classifiers, others language models, which cannot be compared. "
            "Name runs of one kind."
        )
    check_same_labels([run for run in opened if isinstance(run, ClassifierRun)])
    if split is not None:
        _check_same_split(opened, split)
    return opened


def with_selection_remark(compared: AnyComparison, runs: Sequence[Run]) -> AnyComparison:
    """Return the comparison with a remark that names the runs that were selected on dev."""
    return replace(compared, remark=f"{compared.remark} {choices_on_dev(runs)}".strip())


def _check_same_split(runs: list[Run], split: Split) -> None:
    for run in runs:
        run.check_text()
    hashes = {run.provenance["sha256"][split] for run in runs}
    if len(hashes) > 1:
        raise TextError(
            f"The runs have different {split} splits, so their numbers are not about the same "
            "text; name one text to evaluate them all on with `text`."
        )


@dataclass(frozen=True)
class ModelLosses:
    """The losses of several language models on the same documents.

    Attributes:
        stores: The documents as tokenised by each run.
        costs: Nats of each target, by run.
        with_spelling: The same, with ``<unk>`` spelled out character by character.
        same_tokens: Whether all runs cut the text into the same targets.
        in_order: Whether neighbouring documents depend on each other.
    """

    stores: list[TokenStore]
    costs: list[Float[np.ndarray, " targets"]]
    with_spelling: list[Float[np.ndarray, " targets"]]
    same_tokens: bool
    in_order: bool

    @property
    def compared(self) -> list[Float[np.ndarray, " targets"]]:
        """The costs to compare: with spelling if tokens differ, since unknown words then differ."""
        return self.costs if self.same_tokens else self.with_spelling

    @property
    def unit_total(self) -> float:
        """Number of targets, or of bytes if tokens differ: what losses are divided by."""
        store = self.stores[0]
        return float(store.num_targets if self.same_tokens else (store.byte_counts + 1).sum())

    def differences(self, reference: int) -> list[tuple[float, float, float] | None]:
        """Return the loss of each model above the reference, and its simultaneous 95 % interval.

        In nats per token, or bits per byte if tokens differ. None for the reference itself and
        where a loss is infinite.
        """
        totals = [float(np.sum(cost, dtype=np.float64)) for cost in self.compared]
        margins = _margins(self.stores, self.compared, self.same_tokens, reference, self.in_order)
        scale = (1.0 if self.same_tokens else bits(1.0)) / self.unit_total
        found: list[tuple[float, float, float] | None] = []
        for index, total in enumerate(totals):
            if index == reference or not np.isfinite([total, totals[reference]]).all():
                found.append(None)
                continue
            middle = scale * (total - totals[reference])
            margin = scale * self.unit_total * float(margins[index])
            found.append((middle, middle - margin, middle + margin))
        return found


def model_losses(runs: Sequence[Run], data: EvaluationData = EvaluationData()) -> ModelLosses:
    """Score the same documents by several language models."""
    documents = data.documents(runs[0])
    encoded = {run: run.encode(documents, "compare") for run in {*runs}}
    spelled = {run: spelling_costs(run.tokenizer, documents, encoded[run]) for run in encoded}
    stores = [encoded[run] for run in runs]
    costs = [
        -data.model(run).score(store, run.recipe.training.carry_context)
        for run, store in zip(runs, stores, strict=True)
    ]
    same_tokens = all(_same_targets(runs, stores, index) for index in range(1, len(runs)))
    with_spelling = [cost + spelled[run] for run, cost in zip(runs, costs, strict=True)]
    in_order = any(data.is_in_order(run) for run in runs)
    return ModelLosses(stores, costs, with_spelling, same_tokens, in_order)


def compare_losses(runs: Sequence[Run], losses: ModelLosses, data: EvaluationData) -> Comparison:
    """Return the comparison of language models, given their losses."""
    rows = _rows(runs, losses)
    name, remark = data.name(runs[0]), _remark(runs, rows, losses)
    documents = losses.stores[0].num_documents
    return Comparison(name, documents, losses.same_tokens, tuple(rows), remark, losses.in_order)


def _same_targets(runs: Sequence[Run], stores: list[TokenStore], index: int) -> bool:
    """Return whether a run has the first run's vocabulary, and reads the text as the same ids."""
    names, first_names = (run.tokenizer.vocabulary.names() for run in (runs[index], runs[0]))
    return names == first_names and np.array_equal(stores[index].ids, stores[0].ids)


def _rows(runs: Sequence[Run], losses: ModelLosses) -> list[Compared]:
    """Return a row for each run, the lowest loss first."""
    stores, same_tokens = losses.stores, losses.same_tokens
    totals = [float(np.sum(cost, dtype=np.float64)) for cost in losses.compared]
    spelled = [float(np.sum(cost, dtype=np.float64)) for cost in losses.with_spelling]
    unknown = [
        float(np.mean(run.tokenizer.vocabulary.are_unknown(store.targets)))
        for run, store in zip(runs, stores, strict=True)
    ]
    bytes_total = float((stores[0].byte_counts + 1).sum())
    order = np.argsort(totals, kind="stable")
    differences = losses.differences(int(order[0]))
    return [
        Compared(
            run=runs[index].name,
            model=runs[index].recipe.model,
            parameters=runs[index].num_parameters,
            unknown=unknown[index],
            bits_per_byte=bits(spelled[index]) / bytes_total,
            nats_per_token=totals[index] / stores[index].num_targets if same_tokens else None,
            difference=differences[index],
            place=int(index),
        )
        for index in order
    ]


def _margins(
    stores: list[TokenStore],
    costs: list[Float[np.ndarray, " targets"]],
    same_tokens: bool,
    best: int,
    in_order: bool,
) -> Float[np.ndarray, " models"]:
    """Return the simultaneous margins of the differences from the best, in nats per target or byte.

    NaN where a model has infinite costs, or where documents are too few to be units and cannot be
    cut into pieces, since tokens differ.
    """
    margins: Float[np.ndarray, " models"] = np.full(len(costs), np.nan)
    finite_ones = [at for at, cost in enumerate(costs) if np.isfinite(cost).all()]
    first = stores[0]
    if best not in finite_ones:
        return margins
    if same_tokens:
        starts = unit_starts(first)
        sizes = unit_sizes(starts, first.num_targets)
        sums = [unit_sums(costs[at], starts) for at in finite_ones]
        # Pieces of a document are neighbours, however the documents were drawn.
        in_order = in_order or first.num_documents < FEWEST_DOCUMENTS
    else:
        sizes = (first.byte_counts + 1).astype(np.float64)
        sums = [stores[at].sum_by_document(costs[at]).astype(np.float64) for at in finite_ones]
    reference = finite_ones.index(best)
    margins[finite_ones] = difference_margins(np.stack(sums, axis=1), sizes, reference, in_order)
    return margins


def _remark(runs: Sequence[Run], rows: list[Compared], losses: ModelLosses) -> str:
    """Return sentences on the intervals, the units and what differs between the runs."""
    remarks = []
    differences = [row.difference for row in rows if row.difference is not None]
    if any(not math.isnan(low) for _, low, _ in differences):
        remarks.append(f"{SIMULTANEOUS} They are about {covers(losses.in_order)}.")
    elif differences:
        remarks.append("There is too little text for intervals.")
    if losses.same_tokens:
        if rows[0].unknown:
            remarks.append(f"Of the targets, {rows[0].unknown:.2%} are <unk> for all runs.")
    else:
        remarks.append(
            "The runs cut the text into different tokens, so numbers per token are not compared; "
            "bits per byte are (a document's end counts as one byte)."
        )
        if any(run.tokenizer.vocabulary.unknown_id is not None for run in runs):
            remarks.append("What a run reads as <unk> is spelled out, and that counts too.")
        if "words" in (levels := {run.recipe.tokens.tokens for run in runs}) and len(levels) > 1:
            remarks.append(
                "Words do not say which white space is between them, so models of words predict "
                "less than the others, much less in source code."
            )
    if len({run.recipe.training.carry_context for run in runs}) > 1:
        remarks.append("Some runs see the documents before, others do not.")
    return " ".join(remarks)
