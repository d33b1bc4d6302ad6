"""ONNX graphs: what networks that can be exported write their equations into.

A network with a method ``onnx(graph) -> Hidden`` can be exported. Its graph is written by hand,
since it is short, holds nothing that training alone needs, and depends on no version of PyTorch;
``exchange/parity.py`` compares what comes out with the network itself.

Every method of a graph takes names of values and returns the name of what it computes. Weights keep
the names that they have in a run, and are held once even where two parts of a network share them.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

OPSET = 17
IR_VERSION = 8
"""What ONNX Runtime has read since 2022; nothing newer is needed."""
END = np.iinfo(np.int64).max
"""The end of an axis, however long."""


Value = tuple[str, type, list[Any]]
"""Name, type and shape of an input or output."""


@dataclass(frozen=True)
class Hidden:
    """A network up to its last hidden layer.

    Attributes:
        name: Of the hidden states (batch, time, H).
        state: What it remembers, as inputs of the graph.
        new_state: The same after the last id, as outputs.
    """

    name: str
    state: list[Value] = field(default_factory=list)
    new_state: list[Value] = field(default_factory=list)


@runtime_checkable
class Exportable(Protocol):
    """A network that can be written as an ONNX graph."""

    def onnx(self, graph: "Graph") -> Hidden:
        """Add the network to a graph whose input is ``ids`` (batch, time)."""


class Graph:
    """Nodes and constants, in the order they were added.

    Args:
        onnx: The library.
        weights: Of the network by name; those that are asked for become part of the graph.
    """

    def __init__(self, onnx: Any, weights: Mapping[str, Array]) -> None:
        self.onnx = onnx
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self._names: dict[object, str] = {}

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or a list of names if there are several."""
        names = [f"{operator}_{len(self.nodes)}_{index}" for index in range(outputs)]
        node = self.onnx.helper.make_node(operator, list(inputs), names, **attributes)
        self.nodes.append(node)
        return names[0] if outputs == 1 else names

    def name(self, value: str, name: str) -> None:
        """Give a computed value the name that programs know it by."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        """Return the name of a constant; equal ones are held once."""
        array: Array = np.asarray(value, dtype)
        content = (array.dtype.str, array.shape, array.tobytes())
        name = self._names.setdefault(content, f"constant_{len(self._names)}")
        self.constants[name] = array
        return name

    def integers(self, *values: int) -> str:
        """Return the name of a constant vector of integers."""
        return self.constant(values, np.int64)

    def weight(self, name: str) -> str:
        """Return the name of a weight of the network, which becomes part of the graph."""
        self.constants[name] = np.ascontiguousarray(self.weights[name])
        return name

    def linear(self, values: str, weight: str, bias: str | None) -> str:
        """Return W x + b, with the weights (out, in) as PyTorch keeps them."""
        turned = self.add("Transpose", self.weight(weight), perm=[1, 0])
        product: str = self.add("MatMul", values, turned)
        return product if bias is None else str(self.add("Add", product, self.weight(bias)))

    def layer_norm(self, values: str, name: str) -> str:
        """Return the values normed over the last axis."""
        weights = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return str(self.add("LayerNormalization", values, *weights, axis=-1, epsilon=1e-5))

    def gelu(self, values: str) -> str:
        """Return x times the probability that a standard normal number is below x."""
        errors = self.add("Erf", self.add("Mul", values, self.constant(math.sqrt(0.5))))
        doubled = self.add("Mul", values, self.add("Add", errors, self.constant(1)))
        return str(self.add("Mul", doubled, self.constant(0.5)))

    def slice(self, values: str, axis: int, start: int, end: int = END) -> str:
        """Return a part of an axis; both ends may count from its end."""
        places = (self.integers(start), self.integers(end), self.integers(axis))
        return str(self.add("Slice", values, *places))

    def model(self, inputs: Iterable[Value], outputs: Iterable[Any]) -> Any:
        """Return the whole as a model; inputs and outputs are (name, type, shape)."""
        helper = self.onnx.helper

        def values(of: Iterable[Value]) -> list[Any]:
            kinds: dict[type, Any] = {
                np.float32: self.onnx.TensorProto.FLOAT,
                np.int64: self.onnx.TensorProto.INT64,
            }
            return [
                helper.make_tensor_value_info(name, kinds[kind], shape) for name, kind, shape in of
            ]

        constants = [
            self.onnx.numpy_helper.from_array(value, name) for name, value in self.constants.items()
        ]
        graph = helper.make_graph(self.nodes, "thence", values(inputs), values(outputs), constants)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
