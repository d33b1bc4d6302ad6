"""Batches of networks that read sequences: streams of running text, or padded documents.

A batch is an array of places (indices) in a token store; the target of each is the next token.

*Streams* cut running text into parallel rows, read window by window. With two streams and windows
of two, the targets of the text ``a b c d e f g`` are read so::

    stream 0    a b | c d          if the length is not divisible, the first streams are one
    stream 1    e f | g            target longer; every target is read exactly once

The rows of a window continue those of the window before, so a network that carries its state reads
a stream as one text, while gradients stop at the beginning of the window (truncated backpropagation
through time, R. Williams and J. Peng 1990).

*Padded* batches have documents of similar length side by side, so that there is little padding.
Documents longer than a window are read window by window, with the state carried.
"""

from functools import partial
from itertools import pairwise

import numpy as np

from thence.array_types import Bool, Int64
from thence.batches.batch import Batch, cached_by_epoch
from thence.tokens import TokenStore

Places = Int64[np.ndarray, "batch time"]
Steps = Int64[np.ndarray, " steps"]


def padded_places(
    starts: Int64[np.ndarray, " batch"], lengths: Int64[np.ndarray, " batch"]
) -> tuple[Places, Bool[np.ndarray, "batch time"] | None]:
    """Return the places of rows that begin at ``starts``, and their mask (None: all valid).

    Rows shorter than the longest are padded with their last place.
    """
    time = np.arange(int(lengths.max(initial=0)))
    places = starts[:, None] + np.minimum(time, np.maximum(lengths - 1, 0)[:, None])
    if np.all(lengths == len(time)):
        return places, None
    return places, time < lengths[:, None]


def order_by_length(
    lengths: Int64[np.ndarray, " documents"], batches: int, seed: int | None, epoch: int
) -> tuple[Int64[np.ndarray, " documents"], Int64[np.ndarray, " batches"]]:
    """Return document indices by length, shortest first, and the order of their batches.

    Args:
        lengths: Lengths of the documents.
        batches: Number of batches that they are cut into.
        seed: Seed of the order of batches and of equally long documents; None: not shuffled.
        epoch: The epoch; each has another order.
    """
    documents, order = np.arange(len(lengths)), np.arange(batches)
    if seed is not None:
        random = np.random.default_rng((seed, epoch))
        documents, order = random.permutation(documents), random.permutation(order)
    return documents[np.argsort(lengths[documents], kind="stable")], order


def batch_of(
    store: TokenStore, places: Places, valid: Bool[np.ndarray, "batch time"] | None, fresh: bool
) -> Batch:
    """Return the batch of the ids at the given places.

    Args:
        store: The tokens.
        places: Index of each id in ``store.ids``; its target is the next id.
        valid: Mask of the targets; None: all count.
        fresh: Whether the rows start from the initial state.
    """
    size = float(places.size if valid is None else np.count_nonzero(valid))
    return Batch(
        store.ids[places].astype(np.int64),
        store.targets[places].astype(np.int64),
        size,
        size,
        valid=valid,
        fresh=fresh,
    )


