"""The neural bigram: one linear layer on a one-hot input, trained instead of counted.

    P(w | v) = softmax(x_v W)_w,   x_v the one-hot vector of v

A one-hot row times W (V, V) is row v of W, so the product is done as a look-up
(``logits.weight[v]``). The rows are log-counts up to a constant: at best the model reaches the
maximum-likelihood bigram counts, and weight decay plays the part of added counts.

Source: the one-layer case of Y. Bengio et al. 2003, "A neural probabilistic language model".
"""

import torch
from torch import Tensor, nn

from thence.array_types import Float, Int64
from thence.models.graph import Graph, Hidden
from thence.models.language import graphs
from thence.models.language.neural import (
    NeuralLanguageModel,
    draw_standard_normal,
    slide_window,
    start_window,
)
from thence.models.language.options import BigramOptions
from thence.models.output_layer import FullSoftmax


class Bigram(nn.Module):
    """A look-up of one row of logits per id.

    Args:
        vocabulary_size: Number of ids (V); the boundary is the last.
    """

    context_length = 1

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.boundary_id = vocabulary_size - 1
        self.logits = nn.Embedding(vocabulary_size, vocabulary_size)
        nn.init.zeros_(self.logits.weight)  # Uniform at the start: a loss of ln V.

    def start(self, batch_size: int, device: torch.device) -> Int64[Tensor, "batch 0"]:
        """Return the empty state: the context is the last id alone."""
        return start_window(batch_size, self.context_length, self.boundary_id, device)

    def forward(
        self, ids: Int64[Tensor, "batch time"], state: Int64[Tensor, "batch 0"]
    ) -> tuple[Float[Tensor, "batch time vocab"], Int64[Tensor, "batch 0"]]:
        """Return the logits after each id."""
        contexts, state = slide_window(ids, state)
        return self.logits(contexts[:, :, 0]), state

    def onnx(self, graph: Graph) -> Hidden:
        """Add the logits after each id; see ``graphs.py``."""
        return graphs.bigram(graph, self.boundary_id + 1)


def create(options: BigramOptions, vocabulary_size: int) -> NeuralLanguageModel:
    """Make the untrained model."""
    network = Bigram(vocabulary_size)
    if options.initialization == "normal":
        draw_standard_normal([(network.logits.weight, (0, 1))])
    return NeuralLanguageModel(network, FullSoftmax(nn.Identity()), vocabulary_size)
