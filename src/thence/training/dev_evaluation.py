"""Evaluation of a network on dev during its training, for language models and classifiers."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from math import log

import numpy as np

from thence.corpus import Labels
from thence.errors import ThenceWarning
from thence.models.base import Array, Classes, Classifier, LanguageModel
from thence.tokens import Texts, TokenStore

TIE_BREAK = 1e-9
"""Weight of the loss (nats) in the selection loss of classifiers: it orders equal accuracies, and
never outweighs a single document."""
SLOW_FRACTION, SLOW_SECONDS = 0.2, 5.0
"""An evaluation is slow from this fraction of a time limit on, if it takes so many seconds."""


@dataclass(frozen=True)
class EvalResult:
    """The result of one evaluation on dev.

    Attributes:
        nats: Mean loss per token or document.
        selection_loss: The best weights of a training are those of the lowest selection loss.
        metrics: Further numbers for ``metrics.jsonl``.
    """

    nats: float
    selection_loss: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DevEvaluator:
    """Evaluates a network on dev.

    Attributes:
        unit: The unit that the loss is a mean over: ``token`` or ``document``.
        uniform_loss: Nats per unit of a uniform distribution.
        evaluate: Evaluates the current weights; None without a dev split.
    """

    unit: str
    uniform_loss: float
    evaluate: Callable[[], EvalResult] | None


def language_evaluator(
    model: LanguageModel,
    dev: TokenStore,
    carry_context: bool,
    vocabulary_size: int,
    limit: float | None = None,
) -> DevEvaluator:
    """Return the evaluator of a language model, by its loss on dev.

    It warns once if it takes much of a time limit (seconds): the training cannot keep to it then.
    """
    warned = limit is None

    def evaluate() -> EvalResult:
        nonlocal warned
        began = time.monotonic()
        nats = -float(np.mean(model.score(dev, carry_context), dtype=np.float64))
        seconds = time.monotonic() - began
        if not warned and seconds > max(SLOW_FRACTION * (limit or 0.0), SLOW_SECONDS):
            warned = True
            warnings.warn(
                f"An evaluation on dev ({dev.num_targets:,} tokens) takes {seconds:.0f} s, much of "
                f"the {limit:.0f} s that `time` allows, so the training ends late. Keep less for "
                "dev, such as `split='98/1/1'`.",
                ThenceWarning,
                stacklevel=2,
            )
        return EvalResult(nats, selection_loss(nats))

    return DevEvaluator("token", log(vocabulary_size), evaluate if dev.num_documents else None)


def label_evaluator(classifier: Classifier, dev: Texts, labels: Labels) -> DevEvaluator:
    """Return the evaluator of a classifier, by its accuracy on dev, then by its loss."""

    def evaluate() -> EvalResult:
        return evaluate_labels(classifier.classify(dev), labels)

    uniform_loss = uniform_label_loss(classifier.classes)
    return DevEvaluator("document", uniform_loss, evaluate if len(labels) else None)


def uniform_label_loss(classes: Classes) -> float:
    """Return the nats per document of a classifier that gives all labels the same probability."""
    # A multilabel classifier makes a binary decision for each label.
    return classes.num_classes * log(2) if classes.multilabel else log(classes.num_classes)


def evaluate_labels(log_probs: Array, labels: Labels) -> EvalResult:
    """Return loss and accuracy of log-probabilities (documents, classes).

    A label that the train split lacks counts as a mistake, and is left out of the loss.
    """
    num_classes = log_probs.shape[1]
    if labels.multilabel:
        truth = labels.matrix()
        known = truth[:, :num_classes]
        # log(1 - p), kept finite where p rounds to 1.
        log_no = np.log(-np.expm1(np.minimum(log_probs, -1e-7)))
        nats = -float(np.mean(np.where(known > 0, log_probs, log_no).sum(1), dtype=np.float64))
        predicted = (np.exp(log_probs) >= 0.5) == known
        right = predicted.all(1) & ~truth[:, num_classes:].any(1)
    else:
        known_ones = np.flatnonzero(labels.single < num_classes)
        found = log_probs[known_ones, labels.single[known_ones]]
        nats = -float(np.mean(found, dtype=np.float64)) if len(found) else 0.0
        right = log_probs.argmax(1) == labels.single
    accuracy = float(np.mean(right))
    return EvalResult(nats, selection_loss(nats, accuracy), {"dev_accuracy": accuracy})


def selection_loss(nats: float, accuracy: float | None = None) -> float:
    """Return the number by which weights and models are selected on dev; lower is better.

    Args:
        nats: Mean loss on dev.
        accuracy: For a classifier: a higher accuracy is better, and the loss breaks ties. None for
            a language model, which is selected by its loss alone.
    """
    if accuracy is None:
        return nats
    return 1 - accuracy + min(nats, 100.0) * TIE_BREAK
