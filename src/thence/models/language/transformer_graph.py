"""The transformer as a graph of ONNX operators, without a state: it reads a text from its start."""

import math

import numpy as np

from thence.models.graph import FLOAT, Graph, Hidden
from thence.models.language.options import TransformerOptions


def transformer(graph: Graph, options: TransformerOptions) -> Hidden:
    """Add the normalised hidden states after each id."""
    time = graph.add("Gather", graph.add("Shape", "ids"), graph.constant(1, np.int64), axis=0)
    zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
    places = graph.add("Range", zero, time, one)
    values = graph.add("Gather", graph.weight("network.embedding.weight"), "ids")
    if options.positions == "learned":
        wrapped = graph.add("Mod", places, graph.constant(options.context, np.int64))
        table = graph.weight("network.positions.weight")
        values = graph.add("Add", values, graph.add("Gather", table, wrapped))
    values = graph.add("Mul", values, graph.constant(math.sqrt(options.embedding_size)))
    mask = _mask(graph, places, options.context)
    rotations = None
    if options.positions == "rotary":
        column = graph.add("Cast", graph.add("Unsqueeze", places, graph.integers(1)), to=FLOAT)
        rotations = rotary_angles(graph, column, options.embedding_size // options.heads)
    for index in range(options.layers):
        name = f"network.layers.{index}"
        normed = graph.layer_norm(values, f"{name}.attention_norm")
        read = _attention(graph, f"{name}.attention", normed, options, mask, rotations)
        values = graph.add("Add", values, read)
        normed = graph.layer_norm(values, f"{name}.feed_forward_norm")
        values = graph.add(
            "Add", values, feed_forward(graph, f"{name}.feed_forward", normed, options)
        )
    return Hidden(graph.layer_norm(values, "network.norm"))


def _mask(graph: Graph, places: str, context: int) -> str:
    """Return the attention mask (time, time): 0 where attended, minus infinity elsewhere."""
    rows = graph.add("Unsqueeze", places, graph.integers(1))
    lags = graph.add("Sub", rows, places)
    past = graph.add("GreaterOrEqual", lags, graph.constant(0, np.int64))
    near = graph.add("Less", lags, graph.constant(context, np.int64))
    seen = graph.add("And", past, near)
    return str(graph.add("Where", seen, graph.constant(0), graph.constant(-np.inf)))


def rotary_angles(graph: Graph, places: str, size: int) -> tuple[str, str]:
    """Return cosines and sines (..., size / 2) of the rotary embedding at positions (..., 1)."""
    speeds = 10_000.0 ** (-np.arange(0, size, 2) / size)
    angles = graph.add("Mul", places, graph.constant(speeds))
    return graph.add("Cos", angles), graph.add("Sin", angles)


def _attention(
    graph: Graph,
    name: str,
    values: str,
    options: TransformerOptions,
    mask: str,
    rotations: tuple[str, str] | None,
) -> str:
    """Return the output of the attention at each position."""
    size = options.embedding_size // options.heads
    projected = graph.linear(values, f"{name}.project.weight", f"{name}.project.bias")
    shape = graph.integers(0, 0, 3, options.heads, size)
    projected = graph.add("Reshape", projected, shape)  # (B, T, 3, heads, D)
    projected = graph.add("Transpose", projected, perm=[2, 0, 3, 1, 4])
    queries, keys, read = (
        graph.add("Gather", projected, graph.constant(part, np.int64), axis=0) for part in range(3)
    )
    if rotations is not None:
        queries, keys = (rotate(graph, part, rotations, size // 2) for part in (queries, keys))
    scores = graph.add("MatMul", queries, graph.add("Transpose", keys, perm=[0, 1, 3, 2]))
    scores = graph.add("Mul", scores, graph.constant(1 / math.sqrt(size)))
    shares = graph.add("Softmax", graph.add("Add", scores, mask), axis=-1)
    found = graph.add("Transpose", graph.add("MatMul", shares, read), perm=[0, 2, 1, 3])
    joined = graph.add("Reshape", found, graph.integers(0, 0, options.embedding_size))
    return graph.linear(joined, f"{name}.output.weight", f"{name}.output.bias")


def rotate(graph: Graph, values: str, rotations: tuple[str, str], half: int) -> str:
    """Return the values with each pair (m, m + d / 2) rotated by the angle of its position."""
    cosines, sines = rotations
    first, second = graph.slice(values, 3, 0, half), graph.slice(values, 3, half)

    def combined(operator: str, one: str, other: str) -> str:
        products = graph.add("Mul", one, cosines), graph.add("Mul", other, sines)
        return str(graph.add(operator, *products))

    rotated = combined("Sub", first, second), combined("Add", second, first)
    return str(graph.add("Concat", *rotated, axis=3))


def feed_forward(graph: Graph, name: str, values: str, options: TransformerOptions) -> str:
    """Return the output of the feed-forward part."""
    wide = graph.linear(values, f"{name}.0.weight", f"{name}.0.bias")
    if options.feed_forward == "gelu":
        inner = graph.gelu(wide)
    else:
        _, half = options.feed_forward_sizes
        gates, others = graph.slice(wide, 2, 0, half), graph.slice(wide, 2, half)
        silu = graph.add("Mul", gates, graph.add("Sigmoid", gates))
        inner = graph.add("Mul", silu, others)
    return graph.linear(inner, f"{name}.2.weight", f"{name}.2.bias")
