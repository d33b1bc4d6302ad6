"""Adversarial training, against the gradient by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from thence.array_types import Float
from thence.models.base import Classes
from thence.models.labels.convolution import create
from thence.models.labels.neural import EmbeddingNetwork, adversarial_loss
from thence.models.labels.options import ConvolutionOptions, EmbeddingOptions


class Dot(EmbeddingNetwork):
    """One logit: the first number of the first token's embedding, squared."""

    def read(self, values: Tensor, lengths: Tensor) -> Float[Tensor, "batch classes"]:
        return values[:, :1, 0] ** 2


def test_the_loss_is_the_mean_of_two() -> None:
    options = EmbeddingOptions(embedding_size=2, word_dropout=0.0, adversarial=0.5)
    network = Dot(options, 3)
    with torch.no_grad():
        network.embedding.weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 1.0], [1.0, 0.0]]))
    ids, lengths = torch.tensor([[0]]), torch.tensor([1])
    loss = adversarial_loss(network, ids, lengths, lambda logits: logits.sum())
    # x = (3, 4), loss 9, gradient (6, 0): the step is .5 x 5 x (1, 0), so x0 = 5.5, loss 30.25.
    assert loss.item() == pytest.approx((9 + 30.25) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    # The step is taken as it is: d/dx0 = (2 x 3 + 2 x 5.5) / 2 = 8.5.
    assert network.embedding.weight.grad is not None
    assert network.embedding.weight.grad[0].tolist() == pytest.approx([8.5, 0])


def test_a_document_without_slope_stays_where_it_is() -> None:
    network = Dot(EmbeddingOptions(embedding_size=2, word_dropout=0.0, adversarial=0.5), 3)
    ids, lengths = torch.tensor([[0]]), torch.tensor([0])  # Empty: zeros.
    loss = adversarial_loss(network, ids, lengths, lambda logits: logits.sum())
    assert loss.item() == 0


def test_only_training_is_adversarial() -> None:
    torch.manual_seed(0)
    options = ConvolutionOptions(dropout=0.0, word_dropout=0.0, adversarial=0.5)
    model = create(options, 5, Classes(2))
    from thence.batches.labelled import LabelledBatch

    ones = np.ones(1, np.float32)
    batch = LabelledBatch(np.array([[0, 1]]), np.array([2]), np.array([0]), ones, 1.0, 2.0)
    plain = model.eval().batch_loss(batch)[0].item()
    assert model.train().batch_loss(batch)[0].item() > plain
