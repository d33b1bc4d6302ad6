"""Metrics of language models and of classifiers.

All losses are in nats; this is the only module that converts them to other units.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.array_types import Bool, Float, Float64, Int64
from thence.corpus import Documents
from thence.corpus.documents import Labels, joined_labels
from thence.evaluation.intervals import (
    FEWEST_UNITS,
    bootstrap_means,
    document_blocks,
    percentile_interval,
)
from thence.results import Serializable

LARGEST_CONFUSION = 1000
"""Most labels for which a confusion matrix is counted, since its size grows with their square."""
BINS = 15
"""Bins of confidence for the calibration error, as in Guo et al. 2017."""

EXCERPT = 100
"""Characters of a document that ``excerpt`` returns at most."""

YesNo = Bool[np.ndarray, "documents labels"]
"""Binary indicator matrix of the labels that documents have, or that are predicted for them.

With one label per document each row has one True, so the same arithmetic serves both the
single-label and the multilabel case.
"""


def surprisal_scale_end(vocabulary_size: int) -> float:
    """Return the upper end, in bits, of the colour scale for surprisal.

    It is one and a half times the surprisal of a uniform guess among all symbols.
    """
    return 1.5 * math.log2(max(vocabulary_size, 2))


def bits(nats: float) -> float:
    """Convert nats to bits.

    >>> bits(math.log(8))
    3.0
    """
    return nats / math.log(2)


def nats_and_bits(nats: float) -> str:
    """Return a mean loss per token as text, in nats, as PyTorch prints it, and in bits.

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
    """Return the value, or None if it is infinite or NaN, which JSON cannot hold."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of one label.

    Attributes:
        label: Its name.
        precision: Share of the documents predicted to have it that do; 0 where there are none.
        recall: Share of the documents that have it that are predicted to; 0 where there are none.
        f1: Harmonic mean of both; 0 where either is 0.
        support: Number of documents that have the label.
        predicted: Number of documents predicted to have it.
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
        labels: The true labels of the same documents: they say whether a document may have
            several, and how many labels there are beside train's, which are never predicted.
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
    """Return for each document whether its label, or exactly its set of labels, is predicted."""
    right: Bool[np.ndarray, " documents"]
    right = ((labels.matrix() > 0) == predict(log_probs, labels)).all(axis=1)
    return right


def answer_probs(
    log_probs: Float[np.ndarray, "documents classes"], multilabel: bool
) -> Float[np.ndarray, "documents classes"]:
    """Return the probability of each label; if multilabel, of the likelier answer, yes or no."""
    certainty: Float[np.ndarray, "documents classes"] = np.exp(log_probs)
    if multilabel:
        certainty = np.maximum(certainty, 1 - certainty)
    return certainty


def log_loss(
    log_probs: Float[np.ndarray, "known classes"], truth: YesNo, multilabel: bool
) -> float:
    """Return the mean negative log-probability of the true labels, in nats per document.

    If multilabel, it is the binary cross-entropy, summed over labels. NaN without documents.
    """
    if not len(log_probs):
        return math.nan
    # Subtracted from 0.0 and not negated, so that a loss of zero is not shown as -0.
    return 0.0 - float(true_log_probs(log_probs, truth, multilabel).sum()) / len(log_probs)


def true_log_probs(
    log_probs: Float[np.ndarray, "documents classes"], truth: YesNo, multilabel: bool
) -> Float64[np.ndarray, " documents"]:
    """Return the log-probability of the true labels of each document, in nats; see ``log_loss``."""
    otherwise: Float[np.ndarray, "documents classes"] = np.zeros_like(log_probs)
    if multilabel:
        with np.errstate(divide="ignore"):  # Where p = 1, log(1 - p) is minus infinity.
            otherwise = np.log(-np.expm1(np.minimum(log_probs, 0)))
    chosen = np.where(truth[:, : log_probs.shape[1]], log_probs, otherwise)
    found: Float64[np.ndarray, " documents"] = chosen.sum(axis=1, dtype=np.float64)
    return found


def macro_f1_interval(truth: YesNo, predicted: YesNo) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of macro F1; NaN with fewer than ``FEWEST_UNITS``."""
    starts = document_blocks(len(truth))
    if len(starts) < FEWEST_UNITS:
        return math.nan, math.nan
    hits, true, found = (
        np.add.reduceat(matrix, starts, axis=0, dtype=np.float64)
        for matrix in (truth & predicted, truth, predicted)
    )
    sizes = np.diff(np.append(starts, len(truth))).astype(np.float64)
    # Means over the drawn documents instead of counts: the number of documents cancels in F1.
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
    """Return how often each true label (row) is predicted as each label (column), shape (C, C).

    None if multilabel, or with more than ``LARGEST_CONFUSION`` labels.
    """
    size = len(labels.names)
    if labels.multilabel or size > LARGEST_CONFUSION:
        return None
    pairs = labels.single * size + predicted.argmax(axis=1)
    counts: Int64[np.ndarray, "labels labels"]
    counts = np.bincount(pairs, minlength=size * size).reshape(size, size)
    return counts


