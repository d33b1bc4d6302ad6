"""Networks as graphs of ONNX operators: asked in NumPy, without torch, or written to a file.

A graph is what a trained network computes. It is written by hand, since it is short, holds nothing
that training alone needs, and depends on no version of PyTorch. ``evaluate`` computes it in NumPy
(``models/language/inference.py``); ``exchange/onnx_file.py`` writes it for other programs. Tests
compare both with the network itself.

Every method of a graph takes names of values and returns the name of what it computes. Weights keep
the names that they have in a run, and are held once even where two parts of a network share them.
"""

import ctypes
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from thence.models.rounded import RoundedMatrix

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
        name: Of the hidden states (batch, time, H).
        state: What it remembers, as inputs of the graph.
        new_state: The same after the last id, as outputs.
        stages: Names of what is computed on the way, by what it is, in order: ``embedding``, then
            ``layer 1`` and so on, each of which the rest of the graph could read instead of the
            last. Those of recurrent layers have time first.
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
        inputs: Names of values; empty for one that is left out.
        outputs: Names of what it computes.
        attributes: Its settings.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Graph:
    """Nodes and constants, in the order they were added.

    Args:
        weights: Of the network by name; those that are asked for become part of the graph.
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
        """Give a computed value the name that programs know it by."""
        self.nodes.append(Node("Identity", (value,), (name,)))

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

    def weight(self, name: str, *shape: int) -> str:
        """Return the name of a weight of the network, which becomes part of the graph.

        Args:
            name: Its name in a run.
            shape: What its shape must be; none is checked if it is left out.

        Raises:
            ValueError: If there is no such weight, or it has another shape.
        """
        return self.arranged(name, self.checked(name, *shape))

    def arranged(self, name: str, value: Array) -> str:
        """Hold a weight under its name in a run, in the order or shape that an operator asks."""
        self.constants[name] = np.ascontiguousarray(value, np.float32)
        return name

    def checked(self, name: str, *shape: int) -> Array:
        """Return a weight of the network; see ``weight``."""
        found = self.weights.get(name)
        if found is None:
            raise ValueError(f"{name} is missing")
        if shape and found.shape != shape:
            raise ValueError(f"{name} has shape {found.shape}, not {shape}")
        self.used.add(name)
        return found

    def check_size(self, size: int) -> None:
        """Refuse a layer that reads more numbers than there are weights.

        Raises:
            ValueError: If it does.
        """
        if size > sum(value.size for value in self.weights.values()):
            raise ValueError(f"a layer would read {size:,} numbers, more than there are weights")

    def linear(self, values: str, weight: str, bias: str | None, *shape: int) -> str:
        """Return W x + b, with the weights (out, in) as PyTorch keeps them; see ``weight``."""
        turned = self.add("Transpose", self.weight(weight, *shape), perm=[1, 0])
        product: str = self.add("MatMul", values, turned)
        return product if bias is None else self.add("Add", product, self.weight(bias, *shape[:1]))

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


def evaluate(nodes: Sequence[Node], values: dict[str, Array]) -> None:
    """Compute nodes in NumPy.

    Args:
        nodes: In order, of the operators in ``OPERATORS``.
        values: What they read, by name: inputs, constants, and what nodes before them computed;
            what they compute is added to it.
    """
    with _one_blas_thread():
        for node in nodes:
            inputs = [values[name] if name else None for name in node.inputs]
            found = OPERATORS[node.operator](*inputs, **node.attributes)
            several = found if len(node.outputs) > 1 else [found]
            values.update(zip(node.outputs, several, strict=True))


def round_matrices(nodes: Sequence[Node], constants: dict[str, Any]) -> list[Node]:
    """Return the nodes with rounded matrices in what ``linear`` and recurrent layers compute.

    Args:
        nodes: The nodes.
        constants: What they read, which is changed.
    """
    left = []
    for node in nodes:
        if node.operator == "Transpose" and node.inputs[0] in constants:
            constants[node.outputs[0]] = RoundedMatrix(constants[node.inputs[0]])
            continue
        if node.operator in CELLS:
            for name in node.inputs[1:3]:
                constants[name] = RoundedMatrix(constants[name][0])
        left.append(node)
    return left


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Make NumPy's matrix products use one thread within the block.

    They are small, and OpenBLAS's threads wait for one another by spinning: to score 3,000 names
    with an LSTM took 0.1 processor seconds with one thread and 2 to 5 with two on a busy machine.
    """
    if (threads := _blas_threads()) is None:
        yield
        return
    get_threads, set_threads = threads
    before = get_threads()
    set_threads(1)
    try:
        yield
    finally:
        set_threads(before)


