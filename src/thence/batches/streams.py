"""Streams: running text cut into parallel streams, read window by window.

With two streams and windows of two, the targets of the text ``a b c d e f g`` are read so::

    stream 0    a b | c d          the first streams hold one target more where the cut
    stream 1    e f | g            leaves a rest; every target is read exactly once

A window's rows go on where those of the window before ended, so a network that carries its state
sees the stream as one text, and learns through the window only (truncated back-propagation
through time, R. Williams and J. Peng 1990).
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int64

from thence.batches.batch import Batch
from thence.batches.sequences import Places, batch_of, ragged
from thence.tokens import TokenStore


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
        self._store, self._seed, self._vary = store, seed, vary
        self.starts, self.lengths = stream_bounds(store.num_targets, streams)
        longest = int(self.lengths.max(initial=0))
        self.steps_per_epoch = max(1, -(-longest // window))
        self._even = np.minimum(np.arange(self.steps_per_epoch + 1) * window, longest)
        self._cuts = (-1, self._even)

    def at(self, step: int) -> Batch:
        """Return the window of a step; the first of an epoch begins anew."""
        places, valid, fresh = self.places(step)
        return batch_of(self._store, places, valid, fresh)

    def places(self, step: int) -> tuple[Places, Bool[np.ndarray, "batch time"] | None, bool]:
        """Return where the ids of a step stand, which of them count, and whether they begin."""
        epoch, index = divmod(step, self.steps_per_epoch)
        begin, end = self._cuts_of(epoch)[index : index + 2]
        lengths = np.clip(self.lengths, begin, end) - begin
        places, valid = ragged(self.starts + begin, lengths)
        return np.minimum(places, self._store.num_targets - 1), valid, index == 0

    def _cuts_of(self, epoch: int) -> Int64[np.ndarray, " edges"]:
        """Return where the windows of an epoch begin and end in their streams."""
        if not self._vary:
            return self._even
        if self._cuts[0] != epoch:
            random = np.random.default_rng((self._seed, epoch))
            sizes = np.clip(random.normal(1, 0.15, self.steps_per_epoch), 0.3, 1.7)
            shares = np.concatenate([[0], np.cumsum(sizes)]) / sizes.sum()
            self._cuts = (epoch, np.round(shares * self._even[-1]).astype(np.int64))
        return self._cuts[1]


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
