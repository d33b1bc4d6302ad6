"""Scoring a whole text with a network in batches, for networks in torch and in NumPy.

Networks with a fixed context score each distinct context once. The others read documents side by
side, or running text in parallel streams.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from thence.array_types import Bool, Float, Int64
from thence.batches import Padded, group_by_context, windows
from thence.batches.sequences import padded_places
from thence.deadline import check_deadline
from thence.models.base import Array, State, join_rows
from thence.tokens import TokenStore

SCORE_CELLS = 1 << 22
"""Logits that are in memory at once while scoring (16 MB in single precision)."""
SCORE_ROWS = 1 << 13
"""Contexts per batch while scoring, which bounds the memory of wide hidden layers."""


@dataclass(frozen=True)
class Scoring:
    """How a text is cut into batches for scoring.

    Running text is scored in streams of ``stream_length`` targets, each after reading the
    ``warm_up`` ids before it. Where streams begin does not depend on the length of the text, so no
    score depends on later text.

    Attributes:
        window: Ids of each row that are read at a time.
        documents: Documents per batch.
        warm_up: Ids that are read before a stream.
        stream_length: Targets of a stream.
        streams: Streams per batch.
        dynamic_window: Targets that dynamic evaluation scores before each update of the weights.
    """

    window: int = 128
    documents: int = 64
    warm_up: int = 256
    stream_length: int = 2048
    streams: int = 64
    dynamic_window: int = 32


Read = tuple[Int64[np.ndarray, " read"], Any]
"""Positions of some targets of a store, and the hidden states (read, H) before them."""


Distributions = tuple[Int64[np.ndarray, " read"], Float[np.ndarray, "read vocab"]]
"""Positions of some targets of a store, and the log-probabilities of all ids there."""


class HiddenStateModel(Protocol):
    """A language model with hidden states, which are arrays, or tensors on its device."""

    vocabulary_size: int
    scoring: Scoring

    @property
    def context_length(self) -> int | None:
        """Width of the window that it reads; None: it reads sequences with a state."""

    def start(self, batch_size: int) -> State:
        """Return the state before any text."""

    def read_hidden(self, ids: Int64[np.ndarray, "batch time"], state: State) -> tuple[Any, State]:
        """Read ids; return the hidden states after them (batch, time, H), and the new state."""

    def context_log_probs(self, contexts: Int64[np.ndarray, "batch context"]) -> Array:
        """Return the log-probabilities (B, V) after each context."""

    def hidden_log_probs(self, hidden: Any) -> Array:
        """Return the log-probabilities (read, V) after each hidden state (read, H)."""

    def target_log_probs(self, hidden: Any, targets: Int64[np.ndarray, " read"]) -> Array:
        """Return the log-probability of the target of each hidden state (read, H)."""


def score(
    model: HiddenStateModel, store: TokenStore, carry_context: bool
) -> Float[np.ndarray, " targets"]:
    """Return the log-probability of every target of a store, in nats.

    Raises:
        DeadlineError: Between two parts of the text, if a deadline has passed.
    """
    scores = np.zeros(store.num_targets, np.float32)
    for places, log_probs in _parts(model, store, carry_context):
        check_deadline()
        scores[places] = log_probs
    return scores


def seconds_to_score(
    model: HiddenStateModel, store: TokenStore, carry_context: bool, limit: float = 0.2
) -> float:
    """Return the estimated seconds that ``score`` takes, measured on its first batches.

    They are the batches of ``score``, with as many streams or documents.

    Args:
        model: The network.
        store: The text.
        carry_context: As for ``score``.
        limit: Seconds after which no further batch is measured.
    """
    began, done, seconds = time.perf_counter(), 0, 0.0
    for places, _ in _parts(model, store, carry_context):
        done, seconds = done + len(places), time.perf_counter() - began
        if seconds > limit:
            break
    return seconds * store.num_targets / max(done, 1)


Scored = tuple[Int64[np.ndarray, " read"], Float[np.ndarray, " read"]]
"""Positions of some targets of a store, and their log-probabilities."""


def _parts(model: HiddenStateModel, store: TokenStore, carry_context: bool) -> Iterator[Scored]:
    """Yield the scores of all targets, batch by batch."""
    if model.context_length is not None:
        for places, rows, log_probs in _windows(model, store, model.context_length, carry_context):
            yield places, log_probs[rows, store.targets[places]]
        return
    for places, hidden in read_store(model, store, carry_context):
        yield places, model.target_log_probs(hidden, store.targets[places].astype(np.int64))


def _windows(
    model: HiddenStateModel, store: TokenStore, context: int, carry_context: bool
) -> Iterator[tuple[Int64[np.ndarray, " read"], Int64[np.ndarray, " read"], Array]]:
    """Yield positions of targets, the row of each target's context, and log-probabilities by row.

    The log-probabilities have shape (contexts, V).
    """
    cut = windows(store, context, carry_context)
    order, starts = group_by_context(cut, model.vocabulary_size)
    at_once = max(1, min(SCORE_ROWS, SCORE_CELLS // model.vocabulary_size))
    for first in range(0, len(starts) - 1, at_once):
        groups = starts[first : first + at_once + 1]
        log_probs = model.context_log_probs(cut.gather(order[groups[:-1]])[:, :-1])
        rows = np.repeat(np.arange(len(groups) - 1), np.diff(groups))
        yield order[groups[0] : groups[-1]], rows, log_probs


def distributions(
    model: HiddenStateModel, store: TokenStore, carry_context: bool, first: int = 0
) -> Iterator[Distributions]:
    """Yield the distributions of which ``score`` returns the targets' entries.

    Args:
        model: The network.
        store: The text.
        carry_context: As for ``score``.
        first: Index of the first target whose distribution is yielded.
    """
    at_once = max(1, SCORE_CELLS // model.vocabulary_size)
    if model.context_length is not None and first:
        cut = windows(store, model.context_length, carry_context)
        for begin in range(first, store.num_targets, at_once):
            places = np.arange(begin, min(begin + at_once, store.num_targets))
            yield places, model.context_log_probs(cut.gather(places)[:, :-1])
        return
    if model.context_length is not None:
        for places, rows, log_probs in _windows(model, store, model.context_length, carry_context):
            for begin in range(0, len(places), at_once):
                part = slice(begin, begin + at_once)
                yield places[part], log_probs[rows[part]]
        return
    for places, hidden in read_store(model, store, carry_context, first):
        wanted = np.flatnonzero(places >= first)
        for begin in range(0, len(wanted), at_once):
            some = wanted[begin : begin + at_once]
            yield places[some], model.hidden_log_probs(hidden[some])


def read_store(
    model: HiddenStateModel, store: TokenStore, carry_context: bool, first: int = 0
) -> Iterator[Read]:
    """Yield positions of targets and the hidden states before them, batch by batch.

    Only for networks that read sequences.

    Args:
        model: The network.
        store: The text.
        carry_context: As for ``score``.
        first: On running text, streams before that of this target are skipped.
    """
    if store.num_targets and carry_context:
        yield from _read_streams(model, store, first)
    elif store.num_targets:
        yield from _read_documents(model, store)


def _read_streams(model: HiddenStateModel, store: TokenStore, first: int) -> Iterator[Read]:
    """Read running text in parallel streams, each after its warm-up.

    One long pass would start every stream with the state of the stream before it. The warm-up is an
    approximation: text before it has hardly any influence on the state.
    """
    length, window = model.scoring.stream_length, model.scoring.window
    starts = np.arange(first // length * length, store.num_targets, length)
    lengths = np.minimum(store.num_targets - starts, length)
    groups = -(-len(starts) // model.scoring.streams)
    for rows in np.array_split(np.arange(len(starts)), groups):
        state = _warm_up(model, store, starts[rows])
        for begin in range(0, int(lengths[rows].max()), window):
            left = np.clip(lengths[rows] - begin, 0, window)
            places, valid = padded_places(starts[rows] + begin, left)
            # Rows that have ended read any ids, which are not counted.
            places = np.minimum(places, store.num_targets - 1)
            state, read = _read_places(model, store, places, valid, state)
            yield read


def _warm_up(model: HiddenStateModel, store: TokenStore, starts: Int64[np.ndarray, " _"]) -> State:
    """Return the states before streams, after their warm-up (the first stream has none)."""
    later = starts[starts > 0]
    first = model.start(len(starts) - len(later))
    if not len(later):
        return first
    warm_up = model.scoring.warm_up
    places, _ = padded_places(later - warm_up, np.full(len(later), warm_up))
    _, warm = model.read_hidden(store.ids[places].astype(np.int64), model.start(len(later)))
    return warm if len(later) == len(starts) else join_rows([first, warm])


def _read_documents(model: HiddenStateModel, store: TokenStore) -> Iterator[Read]:
    """Read documents in padded batches, each from its beginning."""
    batches, state = Padded(store, model.scoring.documents, model.scoring.window), None
    for step in range(batches.steps_per_epoch):
        places, valid, fresh = batches.places(step)
        state = model.start(len(places)) if fresh else state
        state, read = _read_places(model, store, places, valid, state)
        yield read


def _read_places(
    model: HiddenStateModel,
    store: TokenStore,
    places: Int64[np.ndarray, "batch time"],
    valid: Bool[np.ndarray, "batch time"] | None,
    state: State,
) -> tuple[State, Read]:
    """Read the ids at a table of positions; return the new state, and the valid hidden states."""
    hidden, state = model.read_hidden(store.ids[places].astype(np.int64), state)
    counted = np.ones(places.shape, bool) if valid is None else valid
    return state, (places[counted], hidden[counted])
