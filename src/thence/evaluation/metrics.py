"""Metrics of language models and of classifiers.

All losses are in nats; this is the only module that converts them to other units.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.array_types import Bool, Float, Int64
from thence.corpus import Documents
from thence.corpus.documents import Labels
from thence.evaluation.intervals import (
    FEWEST_UNITS,
    bootstrap_means,
    document_blocks,
    percentile_interval,
)
from thence.results import Serializable

LARGEST_CONFUSION = 1000
"""Labels up to which a confusion matrix is counted: it grows with their square."""
BINS = 15
"""Bins of confidence of the calibration, as in its source."""

EXCERPT = 100
"""Characters of a document that are shown at most."""

YesNo = Bool[np.ndarray, "documents labels"]
"""The labels that documents have, or that are predicted for them, as a matrix of yes and no.

With one label per document each row has one yes, so that one arithmetic serves documents with one
label and documents with several.
"""


def highest_bits(vocabulary_size: int) -> float:
    """Return the surprisal in bits from which on the colour is strongest.

    It is one and a half times that of a uniform guess among all symbols.
    """
    return 1.5 * math.log2(max(vocabulary_size, 2))


def bits(nats: float) -> float:
    """Return nats in bits.

    >>> bits(math.log(8))
    3.0
    """
    return nats / math.log(2)


def nats_and_bits(nats: float) -> str:
    """Return a mean loss per token as sentences say it: as PyTorch prints it, and in bits.

    >>> nats_and_bits(math.log(8))
    '2.0794 nats (3.0000 bits) per token'
    """
    return f"{nats:.4f} nats ({bits(nats):.4f} bits) per token"


def perplexity(nats_per_token: float) -> float:
    """Return e to the mean negative log-likelihood, infinite where that overflows.

    >>> round(perplexity(math.log(27)), 6)
    27.0
    """
    try:
        return math.exp(nats_per_token)
    except OverflowError:
        return math.inf


def finite(value: float) -> float | None:
    """Return the value, or None where JSON has no number for it."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class ClassScore:
    """How well one label is found.

    Attributes:
        label: Its name.
        precision: Share of the documents predicted to have it that do; 0 where there are none.
        recall: Share of the documents that have it which are predicted to; 0 where there are none.
        f1: Harmonic mean of both; 0 where either is.
        support: Documents that have the label.
        predicted: Documents predicted to.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


def predict(log_probs: Float[np.ndarray, "documents classes"], labels: Labels) -> YesNo:
    """Return which labels are predicted: the most probable, or each at least as likely as not.

    Args:
        log_probs: Log-probability of each label of train for each document.
        labels: Those of the same documents, which say how many names there are beside train's and
            whether a document may have several.
    """
    predicted = np.zeros((len(labels), len(labels.names)), bool)
    if labels.multilabel:
        predicted[:, : log_probs.shape[1]] = log_probs >= math.log(0.5)
    else:
        predicted[np.arange(len(labels)), log_probs.argmax(axis=1)] = True
    return predicted


def are_right(
    log_probs: Float[np.ndarray, "documents classes"], labels: Labels
) -> Bool[np.ndarray, " documents"]:
    """Return for each document whether exactly its labels are predicted."""
    right: Bool[np.ndarray, " documents"]
    right = ((labels.matrix() > 0) == predict(log_probs, labels)).all(axis=1)
    return right


def answer_probs(
    log_probs: Float[np.ndarray, "documents classes"], multilabel: bool
) -> Float[np.ndarray, "documents classes"]:
    """Return the probability of each label; with several labels, of each answer, yes or no."""
    certainty: Float[np.ndarray, "documents classes"] = np.exp(log_probs)
    if multilabel:
        certainty = np.maximum(certainty, 1 - certainty)
    return certainty


def log_loss(
    log_probs: Float[np.ndarray, "known classes"], truth: YesNo, multilabel: bool
) -> float:
    """Return the mean negative log-probability of what is true, in nats per document.

    Where a document may have several labels, it is summed over the answers, yes or no. It is no
    number without documents.
    """
    if not len(log_probs):
        return math.nan
    otherwise: Float[np.ndarray, "known classes"] = np.zeros_like(log_probs)
    if multilabel:
        with np.errstate(divide="ignore"):  # A certain yes leaves a no without probability.
            otherwise = np.log(-np.expm1(np.minimum(log_probs, 0)))
    chosen = np.where(truth[:, : log_probs.shape[1]], log_probs, otherwise)
    # A sum from zero: the nats of what is certain are 0, not -0.
    return 0.0 - float(chosen.sum(dtype=np.float64)) / len(log_probs)


def macro_f1_interval(truth: YesNo, predicted: YesNo) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of macro F1; no numbers with too few documents."""
    starts = document_blocks(len(truth))
    if len(starts) < FEWEST_UNITS:
        return math.nan, math.nan
    hits, true, found = (
        np.add.reduceat(matrix, starts, axis=0, dtype=np.float64)
        for matrix in (truth & predicted, truth, predicted)
    )
    sizes = np.diff(np.append(starts, len(truth))).astype(np.float64)
    # Shares of the drawn documents: their number cancels in F1.
    shares = bootstrap_means(np.hstack([hits, true + found]), sizes)
    hits, marked = np.hsplit(shares, 2)
    occurs = marked > 0
    f1 = 2 * hits / np.where(occurs, marked, 1)
    return percentile_interval(f1.sum(axis=1) / np.maximum(occurs.sum(axis=1), 1))


