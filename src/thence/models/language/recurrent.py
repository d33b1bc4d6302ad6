"""Recurrent networks: rnn, lstm and gru.

    x_t = dropout(sqrt(E) C(w_t))                       the embedding of symbol w_t, E its size
    rnn     h_t = tanh(W x_t + U h_(t-1) + b)
    lstm    i, f, o = sigmoid(W x_t + U h_(t-1) + b)    gates, each with its own W, U and b
            c_t = f * c_(t-1) + i * tanh(W' x_t + U' h_(t-1) + b')
            h_t = o * tanh(c_t)
    gru     r, z = sigmoid(W x_t + U h_(t-1) + b)
            h_t = (1 - z) * tanh(W' x_t + r * (U' h_(t-1) + u')) + z * h_(t-1)

with further layers reading h of the one below. Code names: ``embedding`` is C; a ``Layer`` holds W
(``weight_ih``), U (``weight_hh``) and both biases, as PyTorch's fused cells want them.

Sources: J. Elman 1990, "Finding structure in time", and T. Mikolov et al. 2010, "Recurrent neural
network based language model" (rnn); S. Hochreiter and J. Schmidhuber 1997, "Long short-term
memory", with the forget gate of F. Gers et al. 2000 (lstm); K. Cho et al. 2014, "Learning phrase
representations using RNN encoder-decoder", in cuDNN's form (gru). Dropout with one mask for a whole
sequence: Y. Gal and Z. Ghahramani 2016; of recurrent weights and of whole symbols: S. Merity et al.
2018, "Regularizing and optimizing LSTM language models". Embeddings are multiplied by the square
root of their size, as in A. Vaswani et al. 2017: so tied ones are small enough for an output layer
and large enough for an input.
"""

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from thence.array_types import Float, Int64
from thence.models.candidates import Size, TextKind, embedding_size
from thence.models.graph import Graph, Hidden
from thence.models.language import graphs
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.options import Cell, RecurrentOptions
from thence.models.network import Dropout, LockedDropout
from thence.models.output_layer import init_output_layer, make_output_layer

GATES: dict[Cell, int] = {"rnn": 1, "lstm": 4, "gru": 3}
"""Blocks of H rows in the weights of a cell: i, f, g, o of an LSTM; r, z, n of a GRU."""
MOST_SAMPLES = 2048
"""Upper bound of the sampled softmax's samples in ``thence best``."""
BASE_WIDTH = 128
"""Number of hidden units up to which networks have the rates of ``RATES``."""
RATES: dict[TextKind, float] = {"names": 0.025, "characters": 0.025, "words": 0.008}
"""Highest learning rates of ``thence best``; with more hidden units than ``BASE_WIDTH`` they are
lower, by the square root of the ratio. Values that did best in docs/experiments.md."""
FUSED: dict[Cell, Any] = {"rnn": torch.rnn_tanh, "lstm": torch.lstm, "gru": torch.gru}
"""Functions that compute a whole layer over time in one call, in C++ or cuDNN."""

State = tuple[Float[Tensor, "batch layers hidden"], ...]
"""Hidden states of all layers and, for an LSTM, their cells."""
LayerState = tuple[Float[Tensor, "1 batch hidden"], ...]
"""State of one layer, with the layer first, as PyTorch's fused cells expect it."""


def lstm_size(kind: TextKind, hidden: int, layers: int = 1) -> Size:
    """Return the settings for ``thence best``, which did best on names, plays and news."""
    embedding = embedding_size(kind, hidden, of_words=hidden)
    inputs = embedding + (layers - 1) * hidden
    options: dict[str, Any] = {
        "embedding_size": embedding, "hidden_size": hidden, "layers": layers,
    }  # fmt: skip
    dropouts = {"dropout": 1.0}
    rate = RATES[kind] * min(1.0, math.sqrt(BASE_WIDTH / hidden))
    # For characters Muon with a high rate is better, for words AdamW (docs/experiments.md).
    training: dict[str, Any] = {"lr": rate, "batch_size": 256, "optimizer": "muon"}
    if kind == "characters":
        training |= {"batch_size": 32, "window": 64, "vary_windows": True}
    if kind == "words":
        # With so many samples the output layer costs at most half as much as a recurrent layer
        # (docs/experiments.md).
        options |= {"tied": True, "softmax": "sampled", "samples": min(4 * hidden, MOST_SAMPLES)}
        dropouts |= {"embedding_dropout": 1 / 8, "input_dropout": 1.0}
        training = {"lr": rate, "batch_size": 40, "window": 35, "vary_windows": True}
    weights = GATES["lstm"] * hidden * (inputs + layers * hidden)
    return Size(hidden, weights, options, dropouts, training)


