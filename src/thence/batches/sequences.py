"""Batches of networks that read sequences: streams of running text, or padded documents.

A batch is a table of places in a token store; the target of each place is the next one.

*Streams* cut running text into parallel rows, read window by window. With two streams and windows
of two, the targets of the text ``a b c d e f g`` are read so::

    stream 0    a b | c d          the first streams hold one target more where the cut
    stream 1    e f | g            leaves a rest; every target is read exactly once

A window's rows go on where those of the window before ended, so a network that carries its state
sees a stream as one text, and learns through the window only (truncated back-propagation through
time, R. Williams and J. Peng 1990).

*Padded* batches hold documents of about equal length side by side, so that little is padding.
Documents longer than a window are read window by window, each row going on where it was.
"""

from functools import partial
from itertools import pairwise

import numpy as np

from thence.array_types import Bool, Int64
from thence.batches.batch import Batch, each_epoch
from thence.tokens import TokenStore

Places = Int64[np.ndarray, "batch time"]
Steps = Int64[np.ndarray, " steps"]


def ragged(
    starts: Int64[np.ndarray, " batch"], lengths: Int64[np.ndarray, " batch"]
) -> tuple[Places, Bool[np.ndarray, "batch time"] | None]:
    """Return the places of rows that begin at ``starts``, and which of them count (None: all).

    Where a row has ended, its last place is repeated; what stands there does not count.
    """
    time = np.arange(int(lengths.max(initial=0)))
    places = starts[:, None] + np.minimum(time, np.maximum(lengths - 1, 0)[:, None])
    if np.all(lengths == len(time)):
        return places, None
    return places, time < lengths[:, None]


def order_by_length(
    lengths: Int64[np.ndarray, " documents"], batches: int, seed: int | None, epoch: int
) -> tuple[Int64[np.ndarray, " documents"], Int64[np.ndarray, " batches"]]:
    """Return documents by length, shortest first, and the order in which their batches come.

    Args:
        lengths: Of the documents.
        batches: How many batches they are cut into.
        seed: Of the order of batches and of equally long documents; None: as they are.
        epoch: Each has another order.
    """
    documents, order = np.arange(len(lengths)), np.arange(batches)
    if seed is not None:
        random = np.random.default_rng((seed, epoch))
        documents, order = random.permutation(documents), random.permutation(order)
    return documents[np.argsort(lengths[documents], kind="stable")], order


