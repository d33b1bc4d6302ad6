"""Evaluating classifiers: their labels on a split of their text, or on another."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan

import numpy as np

from thence.array_types import Float, Int64
from thence.batches.labelled import cut_share
from thence.corpus import (
    Documents,
)
from thence.corpus.documents import Labels
from thence.evaluation.data import EvaluationData, RunReport
from thence.evaluation.intervals import wilson_interval
from thence.evaluation.metrics import (
    CalibrationBins,
    ClassScore,
    Mistake,
    answer_probs,
    calibration_bins,
    class_scores,
    confusion_matrix,
    log_loss,
    macro_f1_interval,
    most_confident_mistakes,
    most_frequent,
    predict,
)
from thence.models.labels.known import Known, known_of
from thence.models.registry import get_family
from thence.results import format_pairs, format_table
from thence.runs import ClassifierRun
from thence.runs.description import choice_on_dev
from thence.runs.run import Run, Split

MISTAKES = 10
"""Number of the most confident mistakes that a report keeps."""
CLASSES_SHOWN = 30
"""Rows of the table of labels at most: what fits on a page."""
COVERS = "documents like these, taken as independent of each other; not another text"
"""Population that the intervals of a classifier are about, in the words of reports."""


@dataclass(frozen=True)
class ClassificationReport(RunReport):
    """Metrics of a classifier on labelled documents.

    Attributes:
        run: Name of the run.
        text: What it was evaluated on: a split or a file.
        documents: Number of documents.
        multilabel: Whether a document may have several labels, or exactly one.
        train_labels: Labels that can be predicted (C).
        right: Number of documents whose label is predicted; with several labels, exactly the true
            set (subset accuracy).
        accuracy_interval: Wilson's 95 % interval of the accuracy.
        guess: The most frequent label, or set of labels, of the evaluated documents.
        guess_right: Number of documents that always guessing this gets right.
        macro_f1_interval: 95 % bootstrap interval of ``macro_f1`` over documents; NaN with too few.
        micro_f1: F1 of all labels taken together; with one label per document, the accuracy.
        classes: Each label by id: the labels of train, then others that the documents have.
        confusion: How often each label (row) was predicted as each (column), shape (C', C'); None
            where documents may have several labels, or there are very many.
        nats_per_document: Mean negative log-probability of the true labels, over the documents
            whose labels all occur in train; NaN where there are none.
        calibration: Confidence against accuracy of the predicted labels; with several labels, of
            each binary answer.
        mistakes: The most confident mistakes, most confident first.
        unseen: Number of documents with a label that train lacks: they cannot be right.
        empty: Number of documents without any text.
        nothing_known: Number of documents with text, but without any feature that the classifier
            has weights for (``models/labels/known.py``).
        unknown_share: Share of all tokens that the train text lacks, from 0 to 1.
        looks: Evaluations on the run's test split, this one included: ``time``, ``command`` and,
            for a run that this one is built from, the name of that ``run``.
        chosen_on_dev: A remark that the run was selected, or its weights learned, on the dev split
            that it is evaluated on; None where it was not, or for another text.
    """

    _in_json = (
        *("run", "text", "documents", "multilabel", "train_labels", "right", "accuracy"),
        *("accuracy_interval", "guess", "guess_accuracy", "macro_f1", "macro_f1_interval"),
        *("intervals_of", "chosen_on_dev", "micro_f1", "nats_per_document", "calibration"),
        *("unseen", "empty", "nothing_known", "unknown=unknown_share", "test_looks"),
        *("test_looks_before", "classes", "confusion", "mistakes"),
    )
    intervals_of = COVERS

    run: str
    text: str
    documents: int
    multilabel: bool
    train_labels: int
    right: int
    accuracy_interval: tuple[float, float]
    guess: str
    guess_right: int
    macro_f1_interval: tuple[float, float]
    micro_f1: float
    classes: tuple[ClassScore, ...]
    confusion: Int64[np.ndarray, "labels labels"] | None
    nats_per_document: float
    calibration: CalibrationBins
    mistakes: tuple[Mistake, ...]
    unseen: int
    empty: int
    looks: tuple[Mapping[str, str], ...] = ()
    nothing_known: int = 0
    unknown_share: float = 0.0
    chosen_on_dev: str | None = None

    @property
    def accuracy(self) -> float:
        """Share of the documents that are labelled correctly, from 0 to 1."""
        return self.right / self.documents

    @property
    def guess_accuracy(self) -> float:
        """Accuracy of always guessing the most frequent label, from 0 to 1."""
        return self.guess_right / self.documents

    @property
    def macro_f1(self) -> float:
        """Unweighted mean of the F1 of the ``occurring`` labels, from 0 to 1."""
        return sum(score.f1 for score in self.occurring) / max(len(self.occurring), 1)

    @property
    def occurring(self) -> list[ClassScore]:
        """Scores of the labels that at least one document has or is predicted to have."""
        return [score for score in self.classes if score.support or score.predicted]

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values with their units, in the order to show them."""
        kind = "any number of them per document" if self.multilabel else "one per document"
        accuracy = "accuracy (all labels of a document right)" if self.multilabel else "accuracy"
        low, high = self.accuracy_interval
        calibrated = "answers, yes or no" if self.multilabel else "predictions"
        rows = [
            ("evaluated on", self.text),
            ("documents", f"{self.documents:,}"),
            ("labels", f"{self.train_labels:,}, {kind}"),
            (
                accuracy,
                f"{_percent(self.accuracy)} (95 % interval {100 * low:.2f} to {_percent(high)})",
            ),
            (f"always guessing {self.guess!r}", _percent(self.guess_accuracy)),
            ("macro F1", f"{self.macro_f1:.4f} ({self.macro_f1_interval_in_words()})"),
            ("micro F1", f"{self.micro_f1:.4f}"),
            ("nats per document", self._nats_in_words()),
            (
                "calibration error",
                f"{_percent(self.calibration.error)} (expected distance between "
                f"confidence and accuracy of the {calibrated})",
            ),
            ("intervals of", COVERS),
        ]
        if self.chosen_on_dev:
            rows.append(("this run", self.chosen_on_dev))
        rows += self._remarks()
        return rows + self.looks_row()

    def _remarks(self) -> list[tuple[str, str]]:
        """Return rows for what is out of the ordinary, such as labels that train lacks."""
        rows = []
        if self.unseen:
            note = f"{self.unseen:,} documents (wrong by necessity, not in the nats)"
            rows.append(("labels that train lacks", note))
        if self.empty:
            rows.append(("empty documents", f"{self.empty:,}"))
        if self.nothing_known:
            note = f"{self.nothing_known:,} documents, whose labels are guesses"
            share = _percent(self.unknown_share)
            rows.append(("nothing known in", f"{note}; {share} of all tokens are unknown"))
        absent = len(self.classes) - len(self.occurring)
        if absent:
            rows.append(("labels neither there nor predicted", f"{absent:,} (not in macro F1)"))
        return rows

    def _nats_in_words(self) -> str:
        if isnan(self.nats_per_document):
            return "none: train lacks the labels of all documents"
        summed = " (summed over the labels)" if self.multilabel else ""
        return f"{self.nats_per_document:.4f}{summed}"

    def macro_f1_interval_in_words(self) -> str:
        """Return the interval, or why there is none."""
        low, high = self.macro_f1_interval
        if isnan(low):
            return "too few documents for an interval"
        return f"95 % interval {low:.4f} to {high:.4f}"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return column names and a row for each label that occurs or is predicted.

        Of more than ``CLASSES_SHOWN`` labels, only those with the lowest F1, lowest first.
        """
        shown, label = self.occurring, "label"
        if len(shown) > CLASSES_SHOWN:
            label = f"label ({CLASSES_SHOWN} weakest of {len(shown):,} by F1)"
            shown = sorted(shown, key=lambda score: score.f1)[:CLASSES_SHOWN]
        columns = [label, "precision", "recall", "F1", "documents", "predicted"]
        return columns, [
            [
                score.label,
                *(f"{share:.4f}" for share in (score.precision, score.recall, score.f1)),
                f"{score.support:,}",
                f"{score.predicted:,}",
            ]
            for score in shown
        ]

    def mistakes_table(self) -> tuple[list[str], list[list[str]]]:
        """Return column names and a row for each of the most confident mistakes."""
        return ["probability", "predicted", "label", "text"], [
            [_percent(mistake.probability), mistake.predicted, mistake.label, mistake.text]
            for mistake in self.mistakes
        ]

    def __str__(self) -> str:
        return "\n".join([*format_pairs(self.rows()), "", *format_table(*self.table())])


def classification_report(
    run: str,
    text: str,
    log_probs: Float[np.ndarray, "documents classes"],
    labels: Labels,
    documents: Documents,
    mistakes: int = MISTAKES,
    known: Known | None = None,
) -> ClassificationReport:
    """Return the report on a classifier's predictions for labelled documents.

    Args:
        run: Name of the run.
        text: What was evaluated on, in words.
        log_probs: Log-probability of each label of train (C of them) for each document; where a
            document may have several, of its having this label.
        labels: The true labels; the first C names are train's, in the order of the columns.
        documents: Their texts.
        mistakes: How many of the most confident mistakes to keep.
        known: How much of the documents the classifier knows; None leaves it out of the report.

    Raises:
        ValueError: If the numbers of documents differ or are zero, or labels are missing.
    """
    if not 0 < len(documents) == len(labels) == len(log_probs):
        raise ValueError(
            f"{len(log_probs)} predictions, {len(labels)} labelled and {len(documents)} documents "
            "do not belong together, or there are none."
        )
    if log_probs.shape[1] > len(labels.names):
        raise ValueError(
            f"{log_probs.shape[1]} labels are predicted, but only {len(labels.names)} have names."
        )
    classes, multilabel = log_probs.shape[1], labels.multilabel
    truth, predicted = labels.matrix() > 0, predict(log_probs, labels)
    is_right = (truth == predicted).all(axis=1)
    is_unseen = truth[:, classes:].any(axis=1)
    guess, guess_right = most_frequent(truth, labels)
    certainty = answer_probs(log_probs, multilabel)
    hits, marked = int((truth & predicted).sum()), int(truth.sum() + predicted.sum())
    return ClassificationReport(
        run=run,
        text=text,
        documents=len(documents),
        multilabel=multilabel,
        train_labels=classes,
        right=int(is_right.sum()),
        accuracy_interval=wilson_interval(int(is_right.sum()), len(documents)),
        guess=guess,
        guess_right=guess_right,
        macro_f1_interval=macro_f1_interval(truth, predicted),
        micro_f1=2 * hits / max(marked, 1),
        classes=class_scores(labels.names, truth, predicted),
        confusion=confusion_matrix(labels, predicted),
        nats_per_document=log_loss(log_probs[~is_unseen], truth[~is_unseen], multilabel),
        calibration=(
            calibration_bins(certainty.ravel(), (truth == predicted)[:, :classes].ravel())
            if multilabel
            else calibration_bins(certainty.max(axis=1), is_right)
        ),
        mistakes=most_confident_mistakes(certainty, truth, predicted, labels, documents, mistakes),
        unseen=int(is_unseen.sum()),
        empty=int((documents.ends == documents.starts).sum()),
        nothing_known=0 if known is None else int((known.nothing & (known.tokens > 0)).sum()),
        unknown_share=0.0 if known is None else known.unknown_share,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def evaluate_classifier(
    run: ClassifierRun, data: EvaluationData = EvaluationData(), mistakes: int = MISTAKES
) -> ClassificationReport:
    """Return the report on a classifier's run; see ``evaluate``."""
    documents = data.labelled_documents(run)
    texts = run.texts(documents, "evaluate")
    log_probs, known = run.classifier.classify(texts), known_of(run.classifier, texts)
    report = classification_report(
        run.name, data.name(run), log_probs, documents.labels, documents, mistakes, known
    )
    chosen = choice_on_dev(run) if data.is_dev_split else None
    return replace(report, looks=tuple(run.test_looks()), chosen_on_dev=chosen)


def truncation_rows(run: Run) -> list[tuple[str, str]]:
    """Return rows with the share of the train and dev tokens beyond ``max_length``, never read."""
    if not get_family(run.recipe.model).truncates:
        return []
    max_length = run.recipe.options.max_length
    splits: tuple[Split, ...] = ("train", "dev")
    rows = []
    for split in splits:
        store = run.store(split)
        share, documents = cut_share(store, max_length)
        if documents:
            which = f"of {documents:,} of {store.num_documents:,} documents"
            value = f"{100 * share:.2f} %, {which} (read up to --max-length {max_length})"
            rows.append((f"{split} tokens cut off", value))
    return rows
