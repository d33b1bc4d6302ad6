"""The multilayer perceptron over a fixed window: shared embeddings, tanh, softmax.

    x = (C(w_1), ..., C(w_n))          the embeddings of the last n symbols, concatenated
    y = b + U tanh(d + H x) + W x      the logits; W only with direct connections

with n the context, C the embedding table (V, m), H the hidden layer (n m, h), d its bias, U and b
the output layer (h, V). Code names: ``embedding`` is C, ``hidden_layers`` holds H and d (and any
further tanh layers), the readout holds U, b and W: a direct connection is the same linear layer
reading x beside the hidden units.

Source: Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin 2003, "A neural probabilistic language
model", JMLR 3, equation (1). We differ in the optimiser and in offering dropout and more than one
hidden layer; both are off by default.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from thence.errors import SettingError
from thence.models.dropout import Dropout
from thence.models.fixed_window import slide_window, start_window
from thence.models.neural import NeuralLanguageModel
from thence.models.readout import ReadoutOptions, draw_output, make_readout
from thence.models.size import check_layers

TANH_GAIN = 5 / 3


@dataclass(frozen=True)
class MLPOptions(ReadoutOptions):
    """Settings of the ``mlp`` model."""

    context: int = 3
    """Symbols of context (n): how far back the model sees."""
    embedding_size: int = 10
    """Numbers per symbol in the shared embedding (m)."""
    hidden_size: int = 200
    """Units of each hidden layer (h)."""
    layers: int = 1
    """Hidden layers of tanh units."""
    direct: bool = False
    """Connect the embeddings to the output directly too (W of the paper)."""
    dropout: float = 0.0
    """Chance that a hidden unit is left out at a training step."""
    embedding_dropout: float = 0.0
    """Chance that a number of the concatenated embeddings is left out at a training step."""

    def __post_init__(self) -> None:
        self.check_readout()
        check_layers(self.layers)
        for name in ("context", "embedding_size", "hidden_size"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise SettingError(f"--{flag} is {getattr(self, name)}; it must be at least 1.")
        for name in ("dropout", "embedding_dropout"):
            if not 0 <= getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise SettingError(
                    f"--{flag} is {getattr(self, name)}; it must be from 0 to below 1."
                )


class MLP(nn.Module):
    """The network up to its last hidden layer.

    Args:
        options: The sizes.
        vocabulary_size: Number of ids (V); the boundary is the last.
    """

    def __init__(self, options: MLPOptions, vocabulary_size: int) -> None:
        super().__init__()
        self.context_length = options.context
        self.boundary_id = vocabulary_size - 1
        self.direct = options.direct
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        self.embedding_dropout = Dropout(options.embedding_dropout)
        sizes = [options.context * options.embedding_size] + [options.hidden_size] * options.layers
        layers: list[nn.Module] = []
        for size_in, size_out in pairwise(sizes):
            layers += [nn.Linear(size_in, size_out), nn.Tanh(), Dropout(options.dropout)]
        self.hidden_layers = nn.Sequential(*layers)
        self.output_size = sizes[-1] + (sizes[0] if options.direct else 0)

    def start(self, batch_size: int, device: torch.device) -> Int64[Tensor, "batch window"]:
        """Return the state before any text: nothing but boundaries."""
        return start_window(batch_size, self.context_length, self.boundary_id, device)

    def forward(
        self, ids: Int64[Tensor, "batch time"], state: Int64[Tensor, "batch window"]
    ) -> tuple[Float[Tensor, "batch time hidden"], Int64[Tensor, "batch window"]]:
        """Return the hidden units after each id (followed by x with direct connections)."""
        contexts, state = slide_window(ids, state)
        x = self.embedding_dropout(self.embedding(contexts).flatten(2))  # (B, T, n m)
        hidden = self.hidden_layers(x)  # (B, T, h)
        return (torch.cat([hidden, x], dim=-1) if self.direct else hidden), state


def create(options: MLPOptions, vocabulary_size: int) -> NeuralLanguageModel:
    """Make the model with new weights, drawn from torch's generator."""
    network = MLP(options, vocabulary_size)
    readout = make_readout(options, network.output_size, vocabulary_size)
    # Tanh units that start neither flat nor saturated (He et al. 2015 with the gain of tanh),
    # and logits so small that the first loss is close to ln V.
    for layer in network.hidden_layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=TANH_GAIN / math.sqrt(layer.in_features))
            nn.init.zeros_(layer.bias)
    draw_output(readout, 0.1 / math.sqrt(network.output_size))
    return NeuralLanguageModel(network, readout, vocabulary_size)
