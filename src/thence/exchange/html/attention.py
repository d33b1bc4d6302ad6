"""A transformer with a key/value cache, reading one token at a time, as a graph of ONNX operators.

The graph of ``models/language/transformer_graph.py`` reads a text from its start. A page reads what
is typed, so here each layer caches the keys and values of earlier places. Keys are rotated by the
angle of their place before they are cached; attention depends only on differences of angles.

    place               (1,), single precision: number of tokens read before
    keys.N, values.N    (1, heads, P, D): cache of layer N, at most C - 1 places, the latest last
"""

import math

import numpy as np

from thence.models.graph import END, Graph, Hidden, Value
from thence.models.language.options import TransformerOptions
from thence.models.language.transformer_graph import feed_forward, rotary_angles, rotate


def transformer(graph: Graph, options: TransformerOptions) -> Hidden:
    """Add a transformer to a graph: from the token ``ids`` (1, 1) to its final normed values."""
    room, size = options.context - 1, options.embedding_size // options.heads
    values = graph.add("Gather", graph.weight("network.embedding.weight"), "ids")
    if options.positions == "learned":
        wrapped = graph.add("Mod", "place", graph.constant(options.context))
        read = graph.add("Gather", graph.weight("network.positions.weight"), wrapped)
        values = graph.add("Add", values, read)
    values = graph.add("Mul", values, graph.constant(math.sqrt(options.embedding_size)))
    graph.name(graph.add("Add", "place", graph.constant(1)), "next_place")
    rotations = rotary_angles(graph, "place", size) if options.positions == "rotary" else None
    state: list[Value] = [("place", np.float32, ["batch"])]
    for index in range(options.layers):
        name = f"network.layers.{index}"
        normed = graph.layer_norm(values, f"{name}.attention_norm")
        read = _attention(graph, f"{name}.attention", normed, options, str(index), rotations)
        values = graph.add("Add", values, read)
        normed = graph.layer_norm(values, f"{name}.feed_forward_norm")
        values = graph.add(
            "Add", values, feed_forward(graph, f"{name}.feed_forward", normed, options)
        )
        for part in ("keys", "values"):
            start = -room or END  # With a context of 1, nothing is cached.
            kept = graph.slice(f"all_{part}.{index}", 2, start)
            graph.name(kept, f"next_{part}.{index}")
            state.append((f"{part}.{index}", np.float32, ["batch", options.heads, 0, size]))
    new_state: list[Value] = [(f"next_{name}", kind, shape) for name, kind, shape in state]
    return Hidden(graph.layer_norm(values, "network.norm"), state, new_state)


def _attention(
    graph: Graph,
    name: str,
    values: str,
    options: TransformerOptions,
    layer: str,
    rotations: tuple[str, str] | None,
) -> str:
    """Add the attention of this place to the cached places and itself; return its output."""
    size = options.embedding_size // options.heads
    projected = graph.linear(values, f"{name}.project.weight", f"{name}.project.bias")
    projected = graph.add("Reshape", projected, graph.integers(3, 1, options.heads, 1, size))
    queries, keys, read = (
        graph.add("Gather", projected, graph.constant(part, np.int64), axis=0) for part in range(3)
    )
    if rotations is not None:
        queries, keys = (rotate(graph, part, rotations, size // 2) for part in (queries, keys))
    keys = graph.add("Concat", f"keys.{layer}", keys, axis=2)
    read = graph.add("Concat", f"values.{layer}", read, axis=2)
    graph.name(keys, f"all_keys.{layer}")
    graph.name(read, f"all_values.{layer}")
    scores = graph.add("MatMul", queries, graph.add("Transpose", keys, perm=[0, 1, 3, 2]))
    scores = graph.add("Mul", scores, graph.constant(1 / math.sqrt(size)))
    found = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), read)
    joined = graph.add("Reshape", found, graph.integers(1, 1, options.embedding_size))
    return graph.linear(joined, f"{name}.output.weight", f"{name}.output.bias")
