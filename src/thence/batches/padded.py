"""Padded documents: those of about equal length side by side, so that little is padding.

Rows are documents. All documents are put in order of length, equal lengths in an order drawn anew
for each epoch, and cut into batches; the batches come in random order. Documents longer than a
window are read window by window, each row going on where it was.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from thence.batches.batch import Batch
from thence.batches.sequences import Places, batch_of, ragged
from thence.tokens import TokenStore


@dataclass(frozen=True)
class _Epoch:
    """The steps of one epoch.

    Attributes:
        number: Which epoch.
        documents: All documents in order of length.
        batch: Which batch of them each step reads.
        window: Which window of it.
    """

    number: int
    documents: Int64[np.ndarray, " documents"]
    batch: Int64[np.ndarray, " steps"]
    window: Int64[np.ndarray, " steps"]


class Padded:
    """A store as batches of whole documents.

    Args:
        store: The tokens.
        rows: Documents that are read at once (B).
        window: Ids of each that are read at a time (T).
        seed: Of the order of documents and batches; None for the order of length alone.
    """

    def __init__(self, store: TokenStore, rows: int, window: int, seed: int | None = None) -> None:
        self._store, self._rows, self._window, self._seed = store, rows, window, seed
        by_length = np.sort(store.target_counts)
        # The longest document of a batch is its last: as many windows as that one needs.
        last = np.minimum(np.arange(rows, len(by_length) + rows, rows), len(by_length)) - 1
        self._windows: Int64[np.ndarray, " batches"] = -(-by_length[last] // window)
        self.steps_per_epoch = int(self._windows.sum())
        self._epoch = self._make_epoch(0)

    def at(self, step: int) -> Batch:
        """Return the window of a step; the first of each batch begins anew."""
        places, valid, fresh = self.places(step)
        return batch_of(self._store, places, valid, fresh)

    def places(self, step: int) -> tuple[Places, Bool[np.ndarray, "batch time"] | None, bool]:
        """Return where the ids of a step stand, which of them count, and whether they begin."""
        number, index = divmod(step, self.steps_per_epoch)
        if number != self._epoch.number:
            self._epoch = self._make_epoch(number)
        epoch = self._epoch
        first = epoch.batch[index] * self._rows
        documents = epoch.documents[first : first + self._rows]
        done = epoch.window[index] * self._window
        lengths = np.clip(self._store.target_counts[documents] - done, 0, self._window)
        places, valid = ragged(self._store.offsets[:-1][documents] - 1 + done, lengths)
        # A row that ended in an earlier window still needs places to read: its last one.
        return np.minimum(places, self._store.num_targets - 1), valid, bool(done == 0)

    def _make_epoch(self, number: int) -> _Epoch:
        counts = self._store.target_counts
        documents = np.arange(len(counts))
        batches = np.arange(len(self._windows))
        if self._seed is not None:
            random = np.random.default_rng((self._seed, number))
            documents, batches = random.permutation(documents), random.permutation(batches)
        documents = documents[np.argsort(counts[documents], kind="stable")]
        repeats = self._windows[batches]
        ends = np.cumsum(repeats)
        window = np.arange(self.steps_per_epoch) - np.repeat(ends - repeats, repeats)
        return _Epoch(number, documents, np.repeat(batches, repeats), window)
