"""Each family of networks as an ONNX graph: the equations of its module, in ONNX's operators.

The graphs are written by hand, since they are short, hold nothing that training alone needs, and
depend on no version of PyTorch. ``parity`` checks what comes out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from thence.exchange.onnx_graph import END, Graph
from thence.models.language.bigram import Bigram
from thence.models.language.mlp import MLP
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.recurrent import Recurrent
from thence.models.language.transformer import Transformer
from thence.models.output_layer import SPECIAL_IDS, AdaptiveSoftmax, FullSoftmax, TiedLinear

Value = tuple[str, type, list[Any]]
"""Name, type and shape of an input or output."""

ACTIVATIONS: dict[type, str] = {
    torch.nn.Tanh: "Tanh",
    torch.nn.ReLU: "Relu",
    torch.nn.Sigmoid: "Sigmoid",
}
"""The operator of each activation that ONNX has had from the start."""
GATE_ORDERS = {"rnn": [0], "lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}
"""Which of our gates are ONNX's first, second and so on."""


@dataclass(frozen=True)
class Hidden:
    """The network up to its last hidden layer.

    Attributes:
        name: Of the hidden states (batch, time, H).
        state: What it remembers, as inputs of the graph.
        new_state: The same after the last id, as outputs.
    """

    name: str
    state: list[Value] = field(default_factory=list)
    new_state: list[Value] = field(default_factory=list)


def bigram(graph: Graph, network: Bigram) -> Hidden:
    """Return the row of logits of each id."""
    return Hidden(graph.add("Gather", graph.weight("network.logits.weight"), "ids"))


def mlp(graph: Graph, network: MLP) -> Hidden:
    """Return the hidden units after each id, followed by the embeddings if these are direct."""
    before, joined = network.context_length - 1, "ids"
    shape = ["batch", before]
    if before:
        joined = graph.add("Concat", "context", "ids", axis=1)
        graph.name(graph.slice(joined, 1, -before), "next_context")
    embedded = graph.add("Gather", graph.weight("network.embedding.weight"), joined)
    # The window that ends at each id: the embeddings of all, moved by one place after another.
    moved = [graph.slice(embedded, 1, lag, lag - before or END) for lag in range(before + 1)]
    x = hidden = graph.add("Concat", *moved, axis=2)
    for index, layer in enumerate(network.hidden_layers):
        if isinstance(layer, torch.nn.Linear):
            name = f"network.hidden_layers.{index}"
            hidden = graph.linear(hidden, f"{name}.weight", f"{name}.bias")
        elif isinstance(layer, torch.nn.GELU):
            hidden = _gelu(graph, hidden)
        elif type(layer) in ACTIVATIONS:
            hidden = graph.add(ACTIVATIONS[type(layer)], hidden)
    if network.direct:
        hidden = graph.add("Concat", hidden, x, axis=2)
    if not before:
        return Hidden(hidden)
    return Hidden(hidden, [("context", np.int64, shape)], [("next_context", np.int64, shape)])


def recurrent(graph: Graph, network: Recurrent) -> Hidden:
    """Return the last layer's hidden states; the state is that of ``Recurrent``."""
    options = network.options
    parts = ["hidden", "cell"] if options.cell == "lstm" else ["hidden"]
    values = graph.add("Gather", graph.weight("network.embedding.weight"), "ids")
    values = graph.add("Mul", values, graph.constant(math.sqrt(options.embedding_size)))
    values = graph.add("Transpose", values, perm=[1, 0, 2])  # ONNX has time first.
    afters = []
    for index in range(options.layers):
        first = graph.integers(index)
        befores = [
            graph.add("Transpose", graph.add("Gather", part, first, axis=1), perm=[1, 0, 2])
            for part in parts
        ]
        values, *after = _recurrent_layer(
            graph, options, f"network.layers.{index}", values, befores
        )
        afters.append(after)
    for part, *layers in zip(parts, *afters, strict=True):
        stacked = graph.add("Concat", *layers, axis=0)  # (layers, B, H)
        graph.name(graph.add("Transpose", stacked, perm=[1, 0, 2]), f"next_{part}")
    hidden = graph.add("Transpose", values, perm=[1, 0, 2])
    if isinstance(network.projection, torch.nn.Linear):
        hidden = graph.linear(hidden, "network.projection.weight", None)
    shape = ["batch", options.layers, options.hidden_size]
    return Hidden(
        hidden,
        [(part, np.float32, shape) for part in parts],
        [(f"next_{part}", np.float32, shape) for part in parts],
    )