@cache
def _blas_threads() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Return what gets and sets the number of threads of the OpenBLAS that NumPy's wheels bring.

    NumPy has no function for it. None where NumPy was built with another library.
    """
    package = Path(np.__file__).parent
    for file in (
        *package.parent.glob("numpy.libs/*openblas*"),
        *package.glob(".dylibs/*openblas*"),
    ):
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(str(file))  # It is loaded already: this is the same one.
            get = library.scipy_openblas_get_num_threads64_
            return get, library.scipy_openblas_set_num_threads64_
    return None


def _slice(values: Array, start: Array, end: Array, axis: Array) -> Array:
    places: list[slice] = [slice(None)] * values.ndim
    places[int(axis[0])] = slice(int(start[0]), int(end[0]))
    return values[tuple(places)]


def _log_softmax(logits: Array, axis: int) -> Array:
    shifted: Array = logits - logits.max(axis=axis, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return shifted


def _sigmoid(values: Array) -> Array:
    """Return 1 / (1 + exp(-x)), which the hyperbolic tangent gives without overflow."""
    found: Array = np.tanh(0.5 * values)
    found += 1
    found *= 0.5
    return found


def _erf(values: Array) -> Array:
    """Return the error function, to the precision of single precision.

    Source: W. Press et al. 1992, "Numerical recipes in C", section 6.2: a Chebyshev fit of its
    complement, with a relative error below 1.2e-7.
    """
    size = np.abs(values.astype(np.float64))
    t = 1 / (1 + 0.5 * size)
    series = np.polynomial.polynomial.polyval(t, ERFC_COEFFICIENTS)
    found: Array = np.copysign(1 - t * np.exp(series - size**2), values).astype(np.float32)
    return found


ERFC_COEFFICIENTS = (
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398,
    1.48851587, -0.82215223, 0.17087277,
)  # fmt: skip


Parts = tuple[Array, ...]


def _over_time(
    inputs: Array,
    weights: Array,
    recurrent: Array,
    biases: Array,
    state: Sequence[Array],
    cell: Callable[..., tuple[Parts, Parts]],
    gates: list[Parts] | None = None,
) -> Parts:
    """Return what a recurrent layer says at each time, shape (T, 1, B, H), and its last state.

    Args:
        inputs: What it reads, shape (T, B, input size).
        weights: W of all gates, shape (1, gates x H, input size).
        recurrent: U likewise.
        biases: Of W and then of U, shape (1, 2 x gates x H).
        state: Before the first input: hidden states (1, B, H) and, for an LSTM, cells.
        cell: From W x + b, from U h + u, and the state, to the new state and the gates.
        gates: Where those of each time, and the new cells of an LSTM, are put.
    """
    of_input, of_state = np.split(biases[0], 2)
    of_inputs, of_states = (
        matrix if isinstance(matrix, RoundedMatrix) else matrix[0].T
        for matrix in (weights, recurrent)
    )
    projected = inputs @ of_inputs + of_input
    now = tuple(part[0] for part in state)
    outputs = np.empty((len(inputs), 1, *now[0].shape), np.float32)
    for time, read in enumerate(projected):
        now, opened = cell(read, now[0] @ of_states + of_state, *now)
        outputs[time, 0] = now[0]
        if gates is not None:
            gates.append((*opened, *now[1:]))
    return (outputs, *(part[None] for part in now))


def _rnn_cell(read: Array, recalled: Array, hidden: Array) -> tuple[Parts, Parts]:
    return (np.tanh(read + recalled),), ()


def _lstm_cell(read: Array, recalled: Array, hidden: Array, cells: Array) -> tuple[Parts, Parts]:
    size = hidden.shape[1]
    total = read + recalled  # ONNX's order: input, output and forget gate, candidate.
    gates, candidate = _sigmoid(total[:, : 3 * size]), np.tanh(total[:, 3 * size :])
    cells = gates[:, 2 * size :] * cells + gates[:, :size] * candidate
    return (gates[:, size : 2 * size] * np.tanh(cells), cells), (gates, candidate)


def _gru_cell(read: Array, recalled: Array, hidden: Array) -> tuple[Parts, Parts]:
    size = hidden.shape[1]  # ONNX's order: update and reset gate, candidate.
    gates = _sigmoid(read[:, : 2 * size] + recalled[:, : 2 * size])
    update, reset = gates[:, :size], gates[:, size:]
    candidate = np.tanh(read[:, 2 * size :] + reset * recalled[:, 2 * size :])
    return (candidate + update * (hidden - candidate),), (gates, candidate)


Cell = Callable[..., tuple[Parts, Parts]]
CELLS: dict[str, Cell] = {"GRU": _gru_cell, "LSTM": _lstm_cell, "RNN": _rnn_cell}
GATES: dict[str, tuple[str, ...]] = {
    "GRU": ("update", "reset", "candidate"),
    "LSTM": ("input", "output", "forget", "candidate", "cell"),
    "RNN": (),
}
"""What ``gates_of`` returns of each operator, in ONNX's order."""


