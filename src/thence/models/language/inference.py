"""Inference with trained networks in NumPy, since importing torch takes seconds.

The models here evaluate the graphs of ``graphs.py`` with the weights of a run. Their
log-probabilities are those of the torch modules up to rounding. Training, dynamic evaluation and
the neural cache, which needs hidden states as tensors, use the torch modules instead.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from thence.array_types import Float, Int64, Integer
from thence.models.base import Array, State, check_weights
from thence.models.graph import Graph, Hidden
from thence.models.graph_evaluation import CELLS as RECURRENT
from thence.models.graph_evaluation import evaluate, gates_of, round_matrices
from thence.models.language import graphs, scoring
from thence.models.language.options import BigramOptions, MLPOptions, RecurrentOptions
from thence.tokens import TokenStore

CELLS = 1 << 18
"""Logits that are in memory at once while scoring: 1 MB, which stays in the processor's cache."""
MIN_ROWS = 64
"""Hidden states that are multiplied at once at least, whatever the vocabulary: with fewer, reading
the matrix takes the time. With 50,000 words, 5 rows took 3 times as long for each as 64 did."""

AddNetwork = Callable[[Graph], tuple[Hidden, Callable[[str], str]]]
"""Adds a network to a graph; returns its hidden states, and a function that adds the output layer
to hidden states of a given name."""


@dataclass(frozen=True)
class Trace:
    """The intermediate values of a forward pass.

    Attributes:
        values: All values, by name in the graph.
        stages: The output of each stage (see ``Hidden``), shape (B, T, size), in order.
        gates: The gates of each recurrent layer, by layer and then by gate (see ``gates_of``),
            shape (B, T, H).
    """

    values: dict[str, Array]
    stages: dict[str, Array]
    gates: dict[str, dict[str, Array]]