def class_scores(names: tuple[str, ...], truth: YesNo, predicted: YesNo) -> tuple[ClassScore, ...]:
    """Return precision, recall and F1 of each label."""
    hits, support, found = (matrix.sum(axis=0) for matrix in (truth & predicted, truth, predicted))
    precision, recall = hits / np.maximum(found, 1), hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + found, 1)
    columns = (column.tolist() for column in (precision, recall, f1, support, found))
    return tuple(ClassScore(*values) for values in zip(names, *columns, strict=True))


def confusion_matrix(labels: Labels, predicted: YesNo) -> Int64[np.ndarray, "labels labels"] | None:
    """Return how often each label (row) is predicted as each (column), shape (C, C).

    None where documents may have several labels, or there are very many labels.
    """
    size = len(labels.names)
    if labels.multilabel or size > LARGEST_CONFUSION:
        return None
    pairs = labels.single * size + predicted.argmax(axis=1)
    counts: Int64[np.ndarray, "labels labels"]
    counts = np.bincount(pairs, minlength=size * size).reshape(size, size)
    return counts


@dataclass(frozen=True)
class Calibration(Serializable):
    """Predictions in bins of equal width by their confidence, from 0 to 1.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger 2017, "On calibration of modern neural
    networks", section 2: bins and the expected calibration error (equation 3).

    Attributes:
        confidence: Mean confidence in each bin, not a number in an empty one.
        accuracy: Share of the predictions in each bin that are right, likewise.
        count: Predictions in each bin.
    """

    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    count: Int64[np.ndarray, " bins"]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of accuracy from confidence, from 0 to 1."""
        distance = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float(distance @ self.count / self.count.sum())

    def to_json(self) -> dict[str, Any]:
        """Return the error, and each bin that is not empty, for a program."""
        width = 1 / len(self.count)
        bins = [
            {
                "from": at * width,
                "to": (at + 1) * width,
                "confidence": float(self.confidence[at]),
                "accuracy": float(self.accuracy[at]),
                "count": int(self.count[at]),
            }
            for at in np.flatnonzero(self.count).tolist()
        ]
        return {"expected_calibration_error": self.error, "bins": bins}


def calibrate(
    confidence: Float[np.ndarray, " predictions"],
    right: Bool[np.ndarray, " predictions"],
    bins: int = BINS,
) -> Calibration:
    """Sort predictions into bins; a bin holds its upper bound, as in the source."""
    confidence = confidence.astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    number = np.where(count > 0, count, np.nan)
    return Calibration(
        np.bincount(place, confidence, bins) / number,
        np.bincount(place, right.astype(np.float64), bins) / number,
        count,
    )


@dataclass(frozen=True)
class Mistake:
    """A document that got the wrong label.

    Attributes:
        document: Its place among the documents, from 0.
        text: How it begins, on one line.
        label: Its label, or labels.
        predicted: The label, or labels, predicted.
        probability: Of the predicted label; with several labels, of the surest wrong answer.
    """

    document: int
    text: str
    label: str
    predicted: str
    probability: float


def most_confident_mistakes(
    certainty: Float[np.ndarray, "documents classes"],
    truth: YesNo,
    predicted: YesNo,
    labels: Labels,
    documents: Documents,
    number: int,
) -> tuple[Mistake, ...]:
    """Return the wrongly labelled documents of which the classifier is surest, surest first."""
    wrong = truth != predicted
    # The predicted label is the surest wrong one; that of a label train lacks was never asked.
    surest = np.where(wrong[:, : certainty.shape[1]], certainty, 0).max(axis=1)
    places = np.flatnonzero(wrong.any(axis=1))
    places = places[np.argsort(-surest[places], kind="stable")[:number]]
    return tuple(
        Mistake(
            document=at,
            text=excerpt(documents[at]),
            label=_together(labels.of(at)),
            predicted=_together(tuple(labels.names[n] for n in np.flatnonzero(predicted[at]))),
            probability=float(surest[at]),
        )
        for at in places.tolist()
    )


def most_frequent(truth: YesNo, labels: Labels) -> tuple[str, int]:
    """Return the label, or the labels together, that most documents have, and how many do."""
    packed = np.packbits(truth, axis=1)
    rows = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, counts = np.unique(rows, return_index=True, return_counts=True)
    most = int(counts.argmax())
    return _together(labels.of(int(first[most]))), int(counts[most])


def _together(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "no label"


def excerpt(text: str, length: int = EXCERPT) -> str:
    r"""Return how a text begins, on one line.

    >>> excerpt("Dear all,\n\n  we meet on Monday.", 12)
    'Dear all, w…'
    """
    line = " ".join(text[: 10 * length].split())
    return line if len(line) <= length and len(text) <= 10 * length else line[: length - 1] + "…"
