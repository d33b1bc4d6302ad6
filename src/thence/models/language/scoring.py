"""Scoring a whole text with a network: which of its places are read together, in torch or NumPy.

Networks with a fixed context score each distinct context once. The others read documents side by
side, or running text in streams.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from thence.array_types import Bool, Float, Int64
from thence.batches import Padded, group_by_context, windows
from thence.batches.sequences import ragged
from thence.deadline import check_deadline
from thence.models.base import Array, State, join_rows
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


Read = tuple[Int64[np.ndarray, " read"], Any]
"""Places of some targets of a store, and the hidden states (read, H) they are predicted from."""


Distributions = tuple[Int64[np.ndarray, " read"], Float[np.ndarray, "read vocab"]]
"""Places of some targets of a store, and the log-probabilities of all that could stand there."""


class ReadsHidden(Protocol):
    """A network that is asked for hidden states; these are arrays, or tensors on its device."""

    vocabulary_size: int
    scoring: Scoring

    @property
    def context_length(self) -> int | None:
        """How many ids it reads before each target; None: a sequence, remembered in its state."""

    def start(self, batch_size: int) -> State:
        """Return the state before any text."""

    def read_hidden(self, ids: Int64[np.ndarray, "batch time"], state: State) -> tuple[Any, State]:
        """Read ids; return the hidden states after them (batch, time, H), and the new state."""

    def after(self, contexts: Int64[np.ndarray, "batch context"]) -> Array:
        """Return the log-probabilities (B, V) of what follows each context."""

    def log_probs_after(self, hidden: Any) -> Array:
        """Return the log-probabilities (read, V) of what follows each hidden state (read, H)."""

    def target_log_probs(self, hidden: Any, targets: Int64[np.ndarray, " read"]) -> Array:
        """Return the log-probability of one target after each hidden state (read, H)."""


def score(
    model: ReadsHidden, store: TokenStore, carry_context: bool
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
    model: ReadsHidden, store: TokenStore, carry_context: bool, limit: float = 0.2
) -> float:
    """Return about how long ``score`` takes, measured on its first parts.

    They are read as ``score`` reads them: as many streams or documents side by side.

    Args:
        model: The network.
        store: The text.
        carry_context: As for ``score``.
        limit: Seconds after which no further part is measured.
    """
    began, done, seconds = time.perf_counter(), 0, 0.0
    for places, _ in _parts(model, store, carry_context):
        done, seconds = done + len(places), time.perf_counter() - began
        if seconds > limit:
            break
    return seconds * store.num_targets / max(done, 1)


Scored = tuple[Int64[np.ndarray, " read"], Float[np.ndarray, " read"]]
"""Places of some targets of a store, and their log-probabilities."""


def _parts(model: ReadsHidden, store: TokenStore, carry_context: bool) -> Iterator[Scored]:
    """Yield the scores of some targets after another, until all are scored."""
    if model.context_length is not None:
        yield from _score_windows(model, store, model.context_length, carry_context)
        return
    for places, hidden in read_store(model, store, carry_context):
        yield places, model.target_log_probs(hidden, store.targets[places].astype(np.int64))


def _score_windows(
    model: ReadsHidden, store: TokenStore, context: int, carry_context: bool
) -> Iterator[Scored]:
    """Score fixed windows, each distinct context once."""
    for chosen, rows, log_probs in _windows(model, store, context, carry_context):
        yield chosen, log_probs[rows, store.targets[chosen]]


def _windows(
    model: ReadsHidden, store: TokenStore, context: int, carry_context: bool
) -> Iterator[tuple[Int64[np.ndarray, " read"], Int64[np.ndarray, " read"], Array]]:
    """Yield places of targets, and which of some log-probabilities (contexts, V) are of each."""
    cut = windows(store, context, carry_context)
    order, starts = group_by_context(cut, model.vocabulary_size)
    at_once = max(1, min(SCORE_ROWS, SCORE_CELLS // model.vocabulary_size))
    for first in range(0, len(starts) - 1, at_once):
        groups = starts[first : first + at_once + 1]
        log_probs = model.after(cut.gather(order[groups[:-1]])[:, :-1])
        rows = np.repeat(np.arange(len(groups) - 1), np.diff(groups))
        yield order[groups[0] : groups[-1]], rows, log_probs


def distributions(
    model: ReadsHidden, store: TokenStore, carry_context: bool, first: int = 0
) -> Iterator[Distributions]:
    """Yield the distributions that ``score`` takes the targets' log-probabilities from.

    Args:
        model: The network.
        store: The text.
        carry_context: As for ``score``.
        first: The first target whose distribution is wanted.
    """
    at_once = max(1, SCORE_CELLS // model.vocabulary_size)
    if model.context_length is not None and first:
        cut = windows(store, model.context_length, carry_context)
        for begin in range(first, store.num_targets, at_once):
            places = np.arange(begin, min(begin + at_once, store.num_targets))
            yield places, model.after(cut.gather(places)[:, :-1])
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
            yield places[some], model.log_probs_after(hidden[some])


def read_store(
    model: ReadsHidden, store: TokenStore, carry_context: bool, first: int = 0
) -> Iterator[Read]:
    """Yield targets' places and the hidden states before them, until all have been read.

    Only of a network that reads sequences.

    Args:
        model: The network.
        store: The text.
        carry_context: As for ``score``.
        first: Of running text, what is read before the stream of this place may be left out.
    """
    if store.num_targets and carry_context:
        yield from _read_streams(model, store, first)
    elif store.num_targets:
        yield from _read_documents(model, store)


def _read_streams(model: ReadsHidden, store: TokenStore, first: int) -> Iterator[Read]:
    """Read running text in streams side by side, each after reading some of what is before.

    One long pass would have every stream begin with the state of the one before it; what was
    read so long ago hardly tells any more.
    """
    length, window = model.scoring.stream_length, model.scoring.window
    starts = np.arange(first // length * length, store.num_targets, length)
    lengths = np.minimum(store.num_targets - starts, length)
    groups = -(-len(starts) // model.scoring.streams)
    for rows in np.array_split(np.arange(len(starts)), groups):
        state = _warmed_up(model, store, starts[rows])
        for begin in range(0, int(lengths[rows].max()), window):
            left = np.clip(lengths[rows] - begin, 0, window)
            places, valid = ragged(starts[rows] + begin, left)
            # A row that has ended still needs places to read.
            places = np.minimum(places, store.num_targets - 1)
            state, read = _read_places(model, store, places, valid, state)
            yield read


def _warmed_up(model: ReadsHidden, store: TokenStore, starts: Int64[np.ndarray, " _"]) -> State:
    """Return the states with which streams begin; nothing is before the first of a text."""
    later = starts[starts > 0]
    first = model.start(len(starts) - len(later))
    if not len(later):
        return first
    warm_up = model.scoring.warm_up
    places, _ = ragged(later - warm_up, np.full(len(later), warm_up))
    _, warm = model.read_hidden(store.ids[places].astype(np.int64), model.start(len(later)))
    return warm if len(later) == len(starts) else join_rows([first, warm])


def _read_documents(model: ReadsHidden, store: TokenStore) -> Iterator[Read]:
    """Read documents side by side, each from its beginning."""
    batches, state = Padded(store, model.scoring.documents, model.scoring.window), None
    for step in range(batches.steps_per_epoch):
        places, valid, fresh = batches.places(step)
        state = model.start(len(places)) if fresh else state
        state, read = _read_places(model, store, places, valid, state)
        yield read


def _read_places(
    model: ReadsHidden,
    store: TokenStore,
    places: Int64[np.ndarray, "batch time"],
    valid: Bool[np.ndarray, "batch time"] | None,
    state: State,
) -> tuple[State, Read]:
    """Read a table of places from a state on."""
    hidden, state = model.read_hidden(store.ids[places].astype(np.int64), state)
    counted = np.ones(places.shape, bool) if valid is None else valid
    return state, (places[counted], hidden[counted])