def _recurrent_layer(
    graph: Graph, options: Any, name: str, values: str, befores: list[str]
) -> list[str]:
    """Return the hidden states (time, B, H) of a layer, and its state after the last."""

    def in_order(weight: str) -> Any:
        """Return a weight with the gates in ONNX's order, for one direction."""
        rows = np.split(graph.weights[f"{name}.{weight}"], len(order))
        return np.concatenate([rows[gate] for gate in order])[None]

    order = GATE_ORDERS[options.cell]
    biases = np.concatenate([in_order("bias_ih"), in_order("bias_hh")], axis=1)
    weights = [graph.constant(in_order(weight)) for weight in ("weight_ih", "weight_hh")]
    attributes = {"linear_before_reset": 1} if options.cell == "gru" else {}
    outputs, *after = graph.add(
        options.cell.upper(),
        *(values, *weights, graph.constant(biases), "", *befores),
        outputs=1 + len(befores),
        hidden_size=options.hidden_size,
        **attributes,
    )
    # ONNX gives (time, directions, B, H).
    return [graph.add("Squeeze", outputs, graph.integers(1)), *after]


def transformer(graph: Graph, network: Transformer) -> Hidden:
    """Return the normed values after each id; a text is read from its start, without a state."""
    options = network.options
    time = graph.add("Gather", graph.add("Shape", "ids"), graph.constant(1, np.int64), axis=0)
    zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
    places = graph.add("Range", zero, time, one)
    values = graph.add("Gather", graph.weight("network.embedding.weight"), "ids")
    if options.positions == "learned":
        turned = graph.add("Mod", places, graph.constant(options.context, np.int64))
        table = graph.weight("network.positions.weight")
        values = graph.add("Add", values, graph.add("Gather", table, turned))
    values = graph.add("Mul", values, graph.constant(math.sqrt(options.embedding_size)))
    mask = _mask(graph, places, options.context)
    turns = _turns(graph, places, options) if options.positions == "rotary" else None
    for index in range(options.layers):
        name = f"network.layers.{index}"
        normed = graph.layer_norm(values, f"{name}.attention_norm")
        read = _attention(graph, f"{name}.attention", normed, options, mask, turns)
        values = graph.add("Add", values, read)
        normed = graph.layer_norm(values, f"{name}.feed_forward_norm")
        values = graph.add("Add", values, _feed_forward(graph, f"{name}.feed_forward", normed))
    return Hidden(graph.layer_norm(values, "network.norm"))


def _mask(graph: Graph, places: str, context: int) -> str:
    """Return (time, time): 0 where a place sees another, minus infinity elsewhere."""
    rows = graph.add("Unsqueeze", places, graph.integers(1))
    lags = graph.add("Sub", rows, places)
    past = graph.add("GreaterOrEqual", lags, graph.constant(0, np.int64))
    near = graph.add("Less", lags, graph.constant(context, np.int64))
    seen = graph.add("And", past, near)
    return str(graph.add("Where", seen, graph.constant(0), graph.constant(-np.inf)))


def _turns(graph: Graph, places: str, options: Any) -> tuple[str, str]:
    """Return cosines and sines (time, D / 2) of each place's angles."""
    size = options.embedding_size // options.heads
    speeds = 10_000.0 ** (-torch.arange(0, size, 2) / size)
    column = graph.add("Unsqueeze", places, graph.integers(1))
    column = graph.add("Cast", column, to=graph.onnx.TensorProto.FLOAT)
    angles = graph.add("Mul", column, graph.constant(speeds.numpy()))
    return graph.add("Cos", angles), graph.add("Sin", angles)