class InferenceModel:
    """A language model for inference, evaluated as a graph in NumPy.

    Args:
        add_network: Adds the network to a graph.
        vocabulary_size: Number of ids (V); the boundary is the last.
        context_length: Width of the window that it reads; None: it reads sequences with a state.
    """

    def __init__(
        self, add_network: AddNetwork, vocabulary_size: int, context_length: int | None
    ) -> None:
        self.vocabulary_size, self.context_length = vocabulary_size, context_length
        self.scoring = scoring.Scoring()
        self._add_network = add_network
        self._tensors: Mapping[str, Array] = {}

    def tensors(self) -> dict[str, Array]:
        """Return the weights by name."""
        return dict(self._tensors)

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set the weights; the graph is built from them."""
        check_weights(tensors)
        graph = Graph(tensors)
        hidden, add_output = self._add_network(graph)
        size = len(graph.nodes)
        output = add_output(hidden.name)
        if unknown := tensors.keys() - graph.used:
            raise ValueError(f"{', '.join(sorted(unknown))} is no weight of this network")
        self._tensors, self._constants = tensors, graph.constants
        self._network, self._output = graph.nodes[:size], graph.nodes[size:]
        self._hidden, self._log_probs = hidden, output

    def rounded(self) -> "InferenceModel":
        """Return this model with its matrices in 16 bits, twice as fast (``models/rounded.py``)."""
        model = copy.copy(self)
        model._constants = dict(self._constants)
        model._network = round_matrices(self._network, model._constants)
        model._output = round_matrices(self._output, model._constants)
        return model

    def num_parameters(self) -> int:
        """Return the number of weights."""
        return sum(value.size for value in self._tensors.values())

    def onnx(self, graph: Graph) -> tuple[Hidden, str]:
        """Add the model to a graph; return its hidden states and the name of log-probabilities."""
        hidden, add_output = self._add_network(graph)
        return hidden, add_output(hidden.name)

    def start(self, batch_size: int) -> State:
        """Return the state before any text: ids of the boundary, or hidden states of zeros."""
        first: dict[type, int] = {np.int64: self.vocabulary_size - 1, np.float32: 0}
        return tuple(
            np.full((batch_size, *shape[1:]), first[dtype], dtype)
            for _, dtype, shape in self._hidden.state
        )

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: State
    ) -> tuple[Float[np.ndarray, "batch vocab"], State]:
        """Read one id per row; return the log-probabilities of the next and the new state."""
        log_probs, state = self.read(ids[:, None], state)
        return log_probs[:, 0], state

    def read(
        self, ids: Integer[np.ndarray, "batch time"], state: State, last: bool = False
    ) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
        """Read ids; return log-probabilities after each, or the last only, and the new state."""
        hidden, state = self.read_hidden(ids.astype(np.int64), state)
        return self._after(hidden[:, -1:] if last else hidden), state

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        return scoring.score(self, store, carry_context)

    def distributions(
        self, store: TokenStore, carry_context: bool = False, first: int = 0
    ) -> Iterator[scoring.Distributions]:
        """Yield the distributions of targets from ``first`` on; see ``GivesDistributions``."""
        return scoring.distributions(self, store, carry_context, first)

    def read_hidden(
        self, ids: Int64[np.ndarray, "batch time"], state: State
    ) -> tuple[Float[np.ndarray, "batch time hidden"], State]:
        """Read ids; return the hidden states after them, and the new state."""
        values = self._values(ids, state)
        return values[self._hidden.name], tuple(values[one] for one, _, _ in self._hidden.new_state)

    def _values(self, ids: Int64[np.ndarray, "batch time"], state: State) -> dict[str, Array]:
        """Return all values of the network's forward pass, by name in the graph."""
        names = [name for name, _, _ in self._hidden.state]
        values = {**self._constants, "ids": ids, **dict(zip(names, state, strict=True))}
        evaluate(self._network, values)
        return values

    def trace(self, ids: Int64[np.ndarray, "batch time"], state: State) -> Trace:
        """Return the intermediate values of the forward pass."""
        values = self._values(ids, state)
        layers = [node for node in self._network if node.operator in RECURRENT]
        stages = {}
        for stage, name in self._hidden.stages.items():
            found = values[name]
            if layers and stage != "embedding":
                found = found.swapaxes(0, 1)
            # The embedding of a fixed window also covers the ids of the state before ``ids``.
            stages[stage] = found[:, found.shape[1] - ids.shape[1] :]
        gates = {
            f"layer {number}": {
                gate: array.swapaxes(0, 1) for gate, array in gates_of(node, values).items()
            }
            for number, node in enumerate(layers, 1)
        }
        return Trace(values, stages, gates)

    def stage_log_probs(self, trace: Trace, stage: str) -> Float[np.ndarray, "batch time vocab"]:
        """Return the log-probabilities by a stage in place of the last one (the logit lens).

        The stage must have the size of the last.
        """
        name = self._hidden.stages[next(reversed(self._hidden.stages))]
        found = trace.stages[stage]
        number = next(n for n, node in enumerate(self._network) if name in node.outputs)
        values = trace.values | {name: found.swapaxes(0, 1) if trace.gates else found}
        evaluate(self._network[number + 1 :], values)
        return self._after(values[self._hidden.name])

    def _after(self, hidden: Float[np.ndarray, "batch time hidden"]) -> Array:
        """Return the log-probabilities (batch, time, V) after hidden states."""
        values = {**self._constants, self._hidden.name: hidden}
        evaluate(self._output, values)
        return values[self._log_probs]

    def context_log_probs(self, contexts: Int64[np.ndarray, "batch context"]) -> Array:
        """Return the log-probabilities after each context, shape (B, V)."""
        state = (contexts[:, :-1],) if contexts.shape[1] > 1 else ()
        return self._after(self.read_hidden(contexts[:, -1:], state)[0])[:, 0]

    def hidden_log_probs(self, hidden: Float[np.ndarray, "read hidden"]) -> Array:
        """Return the log-probabilities (read, V) after each hidden state."""
        log_probs: Array = self._after(hidden[None])[0]
        return log_probs

    def target_log_probs(
        self, hidden: Float[np.ndarray, "read hidden"], targets: Int64[np.ndarray, " read"]
    ) -> Float[np.ndarray, " read"]:
        """Return the log-probability of each hidden state's target."""
        rows = max(MIN_ROWS, CELLS // self.vocabulary_size)
        found = [np.zeros(0, np.float32)]
        for first in range(0, len(targets), rows):
            log_probs = self._after(hidden[None, first : first + rows])[0]
            ids = targets[first : first + rows]
            found.append(log_probs[np.arange(len(ids)), ids])
        return np.concatenate(found)


def bigram(options: BigramOptions, vocabulary_size: int) -> InferenceModel:
    """Make a ``bigram`` model for inference."""

    def add(graph: Graph) -> tuple[Hidden, Callable[[str], str]]:
        return graphs.bigram(graph, vocabulary_size), partial(graphs.softmax, graph, weight=None)

    return InferenceModel(add, vocabulary_size, 1)


def mlp(options: MLPOptions, vocabulary_size: int) -> InferenceModel:
    """Make an ``mlp`` model for inference."""
    read = options.context * options.embedding_size
    size = options.hidden_size + options.direct * read if options.layers else read

    def add(graph: Graph) -> tuple[Hidden, Callable[[str], str]]:
        hidden = graphs.mlp(graph, options, vocabulary_size)
        return hidden, lambda name: graphs.output(graph, name, options, size, vocabulary_size)

    return InferenceModel(add, vocabulary_size, options.context)


def recurrent(options: RecurrentOptions, vocabulary_size: int) -> InferenceModel:
    """Make an ``rnn``, ``lstm`` or ``gru`` model for inference."""
    size, tied = options.embedding_size if options.tied else options.hidden_size, options.tied

    def add(graph: Graph) -> tuple[Hidden, Callable[[str], str]]:
        hidden = graphs.recurrent(graph, options, vocabulary_size)
        return hidden, lambda name: graphs.output(graph, name, options, size, vocabulary_size, tied)

    return InferenceModel(add, vocabulary_size, None)
