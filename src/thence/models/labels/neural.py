"""Classifiers made of a network that reads sequences: their batches, loss and predictions.

A network maps ids (B, T) and lengths (B,) to one row of logits per document (B, C). With one label
per document the loss is the cross-entropy of a softmax; where there may be several, the sum over
the labels of the cross-entropy of yes and no.
"""

from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.nn import functional

from thence.batches.labelled import LabelledBatch, LabelledRows
from thence.corpus.labels import Labels
from thence.models.base import Array, Classes, State
from thence.models.labels.embeddings import EmbeddingNetwork, adversarial_loss
from thence.models.network import NetworkModel
from thence.tokens.texts import Texts

MAX_CELLS = 1 << 14
"""Tokens, padding included, that are read at once while classifying."""
MAX_ROWS = 256
"""Documents that are read at once while classifying."""


@runtime_checkable
class DocumentNetwork(Protocol):
    """What a family of networks provides."""

    def __call__(
        self, ids: Int64[Tensor, "batch time"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits of each document; ids after its length do not matter."""


def label_loss(
    logits: Float[Tensor, "batch classes"],
    targets: Int64[Tensor, " batch"] | Float[Tensor, "batch classes"],
    sample_weight: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Return the summed loss in nats, each document times its weight."""
    if targets.dim() == 1:
        losses = functional.cross_entropy(logits, targets, reduction="none")
    else:
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        losses = losses.sum(1)
    return (losses * sample_weight).sum()


def label_log_probs(logits: Tensor, classes: Classes) -> Float[np.ndarray, "batch classes"]:
    """Return the log-probability of each label."""
    logits = logits.float()
    found = functional.logsigmoid(logits) if classes.multilabel else logits.log_softmax(1)
    log_probs: Array = found.cpu().numpy()
    return log_probs


class NeuralClassifier(NetworkModel):
    """A classifier made of a network that reads sequences.

    Args:
        network: Ids to logits.
        classes: The labels that it predicts.
        max_length: Tokens of a document that are read.
    """

    def __init__(self, network: DocumentNetwork, classes: Classes, max_length: int) -> None:
        super().__init__()
        self.network, self.classes, self.max_length = network, classes, max_length

    def batches(
        self,
        texts: Texts,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        rows: int,
        seed: int,
    ) -> LabelledRows:
        """Cut train documents into steps."""
        return LabelledRows(texts.store, labels, rows, self.max_length, sample_weight, seed)

    def load_vectors(
        self, matrix: Float32[np.ndarray, "vocab embedding"], found: Bool[np.ndarray, " vocab"]
    ) -> None:
        """Begin with vectors that were learned on other text; see ``EmbeddingNetwork``."""
        cast(Any, self.network).load_vectors(matrix, found)

    def batch_loss(
        self, batch: LabelledBatch, state: State = None
    ) -> tuple[Float[Tensor, ""], State]:
        """Return the summed loss of a training batch in nats; there is no state to carry."""
        ids, lengths, targets, sample_weight = self.to_device(
            batch.ids, batch.lengths, batch.targets, batch.sample_weight
        )

        def loss_of(logits: Tensor) -> Tensor:
            return label_loss(logits, targets, sample_weight)

        network = self.network
        if self.training and isinstance(network, EmbeddingNetwork) and network.adversarial:
            return adversarial_loss(network, ids, lengths, loss_of), None
        return loss_of(network(ids, lengths)), None

    @torch.inference_mode()
    def classify(self, texts: Texts) -> Float[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        self.eval()
        found = np.zeros((len(texts), self.classes.num_classes), np.float32)
        longest = int(min(self.max_length, texts.store.target_counts.max(initial=1)))
        rows = max(1, min(MAX_ROWS, MAX_CELLS // longest))
        batches = LabelledRows(texts.store, None, rows, self.max_length)
        for step in range(batches.steps_per_epoch):
            batch = batches.at(step)
            logits = self.network(*self.to_device(batch.ids, batch.lengths))
            found[batches.documents(step)] = label_log_probs(logits, self.classes)
        return found