class Layer(nn.Module):
    """One recurrent layer on PyTorch's fused cells.

    Args:
        cell: Kind of cell.
        input_size: Size of its inputs.
        hidden_size: Number of its units (H).
        weight_drop: Dropout rate of the weights U.
    """

    def __init__(
        self, cell: Cell, input_size: int, hidden_size: int, weight_drop: float = 0.0
    ) -> None:
        super().__init__()
        self.cell: Cell = cell
        rows = GATES[cell] * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.zeros(rows))
        self.bias_hh = nn.Parameter(torch.zeros(rows))
        self.weight_dropout = Dropout(weight_drop)
        for weight in (self.weight_ih, self.weight_hh):
            nn.init.uniform_(weight, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))
        if cell == "lstm":
            # A forget gate of sigmoid(1) = 0.73 keeps most of the cell from step to step, so that
            # gradients reach far back from the first step of training on (Gers et al. 2000).
            nn.init.ones_(self.bias_ih[hidden_size : 2 * hidden_size])

    def forward(
        self, inputs: Float[Tensor, "batch time input"], state: LayerState
    ) -> tuple[Float[Tensor, "batch time hidden"], LayerState]:
        """Return the hidden state after each input, and the state after the last.

        Args:
            inputs: The inputs.
            state: The hidden states before them and, for an LSTM, the cells.
        """
        recurrent = self.weight_dropout(self.weight_hh)
        weights = [self.weight_ih, recurrent, self.bias_ih, self.bias_hh]
        if self.cell == "lstm" and inputs.shape[1] == 1 and not torch.is_grad_enabled():
            # For a single step the fused call first copies the weights into another order, which
            # takes ten times as long as the step itself; so generation uses the plain cell.
            hidden, cells = torch.lstm_cell(inputs[:, 0], [part[0] for part in state], *weights)
            return hidden[:, None], (hidden[None], cells[None])
        # Under autocast a cell without a bfloat16 kernel on this device computes in float32; the
        # next layer casts its outputs.
        kind = inputs.device.type
        if torch.is_autocast_enabled(kind) and not takes_bfloat16(self.cell, kind):
            with torch.autocast(kind, enabled=False):
                single = tuple(part.float() for part in state)
                return self._fused(inputs.float(), single, weights)
        return self._fused(inputs, state, weights)

    def _fused(
        self, inputs: Tensor, state: LayerState, weights: list[Tensor]
    ) -> tuple[Tensor, LayerState]:
        """Call PyTorch's fused cell over all inputs; see ``forward``."""
        before = state if self.cell == "lstm" else state[0]
        # Flags: biases, layers, dropout, training, bidirectional, batch first.
        outputs, *after = FUSED[self.cell](
            inputs, before, weights, True, 1, 0.0, self.training, False, True
        )
        return outputs, tuple(after)


@cache
def takes_bfloat16(cell: Cell, device_type: str) -> bool:
    """Return whether a fused cell has a bfloat16 kernel on this device, by trying one.

    oneDNN has an LSTM in bfloat16 only for processors with AVX-512; elsewhere the cell is computed
    in float32, and all else in bfloat16.
    """
    with torch.random.fork_rng(devices=[]):  # The trial must not change what training draws.
        layer = Layer(cell, 1, 1).to(device_type)
    one = torch.ones(1, 1, 1, device=device_type)
    state = (one, one) if cell == "lstm" else (one,)
    try:
        with torch.autocast(device_type, torch.bfloat16, cache_enabled=False):
            layer._fused(one, state, list(layer.parameters()))
    except RuntimeError:
        return False
    return True


class Recurrent(nn.Module):
    """The network up to its last hidden layer.

    Args:
        options: The cell and the sizes.
        vocabulary_size: Number of ids (V).
    """

    context_length = None

    def __init__(self, options: RecurrentOptions, vocabulary_size: int) -> None:
        super().__init__()
        self.options = options
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(options.embedding_size))
        drop = LockedDropout if options.locked else Dropout
        self.input_dropout = drop(options.input_dropout)
        self.dropout = drop(options.dropout)
        sizes = [options.embedding_size] + [options.hidden_size] * (options.layers - 1)
        self.layers = nn.ModuleList(
            Layer(options.cell, size, options.hidden_size, options.weight_drop) for size in sizes
        )
        projects = options.tied and options.hidden_size != options.embedding_size
        self.output_size = options.embedding_size if options.tied else options.hidden_size
        self.projection = (
            nn.Linear(options.hidden_size, options.embedding_size, bias=False)
            if projects
            else nn.Identity()
        )

    def start(self, batch_size: int, device: torch.device) -> State:
        """Return the state before any text: zeros."""
        shape = (batch_size, self.options.layers, self.options.hidden_size)
        zeros = torch.zeros(shape, device=device)
        return (zeros, zeros) if self.options.cell == "lstm" else (zeros,)

    def forward(
        self, ids: Int64[Tensor, "batch time"], state: State
    ) -> tuple[Float[Tensor, "batch time output"], State]:
        """Return the last layer's hidden states after each id, and the state after the last."""
        values = functional.embedding(ids, self._table())  # (B, T, E)
        # Initialised with standard deviation 1 / sqrt(E), so the product has a variance of 1.
        values = self.input_dropout(values * math.sqrt(self.options.embedding_size))
        afters = []
        for index, layer in enumerate(self.layers):
            before = tuple(part[:, index].unsqueeze(0).to(values.dtype) for part in state)
            values, after = layer(values, before)
            afters.append(after)
            values = self.dropout(values)
        new = tuple(torch.cat(parts).transpose(0, 1).float() for parts in zip(*afters, strict=True))
        return self.projection(values), new

    def _table(self) -> Float[Tensor, "vocab embedding"]:
        """Return the embedding table, with dropout of whole symbols while training."""
        table, p = self.embedding.weight, self.options.embedding_dropout
        if not self.training or p == 0:
            return table
        kept = torch.rand(len(table), 1, device=table.device) >= p
        return table * kept / (1 - p)

    def onnx(self, graph: Graph) -> Hidden:
        """Add the last layer's hidden states; see ``graphs.py``."""
        return graphs.recurrent(graph, self.options, self.embedding.num_embeddings)


def create(options: RecurrentOptions, vocabulary_size: int) -> NeuralLanguageModel:
    """Make the model with new weights, drawn from torch's generator."""
    network = Recurrent(options, vocabulary_size)
    tied_to = network.embedding if options.tied else None
    output_layer = make_output_layer(options, network.output_size, vocabulary_size, tied_to)
    init_output_layer(output_layer, 0.1 / math.sqrt(network.output_size))
    return NeuralLanguageModel(network, output_layer, vocabulary_size)
