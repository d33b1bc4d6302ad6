"""Networks as graphs of ONNX operators: evaluated in NumPy, without torch, or written to a file.

A graph is the forward pass of a trained network. Each family builds its own here by hand, rather
than with ``torch.onnx``: that is short, leaves out what only training needs, and depends on no
version of PyTorch. ``graph_evaluation.py`` computes a graph in NumPy
(``models/language/inference.py``); ``exchange/onnx_file.py`` writes it for other programs. Tests
compare both with the network itself.

Every method of a graph takes names of values and returns the name of its result. Weights keep the
names that they have in a run, and are held once even where two parts of a network share them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

END = np.iinfo(np.int64).max
"""The end of an axis, however long."""
FLOAT = 1
"""ONNX's number for single precision (``TensorProto.FLOAT``)."""

Value = tuple[str, type, list[Any]]
"""Name, type and shape of an input or output; the first axis is the batch."""


@dataclass(frozen=True)
class Hidden:
    """A network up to its last hidden layer.

    Attributes:
        name: Name of the hidden states (batch, time, H).
        state: The recurrent state, as inputs of the graph.
        new_state: The state after the last id, as outputs.
        stages: Names of intermediate values, in order: ``embedding``, then ``layer 1`` and so on.
            The rest of the graph can read any of them in place of the last (the logit lens).
            Outputs of recurrent layers have time first.
    """

    name: str
    state: list[Value] = field(default_factory=list)
    new_state: list[Value] = field(default_factory=list)
    stages: dict[str, str] = field(default_factory=dict)


@runtime_checkable
class Exportable(Protocol):
    """A network that can be written as an ONNX graph."""

    def onnx(self, graph: "Graph") -> Hidden:
        """Add the network to a graph whose input is ``ids`` (batch, time)."""


@dataclass(frozen=True)
class Node:
    """One operation.

    Attributes:
        operator: Its name in ONNX.
        inputs: Names of its inputs; empty for an optional one that is left out.
        outputs: Names of its outputs.
        attributes: Its attributes in ONNX.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Graph:
    """Nodes and constants, in the order they were added.

    Args:
        weights: Weights of the network by name; those that ``weight`` is called for become
            constants of the graph.
    """

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.weights = weights
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self.used: set[str] = set()
        """Names of the weights that were asked for."""
        self._names: dict[object, str] = {}

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or a list of names if there are several."""
        names = tuple(f"{operator}_{len(self.nodes)}_{index}" for index in range(outputs))
        self.nodes.append(Node(operator, inputs, names, attributes))
        return names[0] if outputs == 1 else list(names)

    def name(self, value: str, name: str) -> None:
        """Give a computed value a public name, as an output of the graph."""
        self.nodes.append(Node("Identity", (value,), (name,)))

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        """Return the name of a constant; equal constants are stored once."""
        array: Array = np.asarray(value, dtype)
        content = (array.dtype.str, array.shape, array.tobytes())
        name = self._names.setdefault(content, f"constant_{len(self._names)}")
        self.constants[name] = array
        return name

    def integers(self, *values: int) -> str:
        """Return the name of a constant vector of integers."""
        return self.constant(values, np.int64)

    def weight(self, name: str, *shape: int) -> str:
        """Add a weight of the network to the graph's constants; return its name.

        Args:
            name: Its name in a run.
            shape: The shape it must have; not checked if left out.

        Raises:
            ValueError: If there is no such weight, or it has another shape.
        """
        return self.add_weight(name, self.weight_array(name, *shape))

    def add_weight(self, name: str, value: Array) -> str:
        """Add a weight under its name in a run, in the layout that an operator of ONNX needs."""
        self.constants[name] = np.ascontiguousarray(value, np.float32)
        return name

    def weight_array(self, name: str, *shape: int) -> Array:
        """Return a weight of the network as an array; see ``weight``."""
        found = self.weights.get(name)
        if found is None:
            raise ValueError(f"{name} is missing")
        if shape and found.shape != shape:
            raise ValueError(f"{name} has shape {found.shape}, not {shape}")
        self.used.add(name)
        return found

    def check_size(self, size: int) -> None:
        """Check the input size of a layer, which a damaged file could make huge.

        Raises:
            ValueError: If it exceeds the number of all weights together.
        """
        if size > sum(value.size for value in self.weights.values()):
            raise ValueError(f"a layer would read {size:,} numbers, more than there are weights")

    def linear(self, values: str, weight: str, bias: str | None, *shape: int) -> str:
        """Return W x + b, with the weights (out, in) as PyTorch keeps them; see ``weight``."""
        turned = self.add("Transpose", self.weight(weight, *shape), perm=[1, 0])
        product: str = self.add("MatMul", values, turned)
        return product if bias is None else self.add("Add", product, self.weight(bias, *shape[:1]))

    def layer_norm(self, values: str, name: str) -> str:
        """Return the layer normalisation of the values over the last axis."""
        weights = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return str(self.add("LayerNormalization", values, *weights, axis=-1, epsilon=1e-5))

    def gelu(self, values: str) -> str:
        """Return GELU(x) = x Phi(x), Phi being the normal distribution function, by ``Erf``."""
        errors = self.add("Erf", self.add("Mul", values, self.constant(math.sqrt(0.5))))
        doubled = self.add("Mul", values, self.add("Add", errors, self.constant(1)))
        return str(self.add("Mul", doubled, self.constant(0.5)))

    def slice(self, values: str, axis: int, start: int, end: int = END) -> str:
        """Return the slice from start to end along an axis; negative numbers count from the end."""
        places = (self.integers(start), self.integers(end), self.integers(axis))
        return str(self.add("Slice", values, *places))