def batch_of(
    store: TokenStore, places: Places, valid: Bool[np.ndarray, "batch time"] | None, fresh: bool
) -> Batch:
    """Return the batch that reads the store at the given places.

    Args:
        store: The tokens.
        places: Where in ``store.ids`` each id stands; its target is the next one.
        valid: Which of them count.
        fresh: Whether the rows begin anew.
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
    """A store as streams of equal length, side by side.

    Args:
        store: The tokens.
        streams: How many rows are read at once (B).
        window: Ids that are read at a time (T).
        seed: Of the window lengths, if they vary.
        vary: Draw the lengths of windows anew for each epoch, so that they are cut elsewhere; as
            many as without (S. Merity et al. 2018, "Regularizing and optimizing LSTM language
            models", section 4.1).
    """

    def __init__(
        self, store: TokenStore, streams: int, window: int, seed: int = 0, vary: bool = False
    ) -> None:
        self._store = store
        self.starts, self.lengths = stream_bounds(store.num_targets, streams)
        longest = int(self.lengths.max(initial=0))
        self.steps_per_epoch = max(1, -(-longest // window))
        even = np.minimum(np.arange(self.steps_per_epoch + 1) * window, longest)
        # Where the windows of an epoch begin and end in their streams.
        self._cuts = each_epoch(partial(_varied, even, seed) if vary else lambda epoch: even)

    def at(self, step: int) -> Batch:
        """Return the window of a step; the first of an epoch begins anew."""
        places, valid, fresh = self.places(step)
        return batch_of(self._store, places, valid, fresh)

    def places(self, step: int) -> tuple[Places, Bool[np.ndarray, "batch time"] | None, bool]:
        """Return where the ids of a step stand, which of them count, and whether they begin."""
        epoch, index = divmod(step, self.steps_per_epoch)
        begin, end = self._cuts(epoch)[index : index + 2]
        lengths = np.clip(self.lengths, begin, end) - begin
        places, valid = ragged(self.starts + begin, lengths)
        return np.minimum(places, self._store.num_targets - 1), valid, index == 0


def _varied(
    even: Int64[np.ndarray, " edges"], seed: int, epoch: int
) -> Int64[np.ndarray, " edges"]:
    """Return the edges of as many windows as before, drawn anew for each epoch."""
    drawn = np.random.default_rng((seed, epoch)).normal(1, 0.15, len(even) - 1)
    sizes = np.clip(drawn, 0.3, 1.7)
    shares = np.concatenate([[0], np.cumsum(sizes)]) / sizes.sum()
    edges: Int64[np.ndarray, " edges"] = np.round(shares * even[-1]).astype(np.int64)
    return edges


def stream_bounds(
    targets: int, streams: int
) -> tuple[Int64[np.ndarray, " streams"], Int64[np.ndarray, " streams"]]:
    """Return where each stream begins and how many targets it has, longer ones first.

    >>> stream_bounds(7, 2)
    (array([0, 4]), array([4, 3]))
    """
    streams = max(1, min(streams, targets))
    bounds = -(-np.arange(streams + 1) * targets // streams)  # Rounded up.
    lengths = np.sort(np.array([end - start for start, end in pairwise(bounds)]))[::-1]
    return np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths.copy()


class Padded:
    """A store as batches of whole documents.

    Args:
        store: The tokens.
        rows: Documents that are read at once (B).
        window: Ids of each that are read at a time (T).
        seed: Of the order of documents and batches; None for the order of length alone.
    """

    def __init__(self, store: TokenStore, rows: int, window: int, seed: int | None = None) -> None:
        self._store, self._rows, self._window = store, rows, window
        by_length = np.sort(store.target_counts)
        # The longest document of a batch is its last: as many windows as that one needs.
        last = np.minimum(np.arange(rows, len(by_length) + rows, rows), len(by_length)) - 1
        windows: Int64[np.ndarray, " batches"] = -(-by_length[last] // window)
        self.steps_per_epoch = int(windows.sum())
        self._epoch = each_epoch(partial(_padded_epoch, store.target_counts, windows, seed))

    def at(self, step: int) -> Batch:
        """Return the window of a step; the first of each batch begins anew."""
        places, valid, fresh = self.places(step)
        return batch_of(self._store, places, valid, fresh)

    def places(self, step: int) -> tuple[Places, Bool[np.ndarray, "batch time"] | None, bool]:
        """Return where the ids of a step stand, which of them count, and whether they begin."""
        epoch, index = divmod(step, self.steps_per_epoch)
        order, batch, window = self._epoch(epoch)
        first = batch[index] * self._rows
        documents = order[first : first + self._rows]
        done = window[index] * self._window
        lengths = np.clip(self._store.target_counts[documents] - done, 0, self._window)
        places, valid = ragged(self._store.offsets[:-1][documents] - 1 + done, lengths)
        # A row that ended in an earlier window still needs places to read: its last one.
        return np.minimum(places, self._store.num_targets - 1), valid, bool(done == 0)


def _padded_epoch(
    lengths: Int64[np.ndarray, " documents"],
    windows: Int64[np.ndarray, " batches"],
    seed: int | None,
    epoch: int,
) -> tuple[Int64[np.ndarray, " documents"], Steps, Steps]:
    """Return all documents by length, which batch of them each step reads, and its window of it.

    Args:
        lengths: Targets of each document.
        windows: How many windows each batch has.
        seed: See ``order_by_length``.
        epoch: Each has another order.
    """
    documents, batches = order_by_length(lengths, len(windows), seed, epoch)
    repeats = windows[batches]
    ends = np.cumsum(repeats)
    window = np.arange(int(repeats.sum())) - np.repeat(ends - repeats, repeats)
    return documents, np.repeat(batches, repeats), window
