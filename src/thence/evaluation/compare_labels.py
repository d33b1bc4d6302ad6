"""Comparing classifiers on the same documents: accuracy, its differences, and McNemar's test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from thence.array_types import Bool, Float
from thence.errors import RunError
from thence.evaluation.data import EvaluationData
from thence.evaluation.intervals import SIMULTANEOUS, difference_margins
from thence.evaluation.metrics import are_right
from thence.results import BestFirst, with_margin
from thence.runs import ClassifierRun

Right = Bool[np.ndarray, "runs documents"] | Float[np.ndarray, "runs documents"]


@dataclass(frozen=True)
class AgainstBest:
    """A classifier beside the best one.

    Attributes:
        difference: Its accuracy minus that of the best, from -1 to 0.
        interval: Simultaneous 95 % interval of the difference; NaN with too few documents.
        best_alone: Number of documents that only the best gets right.
        this_alone: Number of documents that only this one gets right.
        p_value: Of McNemar's exact two-sided test; the null hypothesis: both are equally good.
        p_holm: The same, corrected for all pairs of the compared classifiers by Holm's method.
    """

    difference: float
    interval: tuple[float, float]
    best_alone: int
    this_alone: int
    p_value: float
    p_holm: float


@dataclass(frozen=True)
class ComparedClassifier:
    """One classifier in a comparison.

    Attributes:
        run: Name of the run.
        accuracy: Share of the documents that are labelled correctly, from 0 to 1.
        against_best: Its difference from the best; None for the best itself.
    """

    run: str
    accuracy: float
    against_best: AgainstBest | None


@dataclass(frozen=True)
class LabelComparison(BestFirst):
    """Classifiers evaluated on the same documents, best first.

    Attributes:
        text: What they were evaluated on.
        documents: Number of documents.
        runs: The classifiers.
        remark: What to know when reading the table.
    """

    kind_of_documents = "labelled documents"
    _in_json = ("text", "documents", "difference_interval", "runs", "remark")

    text: str
    documents: int
    runs: tuple[ComparedClassifier, ...]
    remark: str

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the rows to show."""
        columns = ["run", "accuracy", "points below the best, 95 % simultaneous"]
        columns += ["only the best right", "only this right", "p (McNemar, Holm)"]
        return columns, [self._row(compared) for compared in self.runs]

    def _row(self, compared: ComparedClassifier) -> list[str]:
        row = [compared.run, f"{100 * compared.accuracy:.2f} %"]
        against = compared.against_best
        if against is None:
            return [*row, "-", "-", "-", "-"]
        middle, low, high = (100 * value for value in (against.difference, *against.interval))
        alone = [f"{against.best_alone:,}", f"{against.this_alone:,}"]
        p_value = f"{against.p_holm:.3g}" if against.p_holm > 1e-300 else "< 1e-300"
        return [*row, with_margin((middle, low, high), 2), *alone, p_value]


def check_same_labels(runs: Sequence[ClassifierRun]) -> None:
    """Raise ``RunError`` if classifiers have different labels."""
    for run in runs[1:]:
        if set(run.label_names) != set(runs[0].label_names):
            raise RunError(
                f"{run.name} and {runs[0].name} have different labels, so they cannot be "
                "compared; train both on the same labels."
            )


def compare_labels(runs: Sequence[ClassifierRun], data: EvaluationData) -> LabelComparison:
    """Compare classifiers of the same labels on the same documents; see ``compare``."""
    first = runs[0]
    documents = data.labelled_documents(first)
    right = {}
    for run in runs:
        if run not in right:
            own = documents.named(run.label_names)
            log_probs = run.classifier.classify(run.texts(own, "compare"))
            right[run] = are_right(log_probs, own.labels)
    rows = np.stack([right[run] for run in runs])
    return compare_classifiers([run.name for run in runs], rows, data.name(first))


