"""Comparing classifiers document by document: which is right more often, and whether by luck."""

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
    """How a classifier stands to the best one.

    Attributes:
        difference: Its accuracy less that of the best, from -1 to 0.
        interval: 95 % interval of the difference, which holds for all classifiers at once; no
            numbers where there are too few documents.
        best_alone: Documents that only the best gets right.
        this_alone: Documents that only this one gets right.
        p_value: Of McNemar's exact test, two-sided, that both are equally good.
        p_holm: The same, corrected by Holm for all pairs of the compared classifiers.
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
        accuracy: Share of the documents that are right, from 0 to 1.
        against_best: None for the best itself.
    """

    run: str
    accuracy: float
    against_best: AgainstBest | None


@dataclass(frozen=True)
class LabelComparison(BestFirst):
    """Classifiers evaluated on the same documents, best first.

    Attributes:
        text: What they were evaluated on.
        documents: How many documents.
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


def compare_labels(runs: Sequence[ClassifierRun], data: EvaluationData) -> LabelComparison:
    """Compare classifiers on the same documents; see ``compare``.

    Raises:
        RunError: If they have different labels.
    """
    first = runs[0]
    for run in runs[1:]:
        if set(run.label_names) != set(first.label_names):
            raise RunError(
                f"{run.name} and {first.name} have different labels, so they cannot be "
                "compared; train both on the same labels."
            )
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
    """Compare classifiers by which documents each gets right.

    Args:
        names: Of the runs, two or more.
        right: Whether each run is right about each document, as ``are_right`` says; or numbers
            from 0 to 1, such as 1/2 for a tie.
        text: What they were evaluated on, in words.
        weights: How much each document counts; by default all alike.

    Raises:
        ValueError: If the names do not fit, there are fewer than two, or no documents.
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
    """Return how many documents only one of two gets right, or more nearly right."""
    return int((right[this] > right[other]).sum())


def _mcnemar_of_pairs(
    right: Right,
) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """Return p of every pair of runs, and the same corrected for their number.

    Of every pair, since the best was picked on the same documents: it could have been any.
    """
    pairs = list(combinations(range(len(right)), 2))
    p_values = [mcnemar_p(_alone(right, a, b), _alone(right, b, a)) for a, b in pairs]
    corrected = holm(p_values)
    return dict(zip(pairs, p_values, strict=True)), dict(zip(pairs, corrected, strict=True))


def mcnemar_p(first_alone: int, second_alone: int) -> float:
    """Return how probable so uneven a count of documents is if two classifiers are equally good.

    Documents that both or neither get right say nothing. Of the others, as many should be right
    under the one as under the other: the number is binomial with probability 1/2, and the p-value
    is two-sided and exact. It is summed in logarithms, so that no count is too large.

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
    """Return p-values corrected so that any below 0.05 is found by chance in 5 % of texts at most.

    The smallest is multiplied by their number, the next by one less, and so on; none falls below
    one before it.

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