@dataclass(frozen=True)
class CalibrationBins(Serializable):
    """Confidence and accuracy of predictions, in bins of equal width by confidence (0 to 1).

    Source: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger 2017, "On calibration of modern neural
    networks", section 2: bins and the expected calibration error (equation 3).

    Attributes:
        confidence: Mean confidence in each bin; NaN in an empty one.
        accuracy: Share of the predictions in each bin that are right; NaN in an empty one.
        count: Number of predictions in each bin.
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
        """Return the error and the bins that are not empty."""
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


def calibration_bins(
    confidence: Float[np.ndarray, " predictions"],
    right: Bool[np.ndarray, " predictions"],
    bins: int = BINS,
) -> CalibrationBins:
    """Sort predictions into bins of confidence; a bin includes its upper bound, as in the source.

    Args:
        confidence: Probability of each prediction, from 0 to 1.
        right: Whether it is right.
        bins: Number of bins.
    """
    confidence = confidence.astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    number = np.where(count > 0, count, np.nan)
    return CalibrationBins(
        np.bincount(place, confidence, bins) / number,
        np.bincount(place, right.astype(np.float64), bins) / number,
        count,
    )


@dataclass(frozen=True)
class Mistake:
    """A document that is labelled wrongly.

    Attributes:
        document: Its index, from 0.
        text: An excerpt of it, on one line.
        label: Its true label, or labels.
        predicted: The label, or labels, predicted.
        probability: Of the predicted label; with several labels, of the most confident wrong
            answer.
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
    """Return the ``number`` most confident mistakes, most confident first."""
    wrong = truth != predicted
    # With one label, the predicted one is the most probable wrong one. Columns of labels that
    # train lacks have no probability and are left out.
    surest = np.where(wrong[:, : certainty.shape[1]], certainty, 0).max(axis=1)
    places = np.flatnonzero(wrong.any(axis=1))
    places = places[np.argsort(-surest[places], kind="stable")[:number]]
    return tuple(
        Mistake(
            document=at,
            text=excerpt(documents[at]),
            label=joined_labels(labels.of(at)),
            predicted=joined_labels(tuple(labels.names[n] for n in np.flatnonzero(predicted[at]))),
            probability=float(surest[at]),
        )
        for at in places.tolist()
    )


def most_frequent(truth: YesNo, labels: Labels) -> tuple[str, int]:
    """Return the most frequent set of labels, as text, and how many documents have it."""
    packed = np.packbits(truth, axis=1)  # Rows as bytes, so that equal rows are equal values.
    rows = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, counts = np.unique(rows, return_index=True, return_counts=True)
    most = int(counts.argmax())
    return joined_labels(labels.of(int(first[most]))), int(counts[most])


def excerpt(text: str, length: int = EXCERPT) -> str:
    r"""Return the first ``length`` characters of a text, on one line.

    >>> excerpt("Dear all,\n\n  we meet on Monday.", 12)
    'Dear all, w…'
    """
    line = " ".join(text[: 10 * length].split())
    return line if len(line) <= length and len(text) <= 10 * length else line[: length - 1] + "…"