def compare_classifiers(
    names: Sequence[str],
    right: Right,
    text: str,
    weights: Float[np.ndarray, " documents"] | None = None,
) -> LabelComparison:
    """Compare classifiers, given which documents each gets right.

    Args:
        names: Names of the runs, two or more.
        right: Whether each run is right about each document (``are_right``); or a credit from 0 to
            1, such as 1/2 for a tie.
        text: What they were evaluated on, in words.
        weights: Weight of each document in the accuracy; by default all are equal.

    Raises:
        ValueError: If there are fewer than two names, another number of rows, or no documents.
    """
    if not (len(names) == len(right) >= 2 and right.shape[1] > 0):
        raise ValueError(
            f"{len(names)} names and right answers of shape {right.shape} make no comparison of "
            "two or more classifiers."
        )
    documents = right.shape[1]
    weights = np.ones(documents) if weights is None else weights
    weighted = right * weights
    accuracy = weighted.sum(axis=1) / weights.sum()
    best, *others = np.argsort(-accuracy, kind="stable").tolist()
    compared = [ComparedClassifier(names[best], float(accuracy[best]), None)]
    # Labelled documents count as independent of each other, as they do in McNemar's test.
    margins = difference_margins(weighted.T, weights, best, in_order=False)
    p_values, p_corrected = _mcnemar_of_pairs(right)
    for at in others:
        best_alone, this_alone = _alone(right, best, at), _alone(right, at, best)
        difference, margin = float(accuracy[at] - accuracy[best]), float(margins[at])
        pair = (min(at, best), max(at, best))
        against = AgainstBest(
            difference=difference,
            interval=(difference - margin, difference + margin),
            best_alone=best_alone,
            this_alone=this_alone,
            p_value=p_values[pair],
            p_holm=p_corrected[pair],
        )
        compared.append(ComparedClassifier(names[at], float(accuracy[at]), against))
    few = np.isnan(margins).any()
    intervals = "There are too few documents for intervals." if few else SIMULTANEOUS
    remark = (
        f"{intervals} p says how probable so uneven a number of documents that only one of two "
        "gets right would be, were both equally good, corrected for all pairs of these runs. Both "
        "are about this text, whose documents count as independent; not about another text."
    )
    return LabelComparison(text, documents, tuple(compared), remark)


def _alone(right: Right, this: int, other: int) -> int:
    """Return the number of documents for which ``this`` has more credit than ``other``."""
    return int((right[this] > right[other]).sum())


def _mcnemar_of_pairs(
    right: Right,
) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """Return McNemar's p-value of each pair of runs, and the same corrected by Holm's method.

    All pairs count in the correction, since any run could have been picked as the best.
    """
    pairs = list(combinations(range(len(right)), 2))
    p_values = [mcnemar_p(_alone(right, a, b), _alone(right, b, a)) for a, b in pairs]
    corrected = holm(p_values)
    return dict(zip(pairs, p_values, strict=True)), dict(zip(pairs, corrected, strict=True))


def mcnemar_p(first_alone: int, second_alone: int) -> float:
    """Return the two-sided p-value of McNemar's exact test that two classifiers are equally good.

    Documents that both or neither get right carry no information. Of the others, the number that
    the first gets right is binomial with probability 1/2 under the null hypothesis. The tail is
    summed in logarithms, so that large counts do not overflow.

    Source: Q. McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions or percentages".

    >>> mcnemar_p(0, 5)  # 2 * (1 / 2) ** 5
    0.0625
    """
    fewer, number = min(first_alone, second_alone), first_alone + second_alone
    if 2 * fewer >= number - 1:  # The two tails meet.
        return 1.0
    place = np.arange(fewer)
    # C(n, k + 1) = C(n, k) (n - k) / (k + 1), beginning at C(n, 0) = 1.
    log_ways = np.concatenate([[0.0], np.cumsum(np.log((number - place) / (place + 1)))])
    largest = float(log_ways.max())
    log_sum = largest + math.log(float(np.exp(log_ways - largest).sum()))
    return min(1.0, math.exp(log_sum - (number - 1) * math.log(2)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, so that the family-wise error rate is kept.

    The smallest is multiplied by their number, the next by one less, and so on; none is made
    smaller than the one before it.

    Source: S. Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> [round(p, 6) for p in holm([0.04, 0.01, 0.03])]
    [0.06, 0.03, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1, p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(steps)
    return [float(value) for value in corrected]
