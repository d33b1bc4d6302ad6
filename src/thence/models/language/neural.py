"""A network and an output layer together are a language model: this wrapper serves every family.

A network maps ids (B, T) and a state to hidden states (B, T, H) and the new state. An output layer
maps hidden states to log-probabilities. Everything that evaluation and generation ask of a
language model follows from these two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from thence.array_types import Bool, Float, Int64, Integer
from thence.batches import Batch, Padded, group_by_context, windows
from thence.batches.sequences import batch_of, ragged
from thence.models.base import Array, State, map_state
from thence.models.network import NetworkModel
from thence.models.output_layer import OutputLayer
from thence.tokens import TokenStore

SCORE_CELLS = 1 << 22
"""Logits held at once while scoring (16 MB in single precision)."""
SCORE_ROWS = 1 << 13
"""Contexts read at once while scoring, which bounds the memory of wide hidden layers."""


@dataclass(frozen=True)
class Scoring:
    """How a text is cut to be scored.

    Running text is scored in streams of ``stream_length`` targets, each after reading the
    ``warm_up`` ids before it. Where streams begin does not depend on how long the text is, so no
    score depends on what comes later.

    Attributes:
        window: Ids of a sequence that are read at a time.
        documents: Documents that are scored side by side.
        warm_up: Ids that are read before a stream.
        stream_length: Targets of a stream.
        streams: Streams that are scored side by side.
        dynamic_window: Targets that dynamic evaluation scores before each step of learning.
    """

    window: int = 128
    documents: int = 64
    warm_up: int = 256
    stream_length: int = 2048
    streams: int = 64
    dynamic_window: int = 32


Read = tuple[Int64[np.ndarray, " read"], Float[Tensor, "read hidden"]]
"""Places of some targets of a store, and the hidden states that they are predicted from."""


@runtime_checkable
class Network(Protocol):
    """What a family of networks provides."""

    @property
    def context_length(self) -> int | None:
        """How many ids it reads before each target; None: a sequence, remembered in its state."""

    def start(self, batch_size: int, device: torch.device) -> State:
        """Return the state before any text."""

    def __call__(
        self, ids: Int64[Tensor, "batch time"], state: State
    ) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """Read ids; return a hidden state after each, and the new state."""


class NeuralLanguageModel(NetworkModel):
    """A language model made of a network and an output layer.

    Args:
        network: Ids to hidden states.
        output_layer: Hidden states to probabilities.
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
        """Return the summed negative log-likelihood of what follows each context, in nats.

        Args:
            contexts: The ids before each target.
            targets: The id that followed, or how often each id did.
        """
        hidden, _ = self.network(contexts[:, -1:], contexts[:, :-1])
        return self.output_layer.loss(hidden, targets)

    def batch_loss(self, batch: Batch, state: State = None) -> tuple[Float[Tensor, ""], State]:
        """Return the summed negative log-likelihood of a training batch, in nats, and the state.

        Args:
            batch: What is read.
            state: Where the batch before left off; not looked at where this one begins anew.

        Returns:
            The loss, and the state after the batch, without its history.
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
        (ids,) = self.to_device(batch.ids)
        return self.network(ids, state)

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
        read = torch.from_numpy(ids.astype(np.int64)).to(self.device)
        hidden, state = self.network(read, state)
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
        column = torch.from_numpy(ids.astype(np.int64)).to(self.device)[:, None]
        hidden, state = self.network(column, state)
        return hidden[:, 0], state

    @torch.inference_mode()
    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        self.eval()
        if self.network.context_length is not None:
            return self._score_windows(store, self.network.context_length, carry_context)
        scores = np.zeros(store.num_targets, np.float32)
        for places, hidden in self._read_store(store, carry_context):
            targets = torch.from_numpy(store.targets[places].astype(np.int64)).to(self.device)
            scores[places] = self.output_layer.target_log_probs(hidden, targets).cpu().numpy()
        return scores

    @torch.inference_mode()
    def hidden_states(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[Tensor, "targets hidden"]:
        """Return the hidden state that each target is predicted from, as ``score`` has them.

        Only of a network that reads sequences, and of a store that is not empty.
        """
        self.eval()
        places, parts = zip(*self._read_store(store, carry_context), strict=True)
        hidden = torch.cat(parts)
        ordered = torch.empty_like(hidden)
        ordered[torch.from_numpy(np.concatenate(places)).to(hidden.device)] = hidden
        return ordered

    def _read_store(self, store: TokenStore, carry_context: bool) -> Iterator[Read]:
        """Yield targets' places and the hidden states before them, until all have been read."""
        if store.num_targets and carry_context:
            yield from self._read_streams(store)
        elif store.num_targets:
            yield from self._read_sequences(store)

    def _read_streams(self, store: TokenStore) -> Iterator[Read]:
        """Read running text in streams side by side, each after reading some of what is before.

        One long pass would have every stream begin with the state of the one before it; what was
        read so long ago hardly tells any more.
        """
        length, window = self.scoring.stream_length, self.scoring.window
        starts = np.arange(0, store.num_targets, length)
        lengths = np.minimum(store.num_targets - starts, length)
        groups = -(-len(starts) // self.scoring.streams)
        for rows in np.array_split(np.arange(len(starts)), groups):
            state = self._warmed_up(store, starts[rows])
            for begin in range(0, int(lengths[rows].max()), window):
                left = np.clip(lengths[rows] - begin, 0, window)
                places, valid = ragged(starts[rows] + begin, left)
                # A row that has ended still needs places to read.
                places = np.minimum(places, store.num_targets - 1)
                state, read = self._read_places(store, places, valid, state)
                yield read

    def _warmed_up(self, store: TokenStore, starts: Int64[np.ndarray, " streams"]) -> State:
        """Return the states with which streams begin; nothing is before the first of a text."""
        later = starts[starts > 0]
        first = self.start(len(starts) - len(later))
        if not len(later):
            return first
        warm_up = self.scoring.warm_up
        places, _ = ragged(later - warm_up, np.full(len(later), warm_up))
        _, warm = self._read(batch_of(store, places, None, fresh=True), None)
        if len(later) == len(starts):
            return warm
        return map_state(lambda new, old: torch.cat([new, old]), first, warm)

    def _read_sequences(self, store: TokenStore) -> Iterator[Read]:
        """Read documents side by side, each from its beginning."""
        batches, state = Padded(store, self.scoring.documents, self.scoring.window), None
        for step in range(batches.steps_per_epoch):
            places, valid, fresh = batches.places(step)
            state, read = self._read_places(store, places, valid, None if fresh else state)
            yield read

    def _read_places(
        self,
        store: TokenStore,
        places: Int64[np.ndarray, "batch time"],
        valid: Bool[np.ndarray, "batch time"] | None,
        state: State,
    ) -> tuple[State, Read]:
        """Read a table of places from a state on; None: from the beginning."""
        hidden, state = self._read(batch_of(store, places, valid, fresh=False), state)
        counted = np.ones(places.shape, bool) if valid is None else valid
        return state, (places[counted], hidden[torch.from_numpy(counted).to(self.device)])

    def _score_windows(
        self, store: TokenStore, context: int, carry_context: bool
    ) -> Float[np.ndarray, " targets"]:
        """Score fixed windows, each distinct context once."""
        cut = windows(store, context, carry_context)
        order, starts = group_by_context(cut, self.vocabulary_size)
        scores = np.zeros(len(cut), np.float32)
        at_once = max(1, min(SCORE_ROWS, SCORE_CELLS // self.vocabulary_size))
        for first in range(0, len(starts) - 1, at_once):
            groups = starts[first : first + at_once + 1]
            log_probs = self._after(cut.gather(order[groups[:-1]])[:, :-1])
            chosen = order[groups[0] : groups[-1]]
            row = np.repeat(np.arange(len(groups) - 1), np.diff(groups))
            scores[chosen] = log_probs[row, store.targets[chosen]]
        return scores

    def _after(self, contexts: Int64[np.ndarray, "batch context"]) -> Array:
        """Return the log-probabilities of what follows each context, shape (B, V)."""
        ids = torch.from_numpy(contexts).to(self.device)
        hidden, _ = self.network(ids[:, -1:], ids[:, :-1])
        log_probs: Array = self.output_layer.log_probs(hidden[:, 0]).cpu().numpy()
        return log_probs

    def tensors(self) -> dict[str, Array]:
        """Return the weights by name, copied; in files the output layer is called readout."""
        return {
            name.replace("output_layer.", "readout.", 1): weights
            for name, weights in super().tensors().items()
        }

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set the weights."""
        named = {name.replace("readout.", "output_layer.", 1): w for name, w in tensors.items()}
        super().load_tensors(named)


def start_window(
    batch_size: int, context: int, boundary_id: int, device: torch.device
) -> Int64[Tensor, "{batch_size} {context}-1"]:
    """Return the state before any text: nothing but boundaries."""
    return torch.full((batch_size, context - 1), boundary_id, dtype=torch.int64, device=device)


def slide_window(
    ids: Int64[Tensor, "batch time"], state: Int64[Tensor, "batch window"]
) -> tuple[Int64[Tensor, "batch time window+1"], Int64[Tensor, "batch window"]]:
    """Return the context that ends at each id, and the state after the last."""
    context = state.shape[1] + 1
    joined = torch.cat([state, ids], dim=1)  # (B, C - 1 + T)
    return joined.unfold(1, context, 1), joined[:, joined.shape[1] - context + 1 :]


@torch.no_grad()
def draw_standard_normal(weights: Sequence[tuple[Tensor, tuple[int, ...]]]) -> None:
    """Draw weights from the standard normal distribution, to the digit as a plain script does.

    Such a script (A. Karpathy's lectures on names) seeds a generator and draws one tensor after
    another, with inputs in rows, outputs in columns, and the boundary as symbol 0. Here the
    boundary is the last symbol. With the same seed both start with the same loss.

    Args:
        weights: In the script's order and layout, each with the axes that stand for symbols.
    """
    generator = torch.Generator().manual_seed(torch.initial_seed())
    for weight, symbol_axes in weights:
        if not weight.is_meta:  # A network without memory, made to count its weights.
            drawn = torch.randn(weight.shape, generator=generator)
            weight.copy_(drawn.roll([-1] * len(symbol_axes), symbol_axes) if symbol_axes else drawn)
