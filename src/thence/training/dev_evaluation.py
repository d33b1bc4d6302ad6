"""How a training is judged as it goes: what a look at dev gives, for texts and for labels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from thence.corpus import Labels
from thence.models.base import Array, LanguageModel, State
from thence.models.labels.base import Classes, Classifier
from thence.tokens import Texts, TokenStore

if TYPE_CHECKING:  # Counts, which are judged by it too, never wait for torch.
    import torch
    from torch import Tensor, nn

TIE = 1e-9
"""Weight of a nat beside that of all documents: never enough to outweigh one of them."""


class Trainable(Protocol):
    """What the loop knows of a network, be it a language model or a classifier."""

    @property
    def device(self) -> "torch.device": ...  # noqa: D102

    def batch_loss(self, batch: Any, state: State = None) -> "tuple[Tensor, State]":
        """Return the summed loss of a batch in nats, and the state after it."""

    def tensors(self) -> dict[str, Array]:
        """Return everything learned, by name."""

    def load_tensors(self, tensors: dict[str, Array]) -> None:
        """Take back what ``tensors`` gave."""

    def num_parameters(self) -> int:
        """Return how many numbers are learned."""

    def parameters(self) -> "Iterator[nn.Parameter]":
        """Yield the weights."""

    def train(self, mode: bool = True) -> Any:
        """Turn on what is for training only, such as dropout."""

    def zero_grad(self) -> None:
        """Clear the gradients."""


@dataclass(frozen=True)
class EvalResult:
    """What a look at dev gives.

    Attributes:
        nats: Mean loss per unit.
        selection_loss: What the best weights have least of.
        metrics: Further numbers for the metrics.
    """

    nats: float
    selection_loss: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DevEvaluator:
    """How a training is judged.

    Attributes:
        unit: What the loss is a mean over: ``token`` or ``document``.
        uniform_loss: Nats per unit of a model that knows nothing.
        evaluate: Evaluates the weights as they are on dev; None where there is no dev.
    """

    unit: str
    uniform_loss: float
    evaluate: Callable[[], EvalResult] | None


def language_evaluator(
    model: LanguageModel, dev: TokenStore, carry_context: bool, vocabulary_size: int
) -> DevEvaluator:
    """Return how a language model is judged: by its likelihood."""

    def evaluate() -> EvalResult:
        nats = -float(np.mean(model.score(dev, carry_context), dtype=np.float64))
        return EvalResult(nats, nats)

    return DevEvaluator("token", log(vocabulary_size), evaluate if dev.num_documents else None)


def label_evaluator(classifier: Classifier, dev: Texts, labels: Labels) -> DevEvaluator:
    """Return how a classifier is judged: by its mistakes, and for equal ones by its likelihood."""
    uniform_loss = uniform_label_loss(classifier.classes)
    return DevEvaluator(
        "document",
        uniform_loss,
        (lambda: evaluate_labels(classifier.classify(dev), labels)) if len(labels) else None,
    )


def uniform_label_loss(classes: Classes) -> float:
    """Return the nats per document of a classifier that knows nothing."""
    return classes.num_classes * log(2) if classes.multilabel else log(classes.num_classes)


def evaluate_labels(log_probs: Array, labels: Labels) -> EvalResult:
    """Evaluate log-probabilities; a label that train lacks counts as a mistake, without a loss."""
    number = log_probs.shape[1]
    if labels.multilabel:
        truth = labels.matrix()
        known = truth[:, :number]
        no = np.log(-np.expm1(np.minimum(log_probs, -1e-7)))
        nats = -float(np.mean(np.where(known > 0, log_probs, no).sum(1), dtype=np.float64))
        right = ((np.exp(log_probs) >= 0.5) == known).all(1) & ~truth[:, number:].any(1)
    else:
        known_ones = np.flatnonzero(labels.single < number)
        found = log_probs[known_ones, labels.single[known_ones]]
        nats = -float(np.mean(found, dtype=np.float64)) if len(found) else 0.0
        right = log_probs.argmax(1) == labels.single
    accuracy = float(np.mean(right))
    return EvalResult(nats, selection_loss(nats, accuracy), {"dev_accuracy": accuracy})


def selection_loss(nats: float, accuracy: float | None = None) -> float:
    """Return what the better of two models has less of: mistakes, and for equal ones loss.

    Args:
        nats: Mean loss on dev.
        accuracy: Of a classifier; a language model is judged by its loss alone.
    """
    if accuracy is None:
        return nats
    return 1 - accuracy + min(nats, 100.0) * TIE
