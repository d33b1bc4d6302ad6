"""``disagreements``: the documents that runs disagree on most, to see where they differ."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thence.array_types import Float64
from thence.corpus import Documents
from thence.corpus.documents import as_labelled
from thence.evaluation.compare import ModelLosses, model_losses
from thence.evaluation.data import EvaluationData
from thence.evaluation.metrics import bits, predict, true_log_probs
from thence.results import Listing
from thence.runs import ClassifierRun
from thence.runs.run import Run, Split
from thence.settings import PositiveInt, validate

Costs = Float64[np.ndarray, "runs documents"]


@dataclass(frozen=True)
class Disagreement:
    """A document that runs disagree on.

    Attributes:
        number: Index of the document, from 0.
        text: The document.
        bits: Loss of each run: the surprisal of the document or, for classifiers, of its labels.
        labels: Its true labels; None for language models.
        predicted: The labels that each run predicts; None for language models.
    """

    number: int
    text: str
    bits: tuple[float, ...]
    labels: tuple[str, ...] | None = None
    predicted: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True)
class Disagreements(Listing[Disagreement]):
    """Documents by the difference between the losses of runs on them, the largest first.

    Attributes:
        text: Name of the text or split that they are from.
        documents: The documents.
    """

    _listed = "documents"

    text: str
    documents: list[Disagreement]


def disagreements(runs: Sequence[Run], split: Split = "dev", count: int = 20) -> Disagreements:
    """Return the documents of a split whose loss differs most between the best and the worst run.

    About equally many are returned for each run as the best one, so that a run that is worse almost
    everywhere shows where it is not. What a language model reads as ``<unk>`` is spelled out, so
    that different tokenisers compare. Documents that classifiers label differently come before all
    others.

    Args:
        runs: Two or more runs of one task and of the same split.
        split: The split.
        count: How many documents to return.
    """
    validate("count", count, PositiveInt)
    data = EvaluationData(split)
    documents = data.documents(runs[0])
    classifiers = [run for run in runs if isinstance(run, ClassifierRun)]
    if classifiers:
        return _of_classifiers(classifiers, data, documents, count)
    return disputed_documents(model_losses(runs, data), documents, data.name(runs[0]), count)


def disputed_documents(
    losses: ModelLosses, documents: Documents, text: str, count: int
) -> Disagreements:
    """Return the documents that language models disagree on most; see ``disagreements``.

    Args:
        losses: Losses of the models on the documents.
        documents: The documents.
        text: Name of the text that they are from.
        count: How many documents to return.
    """
    by_document = zip(losses.stores, losses.with_spelling, strict=True)
    costs = np.stack([store.sum_by_document(cost) for store, cost in by_document])
    shown = [
        Disagreement(at, documents[at], tuple(bits(cost) for cost in costs[:, at].tolist()))
        for at in _balanced(costs, _by_difference(costs), count)
    ]
    return Disagreements(text, shown)


def _by_difference(costs: Costs) -> list[int]:
    """Return the documents whose costs differ between runs, the largest difference first."""
    lowest = costs.min(axis=0)
    # Where all costs are infinite, the runs agree: the difference is 0, not NaN.
    spread = np.subtract(
        costs.max(axis=0), lowest, where=np.isfinite(lowest), out=np.zeros_like(lowest)
    )
    return [int(at) for at in np.argsort(-spread, kind="stable") if spread[at] > 0]


def _balanced(costs: Costs, order: list[int], count: int) -> list[int]:
    """Return the first documents of an order, taking turns between the runs that are best there.

    The documents that each run is best at are ranked among themselves, and those with the lowest
    ranks are taken.
    """
    winners = costs.argmin(axis=0)
    ranks: Counter[int] = Counter()
    keyed = []
    for place, at in enumerate(order):
        winner = int(winners[at])
        keyed.append((ranks[winner], place, at))
        ranks[winner] += 1
    # Lowest ranks first, whichever run is best; then back in the order given.
    fair = sorted(keyed)[:count]
    return [at for _, _, at in sorted(fair, key=lambda one: one[1])]


def _of_classifiers(
    runs: Sequence[ClassifierRun], data: EvaluationData, documents: Documents, count: int
) -> Disagreements:
    """Return the documents that classifiers disagree on most; see ``disagreements``."""
    names = runs[0].label_names
    costs, predicted = [], []
    for run in runs:
        own = as_labelled(documents).named(run.label_names)
        log_probs = run.classifier.classify(run.texts(own, "disagreements")).astype(np.float64)
        # Clipped, so that a certain wrong answer has a finite cost.
        certain, truth = np.minimum(log_probs, -1e-7), own.labels.matrix() > 0
        costs.append(-true_log_probs(certain, truth, own.labels.multilabel))
        # Columns in the order of the first run's labels, of which others may have another.
        places = [run.label_names.index(name) for name in names]
        predicted.append(predict(log_probs, own.labels)[:, places])
    answers = np.stack(predicted)
    differ = (answers != answers[0]).any(axis=(0, 2))
    stacked = np.stack(costs)
    order = sorted(_by_difference(stacked), key=lambda at: not differ[at])
    chosen = _balanced(stacked, [at for at in order if differ[at]] or order, count)
    true = as_labelled(documents).named(names).labels.matrix()[:, : len(names)] > 0

    def named(row: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[str, ...]:
        return tuple(name for name, has in zip(names, row, strict=True) if has)

    shown = [
        Disagreement(
            at,
            documents[at],
            tuple(bits(cost) for cost in stacked[:, at].tolist()),
            named(true[at]),
            tuple(named(answer) for answer in answers[:, at]),
        )
        for at in chosen
    ]
    return Disagreements(data.name(runs[0]), shown)