class Streams:
    """A store as parallel streams of equal length.

    Args:
        store: The tokens.
        streams: Number of streams, the rows of a batch (B).
        window: Ids per row and step (T).
        seed: Seed of the window lengths, if they vary.
        vary: Draw other window lengths in each epoch, with the same number of windows (S. Merity et
            al. 2018, "Regularizing and optimizing LSTM language models", section 4.1): gradients
            then stop at other places.
    """

    def __init__(
        self, store: TokenStore, streams: int, window: int, seed: int = 0, vary: bool = False
    ) -> None:
        self._store = store
        self.starts, self.lengths = stream_bounds(store.num_targets, streams)
        longest = int(self.lengths.max(initial=0))
        self.steps_per_epoch = max(1, -(-longest // window))
        even = np.minimum(np.arange(self.steps_per_epoch + 1) * window, longest)
        # The edges of an epoch's windows within their streams.
        self._edges = cached_by_epoch(partial(_varied, even, seed) if vary else lambda epoch: even)

    def at(self, step: int) -> Batch:
        """Return the batch of a step; the first of an epoch is ``fresh``."""
        places, valid, fresh = self.places(step)
        return batch_of(self._store, places, valid, fresh)

    def places(self, step: int) -> tuple[Places, Bool[np.ndarray, "batch time"] | None, bool]:
        """Return the places of a step's ids, their mask, and whether the rows are ``fresh``."""
        epoch, index = divmod(step, self.steps_per_epoch)
        begin, end = self._edges(epoch)[index : index + 2]
        lengths = np.clip(self.lengths, begin, end) - begin
        places, valid = padded_places(self.starts + begin, lengths)
        return np.minimum(places, self._store.num_targets - 1), valid, index == 0


def _varied(
    even: Int64[np.ndarray, " edges"], seed: int, epoch: int
) -> Int64[np.ndarray, " edges"]:
    """Return random edges of the same number of windows, other ones for each epoch."""
    drawn = np.random.default_rng((seed, epoch)).normal(1, 0.15, len(even) - 1)
    sizes = np.clip(drawn, 0.3, 1.7)
    shares = np.concatenate([[0], np.cumsum(sizes)]) / sizes.sum()
    edges: Int64[np.ndarray, " edges"] = np.round(shares * even[-1]).astype(np.int64)
    return edges


def stream_bounds(
    targets: int, streams: int
) -> tuple[Int64[np.ndarray, " streams"], Int64[np.ndarray, " streams"]]:
    """Return the start and the number of targets of each stream, longer ones first.

    >>> stream_bounds(7, 2)
    (array([0, 4]), array([4, 3]))
    """
    streams = max(1, min(streams, targets))
    bounds = -(-np.arange(streams + 1) * targets // streams)  # Rounded up.
    lengths = np.sort(np.array([end - start for start, end in pairwise(bounds)]))[::-1]
    return np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths.copy()


class Padded:
    """A store as batches of whole documents of similar length.

    Args:
        store: The tokens.
        rows: Documents per batch (B).
        window: Ids per row and step (T).
        seed: Seed of the order of batches and of equally long documents; None: by length alone.
    """

    def __init__(self, store: TokenStore, rows: int, window: int, seed: int | None = None) -> None:
        self._store, self._rows, self._window = store, rows, window
        by_length = np.sort(store.target_counts)
        # The last document of a batch is its longest, which decides the number of windows.
        last = np.minimum(np.arange(rows, len(by_length) + rows, rows), len(by_length)) - 1
        windows: Int64[np.ndarray, " batches"] = -(-by_length[last] // window)
        self.steps_per_epoch = int(windows.sum())
        self._epoch = cached_by_epoch(partial(_padded_epoch, store.target_counts, windows, seed))

    def at(self, step: int) -> Batch:
        """Return the batch of a step; the first window of each document is ``fresh``."""
        places, valid, fresh = self.places(step)
        return batch_of(self._store, places, valid, fresh)

    def places(self, step: int) -> tuple[Places, Bool[np.ndarray, "batch time"] | None, bool]:
        """Return the places of a step's ids, their mask, and whether the rows are ``fresh``."""
        epoch, index = divmod(step, self.steps_per_epoch)
        order, batch, window = self._epoch(epoch)
        first = batch[index] * self._rows
        documents = order[first : first + self._rows]
        done = window[index] * self._window
        lengths = np.clip(self._store.target_counts[documents] - done, 0, self._window)
        places, valid = padded_places(self._store.offsets[:-1][documents] - 1 + done, lengths)
        # The masked places of rows that ended in an earlier window must exist too.
        return np.minimum(places, self._store.num_targets - 1), valid, bool(done == 0)


def _padded_epoch(
    lengths: Int64[np.ndarray, " documents"],
    windows: Int64[np.ndarray, " batches"],
    seed: int | None,
    epoch: int,
) -> tuple[Int64[np.ndarray, " documents"], Steps, Steps]:
    """Return document indices by length, the batch of each step, and the window of each step.

    Args:
        lengths: Number of targets of each document.
        windows: Number of windows of each batch.
        seed: See ``order_by_length``.
        epoch: The epoch; each has another order.
    """
    documents, batches = order_by_length(lengths, len(windows), seed, epoch)
    repeats = windows[batches]
    ends = np.cumsum(repeats)
    window = np.arange(int(repeats.sum())) - np.repeat(ends - repeats, repeats)
    return documents, np.repeat(batches, repeats), window
