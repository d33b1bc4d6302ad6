"""Evaluation of a model on a labelled file: ``test``, ``test_label`` and ``get_meter``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thence.array_types import Bool, Float, Float32, Int64
from thence.corpus import Documents
from thence.fasttext.errors import FastTextError
from thence.models.fasttext.contents import FastTextModel
from thence.models.fasttext.predictions import ADDED, predict

NOT_SUPERVISED = "Model needs to be supervised for prediction!"
MISSED = -1.0
"""The score of a line's true label that is not among the k most probable."""
Pairs = Bool[np.ndarray, "lines labels"]


@dataclass(frozen=True)
class LabelScores:
    """Predictions and truth for the lines of a file that have labels and words.

    Attributes:
        scores: The probability of each label; shape (lines, labels).
        gold: Whether the line has the label; shape (lines, labels).
        extra: Number of repeated labels within lines, which fastText counts too.
    """

    scores: Float32[np.ndarray, "lines labels"]
    gold: Pairs
    extra: int = 0


def score_labels(model: FastTextModel, path: str | Path) -> LabelScores:
    """Return a model's label probabilities for a labelled file, with its true labels.

    Raises:
        FastTextError: If there is no such file, or the model has no labels.
    """
    if model.arguments.model != "supervised":
        raise FastTextError(NOT_SUPERVISED)
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError:
        raise FastTextError("Test file cannot be opened!") from None
    ids = {label: place for place, label in enumerate(model.dictionary.labels.encoded())}
    found = [[ids[word] for word in line.split() if word in ids] for line in lines]
    kept = [place for place, labels in enumerate(found) if labels]
    scores, sizes = predict(model, documents_of([lines[place] for place in kept]))
    gold = np.zeros(scores.shape, np.bool_)
    rows = np.repeat(np.arange(len(kept)), [len(found[place]) for place in kept])
    gold[rows, [label for place in kept for label in found[place]]] = True
    has_words = sizes > 0
    twice = len(rows) - int(gold.sum())
    return LabelScores(scores[has_words], gold[has_words], twice)


def documents_of(lines: Sequence[bytes]) -> Documents:
    """Return lines as documents; their bytes need not be UTF-8."""
    ends = np.cumsum([len(line) for line in lines]).astype(np.int64)
    starts = np.concatenate([[0], ends])[: len(ends)]
    return Documents(np.frombuffer(b"".join(lines), np.uint8), starts, ends)


def predicted_labels(
    scores: Float32[np.ndarray, "lines labels"], k: int, threshold: float
) -> Pairs:
    """Return a mask of the labels among the k most probable of a line that reach the threshold."""
    found = np.zeros(scores.shape, np.bool_)
    np.put_along_axis(found, top_k(scores, resolve_k(k, scores.shape[1])), True, 1)
    found &= reaches(scores, threshold)
    return found


def reaches(scores: Float32[np.ndarray, "lines k"], threshold: float) -> Pairs:
    """Return a mask of the probabilities that reach a threshold."""
    reached: Pairs = np.maximum(scores - ADDED, 0) >= threshold
    return reached


def top_k(scores: Float32[np.ndarray, "lines labels"], k: int) -> Int64[np.ndarray, "lines k"]:
    """Return the k labels with the highest scores of each line, the highest first.

    Of equal scores, which are frequent as fastText's sigmoid is a table, it takes the last.
    """
    last, turned = scores.shape[1] - 1, scores[:, ::-1]
    best = np.argmax(turned, 1, keepdims=True) if k == 1 else np.argsort(-turned, 1, "stable")
    order: Int64[np.ndarray, "lines k"] = last - best[:, :k]
    return order


def resolve_k(k: int, labels: int) -> int:
    """Return k, at most the number of labels; -1 stands for all.

    Raises:
        FastTextError: If k is 0, or below -1.
    """
    if k < 1 and k != -1:
        raise FastTextError("k needs to be 1 or higher!")
    return labels if k == -1 else min(k, labels)


