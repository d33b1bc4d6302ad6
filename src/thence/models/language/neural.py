"""Neural language models: a network and an output layer, with the interface of ``LanguageModel``.

A network maps ids (B, T) and a state to hidden states (B, T, H) and the new state. An output layer
maps hidden states to log-probabilities. This wrapper serves all families of networks.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from thence.array_types import Float, Int64, Integer
from thence.batches import Batch
from thence.models.base import Array, State, map_state
from thence.models.language import scoring
from thence.models.language.scoring import Scoring
from thence.models.network import NetworkModel
from thence.models.output_layer import OutputLayer
from thence.tokens import TokenStore


@runtime_checkable
class Network(Protocol):
    """The interface of the networks of all families."""

    @property
    def context_length(self) -> int | None:
        """Width of the window that it reads; None: it reads sequences with a state."""

    def start(self, batch_size: int, device: torch.device) -> State:
        """Return the state before any text."""

    def __call__(
        self, ids: Int64[Tensor, "batch time"], state: State
    ) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """Return the hidden state after each id, and the new state."""


class NeuralLanguageModel(NetworkModel):
    """A language model made of a network and an output layer.

    Args:
        network: Maps ids to hidden states.
        output_layer: Maps hidden states to log-probabilities.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, network: Network, output_layer: OutputLayer, vocabulary_size: int) -> None:
        super().__init__()
        self.network = network
        self.output_layer = output_layer
        self.vocabulary_size = vocabulary_size
        self.scoring = Scoring()

    def loss(
        self,
        contexts: Int64[Tensor, "batch context"],
        targets: Int64[Tensor, "batch 1"] | Float[Tensor, "batch 1 vocab"],
    ) -> Float[Tensor, ""]:
        """Return the summed negative log-likelihood of the targets after contexts, in nats.

        Args:
            contexts: The ids before each target.
            targets: The target, or the count of each id as a target.
        """
        hidden, _ = self.network(contexts[:, -1:], contexts[:, :-1])
        return self.output_layer.loss(hidden, targets)

    def batch_loss(self, batch: Batch, state: State = None) -> tuple[Float[Tensor, ""], State]:
        """Return the summed negative log-likelihood of a batch, in nats, and the state after it.

        Args:
            batch: The batch.
            state: The state after the previous batch; ignored if this one starts new documents.

        Returns:
            The loss, and the state, detached: gradients do not flow into the batch before
            (truncated backpropagation through time).
        """
        hidden, state = self._read(batch, state)
        targets = torch.from_numpy(batch.targets).to(self.device)
        if batch.valid is not None:
            counted = torch.from_numpy(batch.valid).to(self.device)
            hidden, targets = hidden[counted], targets[counted]
        return self.output_layer.loss(hidden, targets), map_state(Tensor.detach, state)

    def _read(self, batch: Batch, state: State) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """Return the hidden states of a batch, and the state after it."""
        if batch.before is not None:
            state = torch.from_numpy(batch.before).to(self.device)
        elif batch.fresh or state is None:
            state = self.start(len(batch.ids))
        return self.read_hidden(batch.ids, state)

    def start(self, batch_size: int) -> State:
        """Return the state before any text."""
        return self.network.start(batch_size, self.device)

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: State
    ) -> tuple[Float[np.ndarray, "batch vocab"], State]:
        """Read one id per row; return the log-probabilities of the next and the new state."""
        log_probs, state = self.read(ids[:, None], state)
        return log_probs[:, 0], state

    @torch.inference_mode()
    def read(
        self, ids: Integer[np.ndarray, "batch time"], state: State, last: bool = False
    ) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
        """Read ids; return log-probabilities after each, or the last only, and the new state."""
        self.eval()
        hidden, state = self.read_hidden(ids.astype(np.int64), state)
        if last:
            hidden = hidden[:, -1:]
        log_probs = self.output_layer.log_probs(hidden.flatten(0, 1))
        return log_probs.reshape(*hidden.shape[:2], -1).cpu().numpy(), state

    @torch.inference_mode()
    def advance(
        self, ids: Integer[np.ndarray, " batch"], state: State
    ) -> tuple[Float[Tensor, "batch hidden"], State]:
        """Read one id per row; return the hidden state after it and the new state."""
        self.eval()
        hidden, state = self.read_hidden(ids.astype(np.int64)[:, None], state)
        return hidden[:, 0], state

    @property
    def context_length(self) -> int | None:
        """Width of the window that it reads; None: it reads sequences with a state."""
        return self.network.context_length

    @torch.inference_mode()
    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        self.eval()
        return scoring.score(self, store, carry_context)

    @torch.inference_mode()
    def seconds_to_score(self, store: TokenStore, carry_context: bool = False) -> float:
        """Return the estimated seconds that ``score`` takes, measured on a part of the text."""
        self.eval()
        return scoring.seconds_to_score(self, store, carry_context)

    @torch.inference_mode()
    def hidden_states(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[Tensor, "targets hidden"]:
        """Return the hidden state from which ``score`` predicts each target.

        Only for networks that read sequences, and for a store that is not empty.
        """
        self.eval()
        places, parts = zip(*scoring.read_store(self, store, carry_context), strict=True)
        hidden = torch.cat(parts)
        ordered = torch.empty_like(hidden)
        ordered[torch.from_numpy(np.concatenate(places)).to(hidden.device)] = hidden
        return ordered

    @torch.inference_mode()
    def distributions(
        self, store: TokenStore, carry_context: bool = False, first: int = 0
    ) -> Iterator[scoring.Distributions]:
        """Yield the distributions of targets from ``first`` on; see ``GivesDistributions``."""
        self.eval()
        yield from scoring.distributions(self, store, carry_context, first)

    def read_hidden(
        self, ids: Int64[np.ndarray, "batch time"], state: State
    ) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """Read ids; return the hidden states after them, and the new state."""
        (read,) = self.to_device(ids)
        return self.network(read, state)

    def hidden_log_probs(self, hidden: Float[Tensor, "read hidden"]) -> Array:
        """Return the log-probabilities (read, V) after each hidden state."""
        log_probs: Array = self.output_layer.log_probs(hidden).cpu().numpy()
        return log_probs

    def target_log_probs(
        self, hidden: Float[Tensor, "read hidden"], targets: Int64[np.ndarray, " read"]
    ) -> Array:
        """Return the log-probability of each hidden state's target."""
        (ids,) = self.to_device(targets)
        log_probs: Array = self.output_layer.target_log_probs(hidden, ids).cpu().numpy()
        return log_probs

    def context_log_probs(self, contexts: Int64[np.ndarray, "batch context"]) -> Array:
        """Return the log-probabilities after each context, shape (B, V)."""
        (ids,) = self.to_device(contexts)
        hidden, _ = self.network(ids[:, -1:], ids[:, :-1])
        log_probs: Array = self.output_layer.log_probs(hidden[:, 0]).cpu().numpy()
        return log_probs

    def tensors(self) -> dict[str, Array]:
        """Return copies of the weights by name; in files the output layer is called readout."""
        return {name_in_files(name): weights for name, weights in super().tensors().items()}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set the weights."""
        named = {name.replace("readout.", "output_layer.", 1): w for name, w in tensors.items()}
        super().load_tensors(named)


def name_in_files(name: str) -> str:
    """Return the name in files of a parameter of the module."""
    return name.replace("output_layer.", "readout.", 1)


def start_window(
    batch_size: int, context: int, boundary_id: int, device: torch.device
) -> Int64[Tensor, "{batch_size} {context}-1"]:
    """Return the state before any text: a context of boundaries."""
    return torch.full((batch_size, context - 1), boundary_id, dtype=torch.int64, device=device)


def slide_window(
    ids: Int64[Tensor, "batch time"], state: Int64[Tensor, "batch window"]
) -> tuple[Int64[Tensor, "batch time window+1"], Int64[Tensor, "batch window"]]:
    """Return the window of ids that ends at each id, and the state after the last."""
    context = state.shape[1] + 1
    joined = torch.cat([state, ids], dim=1)  # (B, C - 1 + T)
    return joined.unfold(1, context, 1), joined[:, joined.shape[1] - context + 1 :]


@torch.no_grad()
def draw_standard_normal(weights: Sequence[tuple[Tensor, tuple[int, ...]]]) -> None:
    """Initialise weights from the standard normal, with the numbers of A. Karpathy's lectures.

    The scripts of these lectures on names seed a generator and draw one tensor after another, with
    inputs in rows, outputs in columns, and the boundary as symbol 0. Here the boundary is the last
    symbol. With the same seed both start with the same loss.

    Args:
        weights: In the order and layout of the scripts, each with the axes that index symbols.
    """
    generator = torch.Generator().manual_seed(torch.initial_seed())
    for weight, symbol_axes in weights:
        if not weight.is_meta:  # On the meta device a network is made only to count its weights.
            drawn = torch.randn(weight.shape, generator=generator)
            weight.copy_(drawn.roll([-1] * len(symbol_axes), symbol_axes) if symbol_axes else drawn)