def _recurrent(operator: str) -> Callable[..., Parts]:
    """Return the operator of a recurrent layer; what is said of its size its weights say too."""

    def layer(
        inputs: Array, weights: Array, recurrent: Array, biases: Array, _: None, *state: Array,
        **said: int,
    ) -> Parts:  # fmt: skip
        return _over_time(inputs, weights, recurrent, biases, state, CELLS[operator])

    return layer


def gates_of(node: Node, values: Mapping[str, Array]) -> dict[str, Array]:
    """Return the gates of a recurrent layer over time, each of shape (T, B, H).

    Of an LSTM they are ``input``, ``output`` and ``forget``, 0 to 1, the ``candidate`` for the
    cell, -1 to 1, and the ``cell`` itself after each input; of a GRU ``update``, ``reset`` and
    ``candidate``; a plain layer has none.

    Args:
        node: The layer.
        values: What ``evaluate`` has computed.
    """
    inputs, weights, recurrent, biases, *state = (values[name] for name in node.inputs if name)
    gates: list[Parts] = []
    with _one_blas_thread():
        _over_time(inputs, weights, recurrent, biases, state, CELLS[node.operator], gates)
    names = GATES[node.operator]
    if not names:
        return {}
    joined = [np.concatenate(parts, axis=1) for parts in gates]
    return dict(zip(names, np.split(np.stack(joined), len(names), axis=2), strict=True))


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Concat": lambda *values, axis: np.concatenate(values, axis=axis),
    "Erf": _erf,
    "GRU": _recurrent("GRU"),
    "Gather": lambda values, places, axis=0: np.take(values, places, axis=axis),
    "Identity": lambda values: values,
    "LSTM": _recurrent("LSTM"),
    "LogSoftmax": _log_softmax,
    "MatMul": lambda values, weights: values @ weights,
    "Mul": np.multiply,
    "RNN": _recurrent("RNN"),
    "Relu": lambda values: np.maximum(values, 0),
    "Sigmoid": _sigmoid,
    "Slice": _slice,
    "Squeeze": lambda values, axes: np.squeeze(values, tuple(axes.tolist())),
    "Tanh": np.tanh,
    "Transpose": lambda values, perm: values.transpose(perm),
}
"""ONNX's operators in NumPy, as far as networks are asked so; their definitions are at
https://onnx.ai/onnx/operators/."""