def _attention(
    graph: Graph, name: str, values: str, options: Any, mask: str, turns: tuple[str, str] | None
) -> str:
    """Return what each place reads."""
    size = options.embedding_size // options.heads
    projected = graph.linear(values, f"{name}.project.weight", f"{name}.project.bias")
    shape = graph.integers(0, 0, 3, options.heads, size)
    projected = graph.add("Reshape", projected, shape)  # (B, T, 3, heads, D)
    projected = graph.add("Transpose", projected, perm=[2, 0, 3, 1, 4])
    queries, keys, read = (
        graph.add("Gather", projected, graph.constant(part, np.int64), axis=0) for part in range(3)
    )
    if turns is not None:
        queries, keys = (_turn(graph, part, turns, size // 2) for part in (queries, keys))
    scores = graph.add("MatMul", queries, graph.add("Transpose", keys, perm=[0, 1, 3, 2]))
    scores = graph.add("Mul", scores, graph.constant(1 / math.sqrt(size)))
    shares = graph.add("Softmax", graph.add("Add", scores, mask), axis=-1)
    found = graph.add("Transpose", graph.add("MatMul", shares, read), perm=[0, 2, 1, 3])
    joined = graph.add("Reshape", found, graph.integers(0, 0, options.embedding_size))
    return graph.linear(joined, f"{name}.output.weight", f"{name}.output.bias")


def _turn(graph: Graph, values: str, turns: tuple[str, str], half: int) -> str:
    """Return the values with each pair of numbers turned by the angle of its place."""
    cosines, sines = turns
    first, second = graph.slice(values, 3, 0, half), graph.slice(values, 3, half)

    def combined(operator: str, one: str, other: str) -> str:
        products = graph.add("Mul", one, cosines), graph.add("Mul", other, sines)
        return str(graph.add(operator, *products))

    turned = combined("Sub", first, second), combined("Add", second, first)
    return str(graph.add("Concat", *turned, axis=3))


def _feed_forward(graph: Graph, name: str, values: str) -> str:
    """Return W_2 gelu(W_1 x)."""
    inner = graph.linear(values, f"{name}.0.weight", f"{name}.0.bias")
    return graph.linear(_gelu(graph, inner), f"{name}.2.weight", f"{name}.2.bias")


def _gelu(graph: Graph, values: str) -> str:
    """Return x times the chance that a standard normal number is below x."""
    errors = graph.add("Erf", graph.add("Mul", values, graph.constant(math.sqrt(0.5))))
    doubled = graph.add("Mul", values, graph.add("Add", errors, graph.constant(1)))
    return str(graph.add("Mul", doubled, graph.constant(0.5)))


NETWORKS: dict[type, Callable[[Graph, Any], Hidden]] = {
    Bigram: bigram,
    MLP: mlp,
    Recurrent: recurrent,
    Transformer: transformer,
}


def output_layer(graph: Graph, model: NeuralLanguageModel, hidden: str) -> str:
    """Return the log-probabilities of every symbol after each hidden state."""
    if isinstance(model.output_layer, AdaptiveSoftmax):
        return _adaptive(graph, model.output_layer, hidden)
    assert isinstance(model.output_layer, FullSoftmax)
    logits, project = hidden, model.output_layer.project
    if not isinstance(project, torch.nn.Identity):
        tied = isinstance(project, TiedLinear)
        weight = "network.embedding.weight" if tied else "readout.project.weight"
        logits = graph.linear(hidden, weight, "readout.project.bias")
    return str(graph.add("LogSoftmax", logits, axis=-1))


def _adaptive(graph: Graph, softmax: AdaptiveSoftmax, hidden: str) -> str:
    """Return those of the adaptive softmax: frequent symbols, then each cluster of rare ones."""
    clusters, name = softmax.clusters, "readout.clusters"
    head = graph.linear(hidden, f"{name}.head.weight", f"{name}.head.bias")
    head = graph.add("LogSoftmax", head, axis=-1)
    parts = [graph.slice(head, 2, 0, clusters.shortlist_size)]
    for index in range(clusters.n_clusters):
        inner = graph.linear(hidden, f"{name}.tail.{index}.0.weight", None)
        inside = graph.linear(inner, f"{name}.tail.{index}.1.weight", None)
        place = clusters.shortlist_size + index
        cluster = graph.slice(head, 2, place, place + 1)
        parts.append(graph.add("Add", graph.add("LogSoftmax", inside, axis=-1), cluster))
    ranked = graph.add("Concat", *parts, axis=2)
    # The last ids come first in it.
    rest, special = graph.slice(ranked, 2, SPECIAL_IDS), graph.slice(ranked, 2, 0, SPECIAL_IDS)
    return str(graph.add("Concat", rest, special, axis=2))