def top_labels(
    scores: Float32[np.ndarray, " labels"],
    size: int,
    names: Sequence[str],
    k: int,
    threshold: float,
) -> tuple[tuple[str, ...], Float[np.ndarray, " k"]]:
    """Return the k most probable labels of one text and their probabilities; none if size is 0.

    Args:
        scores: The probability of each label.
        size: Number of features of the text.
        names: The names of the labels.
        k: Number of labels; -1: all.
        threshold: Labels that are less probable are left out.
    """
    k = resolve_k(k, len(names))
    if k == 1:
        order = [len(names) - 1 - int(scores[::-1].argmax())]
    else:
        order = top_k(scores[None], k)[0].tolist()
    least = threshold + float(ADDED) if threshold > 0 else 0.0
    found = [(names[label], float(scores[label])) for label in order if size]
    kept = [(name, chance) for name, chance in found if chance >= least]
    return tuple(name for name, _ in kept), np.array([chance for _, chance in kept], np.float64)


def precision_and_recall(found: LabelScores, k: int, threshold: float) -> tuple[int, float, float]:
    """Return the number of lines, and micro-averaged precision and recall."""
    predicted = predicted_labels(found.scores, k, threshold)
    right = int((predicted & found.gold).sum())
    gold = int(found.gold.sum()) + found.extra
    return len(found.gold), ratio(right, predicted.sum()), ratio(right, gold)


def by_label(
    found: LabelScores, labels: Sequence[str], k: int, threshold: float
) -> dict[str, dict[str, float]]:
    """Return precision, recall and F1 of each label; NaN if undefined."""
    predicted = predicted_labels(found.scores, k, threshold)
    right, predicted_count, gold = (
        part.sum(0) for part in (predicted & found.gold, predicted, found.gold)
    )
    return {
        label: {
            "precision": ratio(right[place], predicted_count[place]),
            "recall": ratio(right[place], gold[place]),
            "f1score": ratio(2 * right[place], predicted_count[place] + gold[place]),
        }
        for place, label in enumerate(labels)
    }


def ratio(part: Any, whole: Any) -> float:
    """Return part / whole; NaN if the whole is 0."""
    return float(part) / float(whole) if whole else float("nan")


class Meter:
    """Precision-recall curves of the labels of a file: the result of ``get_meter``.

    Args:
        found: Scores and truth.
        labels: The names of the labels.
        k: Only the k most probable labels of each line count as predicted; -1: all.
    """

    def __init__(self, found: LabelScores, labels: Sequence[str], k: int) -> None:
        self._gold, self._places = found.gold, {label: i for i, label in enumerate(labels)}
        self._known = predicted_labels(found.scores, k, 0.0)
        self._scores = np.where(self._known, np.minimum(found.scores, 1), MISSED)

    def score_vs_true(self, label: str) -> tuple[Float[np.ndarray, " lines"], Any]:
        """Return the scores of a label, ascending, and 1 if the line has the label, else 0."""
        place = self._place(label)
        kept = self._known[:, place] | self._gold[:, place]
        scores, gold = self._scores[kept, place], self._gold[kept, place]
        order = np.lexsort([gold, scores])
        return scores[order].astype(float), gold[order].astype(float)

    def precision_recall_curve(self, label: str | None = None) -> tuple[Any, Any]:
        """Return precision and recall at each distinct score, the highest score first.

        The last point, of precision 1 and recall 0, is that of no predictions.
        """
        columns = slice(None) if label is None else [self._place(label)]
        known, all_gold = self._known[:, columns], int(self._gold[:, columns].sum())
        scores, gold = self._scores[:, columns][known], self._gold[:, columns][known]
        order = np.argsort(-scores, kind="stable")
        right = np.cumsum(gold[order])
        last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
        predicted_count, right = last + 1, right[last]
        until = int(np.searchsorted(right, all_gold)) + 1  # The recall is 1 from there on.
        precision, recall = (
            right[:until] / predicted_count[:until],
            right[:until] / max(all_gold, 1),
        )
        return np.append(precision, 1.0), np.append(recall, 0.0)

    def precision_at_recall(self, recall: float, label: str | None = None) -> float:
        """Return the best precision among the points of at least this recall."""
        precisions, recalls = self.precision_recall_curve(label)
        return float(precisions[recalls >= recall].max(initial=0))

    def recall_at_precision(self, precision: float, label: str | None = None) -> float:
        """Return the best recall among the points of at least this precision."""
        precisions, recalls = self.precision_recall_curve(label)
        return float(recalls[precisions >= precision].max(initial=0))

    def _place(self, label: str) -> int:
        if label not in self._places:
            raise FastTextError(f"there is no label {label!r}")
        return self._places[label]
