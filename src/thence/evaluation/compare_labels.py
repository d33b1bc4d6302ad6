"""Comparing classifiers on the same documents, document by document."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from thence.evaluation.bootstrap import FEWEST_BLOCKS, bootstrap_means, document_blocks, interval
from thence.evaluation.proportions import mcnemar_p
from thence.evaluation.tables import aligned
from thence.evaluation.units import finite
from thence.notebook import repr_html
from thence.printable import printable_line


@dataclass(frozen=True)
class AgainstBest:
    """How a classifier stands to the best one.

    Attributes:
        difference: Its accuracy less that of the best, from -1 to 0.
        interval: 95 % bootstrap interval of the difference; no numbers where there are too few
            documents.
        best_alone: Documents that only the best gets right.
        this_alone: Documents that only this one gets right.
        p_value: Of McNemar's exact test, two-sided, that both are equally good.
    """

    difference: float
    interval: tuple[float, float]
    best_alone: int
    this_alone: int
    p_value: float


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
        columns = ["run", "accuracy", "points below the best (95 %)"]
        columns += ["only the best right", "only this right", "p (McNemar)"]
        return columns, [self._row(compared) for compared in self.runs]

    def _row(self, compared: ComparedClassifier) -> list[str]:
        row = [compared.run, f"{100 * compared.accuracy:.2f} %"]
        against = compared.against_best
        if against is None:
            return [*row, "-", "-", "-", "-"]
        middle, low, high = (100 * value for value in (against.difference, *against.interval))
        bounds = "too few documents" if math.isnan(low) else f"{low:+.2f} to {high:+.2f}"
        alone = [f"{against.best_alone:,}", f"{against.this_alone:,}"]
        p_value = f"{against.p_value:.3g}" if against.p_value > 1e-300 else "< 1e-300"
        return [*row, f"{middle:+.2f} ({bounds})", *alone, p_value]

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
    intervals = _intervals(right, best)
    for at in others:
        best_alone, this_alone = (
            int((right[one] & ~right[other]).sum()) for one, other in ((best, at), (at, best))
        )
        against = AgainstBest(
            difference=(this_alone - best_alone) / documents,
            interval=intervals[at],
            best_alone=best_alone,
            this_alone=this_alone,
            p_value=mcnemar_p(best_alone, this_alone),
        )
        compared.append(ComparedClassifier(names[at], int(hits[at]) / documents, against))
    return LabelComparison(text, documents, tuple(compared), _remark(len(others)))


def _intervals(right: Bool[np.ndarray, "runs documents"], best: int) -> list[tuple[float, float]]:
    """Return the interval of each run's accuracy less that of the best, on the same draws."""
    starts = document_blocks(right.shape[1])
    if len(starts) < FEWEST_BLOCKS:
        return [(math.nan, math.nan)] * len(right)
    sums = np.add.reduceat(right.T, starts, axis=0, dtype=np.float64)
    sizes = np.diff(np.append(starts, right.shape[1])).astype(np.float64)
    means = bootstrap_means(sums, sizes)
    return [interval(means[:, at] - means[:, best]) for at in range(len(right))]


def _remark(others: int) -> str:
    remark = (
        "p says how probable so uneven a number of documents that only one of two gets right "
        "would be, were both equally good."
    )
    if others > 1:
        remark += (
            " The best was picked on these very documents and each p stands for one comparison "
            f"alone: of {others}, some are small by chance."
        )
    return remark
