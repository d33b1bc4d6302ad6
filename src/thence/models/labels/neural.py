"""A network that reads sequences becomes a classifier here: loss, batches and judging for all.

A network maps ids (B, T) and lengths (B,) to one row of logits per document (B, C). With one label
per document the loss is the cross-entropy of a softmax; where there may be several, the sum over
the labels of the cross-entropy of yes and no.
"""

from collections.abc import Mapping
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from thence.batches.labelled import LabelledBatch, LabelledRows
from thence.corpus.labels import Labels
from thence.models.base import Array, Classes, State
from thence.models.labels.embeddings import EmbeddingNetwork, adversarial_loss
from thence.models.network import load_weights, weights_of
from thence.tokens.texts import Texts

CELLS_AT_ONCE = 1 << 14
"""Tokens, padding included, that are read at once while classifying."""
ROWS_AT_ONCE = 256


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


class NeuralClassifier(nn.Module):
    """A classifier made of a network that reads sequences.

    Args:
        network: Ids to logits.
        classes: What is told apart.
        max_length: Tokens of a document that are read.
    """

    def __init__(self, network: DocumentNetwork, classes: Classes, max_length: int) -> None:
        super().__init__()
        self.network, self.classes, self.max_length = network, classes, max_length

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

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
        ids, lengths, targets, sample_weight = (
            torch.from_numpy(part).to(self.device)
            for part in (batch.ids, batch.lengths, batch.targets, batch.sample_weight)
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
        rows = max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // longest))
        batches = LabelledRows(texts.store, None, rows, self.max_length)
        for step in range(batches.steps_per_epoch):
            batch = batches.at(step)
            ids, lengths = (
                torch.from_numpy(part).to(self.device) for part in (batch.ids, batch.lengths)
            )
            found[batches.documents(step)] = label_log_probs(
                self.network(ids, lengths), self.classes
            )
        return found

    def tensors(self) -> dict[str, Array]:
        """Return the weights by name, copied: further training does not change them."""
        return weights_of(self)

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Take back the weights."""
        load_weights(self, tensors)

    def num_parameters(self) -> int:
        """Return how many numbers are learned."""
        return sum(weights.numel() for weights in self.parameters() if weights.requires_grad)
