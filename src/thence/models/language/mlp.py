"""The multilayer perceptron over a fixed window: shared embeddings, tanh, softmax.

    x = (C(w_1), ..., C(w_n))          the embeddings of the last n symbols, concatenated
    y = b + U tanh(d + H x) + W x      the logits; W only with direct connections

with n the context, C the embedding table (V, m), H the hidden layer (n m, h), d its bias, U and b
the output layer (h, V). Code names: ``embedding`` is C, ``hidden_layers`` holds H and d (and any
further layers), the output layer holds U, b and W: a direct connection is the same linear layer
reading x beside the hidden units. Without hidden layers the model is linear in the embeddings:
y = b + W x, with a context of two a trigram as one linear layer.

Source: Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin 2003, "A neural probabilistic language
model", JMLR 3, equation (1). We differ in the optimiser and in offering dropout, other activations
and more than one hidden layer, or none.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import cast

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
from thence.models.language.options import Activation, MLPOptions
from thence.models.network import Dropout
from thence.models.output_layer import (
    AdaptiveSoftmax,
    FullSoftmax,
    init_output_layer,
    make_output_layer,
)

ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "none": nn.Identity,
}
GAINS: Mapping[Activation, float] = {
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "gelu": math.sqrt(2),
    "sigmoid": 1.0,
    "none": 1.0,
}
"""Factors of the weights' standard deviation 1 / sqrt(fan in) before an activation, so that its
output has about the variance of its input (PyTorch's ``calculate_gain``)."""


class MLP(nn.Module):
    """The network up to its last hidden layer.

    Args:
        options: The sizes.
        vocabulary_size: Number of ids (V); the boundary is the last.
    """

    def __init__(self, options: MLPOptions, vocabulary_size: int) -> None:
        super().__init__()
        self.options = options
        self.context_length = options.context
        self.boundary_id = vocabulary_size - 1
        self.direct = options.direct
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        self.embedding_dropout = Dropout(options.embedding_dropout)
        sizes = [options.context * options.embedding_size] + [options.hidden_size] * options.layers
        layers: list[nn.Module] = []
        for size_in, size_out in pairwise(sizes):
            activation = ACTIVATIONS[options.activation]()
            layers += [nn.Linear(size_in, size_out), activation, Dropout(options.dropout)]
        self.hidden_layers = nn.Sequential(*layers)
        self.output_size = sizes[-1] + (sizes[0] if options.direct else 0)

    @property
    def linear_layers(self) -> list[nn.Linear]:
        """The linear part of each hidden layer, the lowest first."""
        return [layer for layer in self.hidden_layers if isinstance(layer, nn.Linear)]

    def start(self, batch_size: int, device: torch.device) -> Int64[Tensor, "batch window"]:
        """Return the state before any text: a context of boundaries."""
        return start_window(batch_size, self.context_length, self.boundary_id, device)

    def forward(
        self, ids: Int64[Tensor, "batch time"], state: Int64[Tensor, "batch window"]
    ) -> tuple[Float[Tensor, "batch time hidden"], Int64[Tensor, "batch window"]]:
        """Return the hidden units after each id (followed by x with direct connections)."""
        contexts, state = slide_window(ids, state)
        # contexts is (B, T, n): row t holds the n ids up to id t.
        x = self.embedding_dropout(self.embedding(contexts).flatten(2))  # (B, T, n m)
        hidden = self.hidden_layers(x)  # (B, T, h)
        return (torch.cat([hidden, x], dim=-1) if self.direct else hidden), state

    def onnx(self, graph: Graph) -> Hidden:
        """Add the hidden units after each id; see ``graphs.py``."""
        return graphs.mlp(graph, self.options, self.boundary_id + 1)


def create(options: MLPOptions, vocabulary_size: int) -> NeuralLanguageModel:
    """Make the model with new weights, drawn from torch's generator."""
    network = MLP(options, vocabulary_size)
    output_layer = make_output_layer(options, network.output_size, vocabulary_size)
    if options.initialization == "kaiming":
        _draw_kaiming(network, output_layer, GAINS[options.activation])
    elif options.initialization == "normal":
        _draw_normal(network, output_layer)
    return NeuralLanguageModel(network, output_layer, vocabulary_size)


def _draw_kaiming(network: MLP, output_layer: FullSoftmax | AdaptiveSoftmax, gain: float) -> None:
    """Initialise weights so that units keep the variance of their input (He et al. 2015).

    The output weights are ten times smaller, so that the first loss is close to ln V.
    """
    for layer in network.linear_layers:
        nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
        nn.init.zeros_(layer.bias)
    init_output_layer(output_layer, 0.1 / math.sqrt(network.output_size))


def _draw_normal(network: MLP, output_layer: FullSoftmax | AdaptiveSoftmax) -> None:
    """Initialise all weights from the standard normal: units saturate, the first loss is high."""
    weights: list[tuple[Tensor, tuple[int, ...]]] = [(network.embedding.weight, (0,))]
    for layer in network.linear_layers:
        weights += [(layer.weight.T, ()), (layer.bias, ())]
    if isinstance(output_layer, FullSoftmax):  # An adaptive softmax keeps PyTorch's weights.
        output = cast(nn.Linear, output_layer.project)
        weights += [(output.weight.T, (1,)), (output.bias, (0,))]
    draw_standard_normal(weights)
