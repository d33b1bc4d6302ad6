"""The forward passes of trained networks as graphs of ONNX operators, without dropout.

These are second copies of the torch modules in ``bigram.py``, ``mlp.py``, ``recurrent.py`` and
``output_layer.py``, with the same weights. They serve inference without torch (``inference.py``)
and export to ONNX. Tests compare them with the modules.

Each function adds nodes to a graph whose input is ``ids`` (batch, time). A weight whose shape does
not fit the settings raises a ``ValueError``.
"""

import math
from itertools import pairwise
from typing import Any

import numpy as np

from thence.models.graph import END, Graph, Hidden, Value
from thence.models.language.options import (
    SPECIAL_IDS,
    Activation,
    MLPOptions,
    OutputLayerOptions,
    RecurrentOptions,
)

OPERATORS: dict[Activation, str] = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}
"""ONNX's operators for activations; the ONNX versions written here have none for GELU."""
GATE_ORDERS = {"rnn": [0], "lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}
"""ONNX's order of the gates, as indexes into PyTorch's order."""
EMBEDDING = "network.embedding.weight"
"""Name of the embedding's weights in files."""


def bigram(graph: Graph, vocabulary_size: int) -> Hidden:
    """Add the logits after each id."""
    table = graph.weight("network.logits.weight", vocabulary_size, vocabulary_size)
    logits = graph.add("Gather", table, "ids")
    return Hidden(logits, stages={"logits": logits})


def mlp(graph: Graph, options: MLPOptions, vocabulary_size: int) -> Hidden:
    """Add the hidden units after each id, followed by the embeddings if these are direct."""
    before, joined = options.context - 1, "ids"
    sizes = [options.context * options.embedding_size] + [options.hidden_size] * options.layers
    graph.check_size(sizes[0])  # Before adding one node per id of the context.
    if before:
        joined = graph.add("Concat", "context", "ids", axis=1)
        graph.name(graph.slice(joined, 1, -before), "next_context")
    table = graph.weight(EMBEDDING, vocabulary_size, options.embedding_size)
    embedded = graph.add("Gather", table, joined)
    # The window that ends at each id: the embeddings shifted by 0, 1, ... positions, concatenated.
    moved = [graph.slice(embedded, 1, lag, lag - before or END) for lag in range(before + 1)]
    x = hidden = graph.add("Concat", *moved, axis=2)
    stages = {"embedding": embedded, "concatenated": x}
    for layer, (size_in, size_out) in enumerate(pairwise(sizes)):
        name = f"network.hidden_layers.{3 * layer}"  # Linear, activation, dropout.
        hidden = graph.linear(hidden, f"{name}.weight", f"{name}.bias", size_out, size_in)
        if options.activation == "gelu":
            hidden = graph.gelu(hidden)
        elif options.activation != "none":
            hidden = graph.add(OPERATORS[options.activation], hidden)
        stages[f"layer {layer + 1}"] = hidden
    if options.direct:
        hidden = graph.add("Concat", hidden, x, axis=2)
    if not before:
        return Hidden(hidden, stages=stages)
    shape = ["batch", before]
    new_state: list[Value] = [("next_context", np.int64, shape)]
    return Hidden(hidden, [("context", np.int64, shape)], new_state, stages)


def recurrent(graph: Graph, options: RecurrentOptions, vocabulary_size: int) -> Hidden:
    """Add the last layer's hidden states after each id, projected to the embedding's size if tied.

    The state is that of the network: hidden states of all layers and, for an LSTM, their cells.
    """
    parts = ["hidden", "cell"] if options.cell == "lstm" else ["hidden"]
    table = graph.weight(EMBEDDING, vocabulary_size, options.embedding_size)
    values = graph.add("Gather", table, "ids")
    values = graph.add("Mul", values, graph.constant(math.sqrt(options.embedding_size)))
    stages = {"embedding": values}
    values = graph.add("Transpose", values, perm=[1, 0, 2])  # ONNX has time first.
    size, afters = options.embedding_size, []
    for index in range(options.layers):
        first = graph.integers(index)
        befores = [
            graph.add("Transpose", graph.add("Gather", part, first, axis=1), perm=[1, 0, 2])
            for part in parts
        ]
        values, *after = _layer(graph, options, f"network.layers.{index}", size, values, befores)
        size = options.hidden_size
        stages[f"layer {index + 1}"] = values
        afters.append(after)
    for part, *layers in zip(parts, *afters, strict=True):
        stacked = graph.add("Concat", *layers, axis=0)  # (layers, B, H)
        graph.name(graph.add("Transpose", stacked, perm=[1, 0, 2]), f"next_{part}")
    hidden = graph.add("Transpose", values, perm=[1, 0, 2])
    if options.tied and options.hidden_size != options.embedding_size:
        shape_of = options.embedding_size, options.hidden_size
        hidden = graph.linear(hidden, "network.projection.weight", None, *shape_of)
    shape = ["batch", options.layers, options.hidden_size]
    return Hidden(
        hidden,
        [(part, np.float32, shape) for part in parts],
        [(f"next_{part}", np.float32, shape) for part in parts],
        stages,
    )


def _layer(
    graph: Graph,
    options: RecurrentOptions,
    name: str,
    input_size: int,
    values: str,
    befores: list[str],
) -> list[str]:
    """Return the hidden states (time, B, H) of a layer, and its state after the last input."""
    order, size = GATE_ORDERS[options.cell], options.hidden_size

    def in_order(weight: str, *shape: int) -> Any:
        """Return a weight with the gates in ONNX's order and an axis for its one direction."""
        found = graph.weight_array(f"{name}.{weight}", len(order) * size, *shape)
        rows = np.split(found, len(order))
        return np.concatenate([rows[gate] for gate in order])[None]

    biases = np.concatenate([in_order("bias_ih"), in_order("bias_hh")], axis=1)
    weights = [
        graph.add_weight(f"{name}.weight_ih", in_order("weight_ih", input_size)),
        graph.add_weight(f"{name}.weight_hh", in_order("weight_hh", size)),
        graph.add_weight(f"{name}.bias", biases),
    ]
    attributes = {"linear_before_reset": 1} if options.cell == "gru" else {}
    outputs, *after = graph.add(
        options.cell.upper(),
        *(values, *weights, "", *befores),
        outputs=1 + len(befores),
        hidden_size=size,
        **attributes,
    )
    # ONNX gives (time, directions, B, H).
    return [graph.add("Squeeze", outputs, graph.integers(1)), *after]


def softmax(graph: Graph, hidden: str, weight: str | None, *shape: int) -> str:
    """Add the log-probabilities of every symbol after each hidden state.

    Args:
        graph: The graph.
        hidden: Hidden states (batch, time, H).
        weight: Name of the output weights; None if the hidden states are logits already.
        shape: Shape of the weights: V and H.
    """
    logits = hidden
    if weight is not None:
        logits = graph.linear(hidden, weight, "readout.project.bias", *shape)
    return str(graph.add("LogSoftmax", logits, axis=-1))


def adaptive_softmax(graph: Graph, hidden: str, hidden_size: int, vocabulary_size: int) -> str:
    """Add the log-probabilities of every symbol: those of the head, then of each cluster."""
    name, cutoffs = "readout.clusters", cutoffs_for(vocabulary_size)
    ends, divisor = [*cutoffs, vocabulary_size], cluster_divisor(hidden_size, cutoffs)
    size = cutoffs[0] + len(cutoffs)
    head = graph.linear(hidden, f"{name}.head.weight", f"{name}.head.bias", size, hidden_size)
    head = graph.add("LogSoftmax", head, axis=-1)
    parts = [graph.slice(head, 2, 0, cutoffs[0])]
    for index, (begin, end) in enumerate(pairwise(ends)):
        narrow = int(hidden_size // divisor ** (index + 1))
        tail = f"{name}.tail.{index}"
        inner = graph.linear(hidden, f"{tail}.0.weight", None, narrow, hidden_size)
        inside = graph.linear(inner, f"{tail}.1.weight", None, end - begin, narrow)
        # log P(w | h) = log P(cluster | h) + log P(w | cluster, h)
        place = cutoffs[0] + index
        cluster = graph.slice(head, 2, place, place + 1)
        parts.append(graph.add("Add", graph.add("LogSoftmax", inside, axis=-1), cluster))
    ranked = graph.add("Concat", *parts, axis=2)
    # The special symbols, which have the last ids, are first in it.
    rest, special = graph.slice(ranked, 2, SPECIAL_IDS), graph.slice(ranked, 2, 0, SPECIAL_IDS)
    return str(graph.add("Concat", rest, special, axis=2))


def output(
    graph: Graph,
    hidden: str,
    options: OutputLayerOptions,
    hidden_size: int,
    vocabulary_size: int,
    tied: bool = False,
) -> str:
    """Add the output layer that the options name; a sampled softmax is full at inference."""
    if options.softmax == "adaptive":
        return adaptive_softmax(graph, hidden, hidden_size, vocabulary_size)
    weight = EMBEDDING if tied else "readout.project.weight"
    return softmax(graph, hidden, weight, vocabulary_size, hidden_size)


def cutoffs_for(vocabulary_size: int) -> list[int]:
    """Return the first id of each cluster of rare symbols; a tenth of the symbols is in the head.

    >>> cutoffs_for(10_000), cutoffs_for(40)
    ([1000, 4000], [4, 16])
    """
    head = max(2, min(vocabulary_size // 10, 4000))
    return [cut for cut in (head, 4 * head) if cut < vocabulary_size]


def cluster_divisor(hidden_size: int, cutoffs: list[int]) -> float:
    """Return the factor by which each cluster's vectors are narrower than the previous cluster's.

    It is 4, or less where the last cluster would otherwise have vectors of size 0.
    """
    return float(min(4.0, 0.99 * hidden_size ** (1 / max(len(cutoffs), 1))))
