"""Comparing classifiers on the same documents, document by document."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool

from thence.evaluation.intervals import SIMULTANEOUS, difference_margins
from thence.evaluation.proportions import holm, mcnemar_p
from thence.evaluation.tables import aligned
from thence.evaluation.units import finite
from thence.hooks import repr_html
from thence.printable import printable_line


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
class LabelComparison:
    """Classifiers judged on the same documents, best first.

    Attributes:
        text: What they were judged on.
        documents: How many documents.
        runs: The classifiers.
        remark: What to know when reading the table.
    """

    _repr_html_ = repr_html

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
        margin = "" if math.isnan(low) else f" ± {(high - low) / 2:.2f}"
        alone = [f"{against.best_alone:,}", f"{against.this_alone:,}"]
        p_value = f"{against.p_holm:.3g}" if against.p_holm > 1e-300 else "< 1e-300"
        return [*row, f"{middle:+.2f}{margin}", *alone, p_value]

    def to_json(self) -> dict[str, Any]:
        """Return every number for a program."""
        runs = [asdict(compared) for compared in self.runs]
        for compared in runs:
            if compared["against_best"]:
                bounds = [finite(bound) for bound in compared["against_best"]["interval"]]
                compared["against_best"]["interval"] = bounds
        return {
            "text": self.text,
            "documents": self.documents,
            "difference_interval": "simultaneous 95 %",
            "runs": runs,
            "remark": self.remark,
        }

    def __str__(self) -> str:
        return "\n".join([f"on {printable_line(self.text)}", *aligned(*self.table()), self.remark])


def compare_classifiers(
    names: Sequence[str], right: Bool[np.ndarray, "runs documents"], text: str
) -> LabelComparison:
    """Compare classifiers by which documents each gets right.

    Args:
        names: Of the runs, two or more.
        right: Whether each run is right about each document, as ``are_right`` says.
        text: What they were judged on, in words.

    Raises:
        ValueError: If the names do not fit, there are fewer than two, or no documents.
    """
    if not (len(names) == len(right) >= 2 and right.shape[1] > 0):
        raise ValueError(
            f"{len(names)} names and right answers of shape {right.shape} make no comparison of "
            "two or more classifiers."
        )
    hits, documents = right.sum(axis=1), right.shape[1]
    best, *others = np.argsort(-hits, kind="stable").tolist()
    compared = [ComparedClassifier(names[best], int(hits[best]) / documents, None)]
    # Labelled documents count as independent of each other, as they do in McNemar's test.
    right_once = right.T.astype(np.float64)
    margins = difference_margins(right_once, np.ones(documents), best, in_order=False)
    p_values, p_corrected = _mcnemar(right)
    for at in others:
        best_alone, this_alone = _alone(right, best, at), _alone(right, at, best)
        difference, margin = (this_alone - best_alone) / documents, float(margins[at])
        pair = (min(at, best), max(at, best))
        against = AgainstBest(
            difference=difference,
            interval=(difference - margin, difference + margin),
            best_alone=best_alone,
            this_alone=this_alone,
            p_value=p_values[pair],
            p_holm=p_corrected[pair],
        )
        compared.append(ComparedClassifier(names[at], int(hits[at]) / documents, against))
    return LabelComparison(text, documents, tuple(compared), _remark(not np.isnan(margins).any()))


def _alone(right: Bool[np.ndarray, "runs documents"], this: int, other: int) -> int:
    """Return how many documents only one of two gets right."""
    return int((right[this] & ~right[other]).sum())


def _mcnemar(
    right: Bool[np.ndarray, "runs documents"],
) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """Return p of every pair of runs, and the same corrected for their number.

    Of every pair, since the best was picked on the same documents: it could have been any.
    """
    pairs = list(combinations(range(len(right)), 2))
    p_values = [mcnemar_p(_alone(right, a, b), _alone(right, b, a)) for a, b in pairs]
    corrected = holm(p_values)
    return dict(zip(pairs, p_values, strict=True)), dict(zip(pairs, corrected, strict=True))


def _remark(has_intervals: bool) -> str:
    intervals = SIMULTANEOUS if has_intervals else "There are too few documents for intervals."
    return (
        f"{intervals} p says how probable so uneven a number of documents that only one of two "
        "gets right would be, were both equally good, corrected for all pairs of these runs. Both "
        "are about this text, whose documents count as independent; not about another text."
    )
