"""Graphs of ONNX operators evaluated in NumPy, so that inference needs no torch."""

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from thence.models.base import log_softmax
from thence.models.graph import Array, Node
from thence.models.rounded import RoundedMatrix


def evaluate(nodes: Sequence[Node], values: dict[str, Array]) -> None:
    """Compute nodes in NumPy.

    Args:
        nodes: Nodes of the operators in ``OPERATORS``, each after those whose results it reads.
        values: The inputs and constants, by name. The result of each node is added.
    """
    with _one_blas_thread():
        for node in nodes:
            inputs = [values[name] if name else None for name in node.inputs]
            found = OPERATORS[node.operator](*inputs, **node.attributes)
            several = found if len(node.outputs) > 1 else [found]
            values.update(zip(node.outputs, several, strict=True))


def round_matrices(nodes: Sequence[Node], constants: dict[str, Any]) -> list[Node]:
    """Replace the matrices of linear and recurrent layers by ``RoundedMatrix``.

    Args:
        nodes: Nodes of a graph.
        constants: Its constants; the matrices in it are replaced.

    Returns:
        The nodes without the transpositions of these matrices, which is done in the constants.
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

    The products are small, and OpenBLAS's threads wait for one another by spinning: scoring 3,000
    names with an LSTM took 0.1 processor seconds with one thread and 2 to 5 with two on a busy
    machine.
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
    """Return the getter and setter of the thread count of the OpenBLAS inside NumPy's wheels.

    NumPy has no function for it. None if NumPy was built with another library.
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


def _sigmoid(values: Array) -> Array:
    """Return 1 / (1 + exp(-x)) as (1 + tanh(x / 2)) / 2, which cannot overflow."""
    found: Array = np.tanh(0.5 * values)
    found += 1
    found *= 0.5
    return found


def _erf(values: Array) -> Array:
    """Return the error function in single precision.

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
    """Return the hidden states of a recurrent layer, shape (T, 1, B, H), and its last state.

    Args:
        inputs: Inputs x of each time, shape (T, B, input size).
        weights: W of all gates, shape (1, gates x H, input size).
        recurrent: U of all gates, shape (1, gates x H, H).
        biases: b of W and then u of U, shape (1, 2 x gates x H).
        state: State before the first input: hidden states h (1, B, H) and, for an LSTM, cells.
        cell: Computes the new state and the gates from W x + b, U h + u and the state.
        gates: A list to which the gates of each time are appended, and an LSTM's new cells.
    """
    of_input, of_state = np.split(biases[0], 2)
    of_inputs, of_states = (
        matrix if isinstance(matrix, RoundedMatrix) else matrix[0].T
        for matrix in (weights, recurrent)
    )
    projected = inputs @ of_inputs + of_input  # W x + b of all times in one product.
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
"""The step of each recurrent operator: from W x + b, U h + u and the state to the new state and the
gates."""
GATES: dict[str, tuple[str, ...]] = {
    "GRU": ("update", "reset", "candidate"),
    "LSTM": ("input", "output", "forget", "candidate", "cell"),
    "RNN": (),
}
"""Names of the gates that ``gates_of`` returns for each operator, in ONNX's order."""


def _recurrent(operator: str) -> Callable[..., Parts]:
    """Return the operator of a recurrent layer. It takes its sizes from the weights' shapes."""

    def layer(
        inputs: Array, weights: Array, recurrent: Array, biases: Array, _: None, *state: Array,
        **attributes: int,
    ) -> Parts:  # fmt: skip
        return _over_time(inputs, weights, recurrent, biases, state, CELLS[operator])

    return layer


def gates_of(node: Node, values: Mapping[str, Array]) -> dict[str, Array]:
    """Return the gates of a recurrent layer over time, each of shape (T, B, H).

    Of an LSTM they are ``input``, ``output`` and ``forget``, 0 to 1, the ``candidate`` for the
    cell, -1 to 1, and the ``cell`` itself after each input; of a GRU ``update``, ``reset`` and
    ``candidate``; a plain layer has none.

    Args:
        node: The node of the layer.
        values: All values by name, after ``evaluate``.
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
    "LogSoftmax": log_softmax,
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
"""The ONNX operators that our graphs use; they are defined at https://onnx.ai/onnx/operators/."""
