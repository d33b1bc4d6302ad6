"""Labelled documents for networks that read sequences: those of about equal length side by side.

All documents are put in order of length, equal lengths in an order drawn anew for each epoch, and
cut into batches, which come in random order. A longer document than ``max_length`` is cut there.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from thence.batches.sequences import ragged
from thence.corpus.labels import Labels
from thence.tokens import TokenStore

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class LabelledBatch:
    """What one step of a classifier reads.

    Attributes:
        ids: Token ids, shape (B, T); what stands after a document's end is any id and must not
            count.
        lengths: Tokens of each document, from 0 to T, shape (B,).
        targets: The label of each document, shape (B,); or, where there may be several, 1 for
            each label it has and else 0, shape (B, C).
        sample_weight: How much each document counts, shape (B,).
        weight: The summed loss divided by this estimates the mean loss per document.
        tokens: Tokens that are read.
        fresh: Always: no document goes on from the batch before.
    """

    ids: Int64[np.ndarray, "batch time"]
    lengths: Int64[np.ndarray, " batch"]
    targets: Array
    sample_weight: Float32[np.ndarray, " batch"]
    weight: float
    tokens: float
    fresh: bool = True

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: slice) -> "LabelledBatch":
        """Return the batch with some of its rows only; weight and tokens stay those of all."""
        return replace(
            self,
            ids=self.ids[chosen],
            lengths=self.lengths[chosen],
            targets=self.targets[chosen],
            sample_weight=self.sample_weight[chosen],
        )


class LabelledRows:
    """Labelled documents as batches, in order of length or nearly.

    Args:
        store: The tokens.
        labels: Of each document; without them all targets are 0.
        rows: Documents that are read at once (B).
        max_length: Tokens of a document that are read, its first ones.
        sample_weight: How much each document counts; None: all the same.
        seed: Of the order of documents and batches; None for the order of length alone.
    """

    def __init__(
        self,
        store: TokenStore,
        labels: Labels | None,
        rows: int,
        max_length: int,
        sample_weight: Float32[np.ndarray, " documents"] | None = None,
        seed: int | None = None,
    ) -> None:
        documents = store.num_documents
        self._store, self._rows, self._seed = store, rows, seed
        self._lengths = np.minimum(store.target_counts - 1, max_length)
        self._targets: Array = np.zeros(documents, np.int64)
        if labels is not None:
            self._targets = labels.matrix() if labels.multilabel else labels.single
        ones = np.ones(documents, np.float32)
        self._sample_weight = ones if sample_weight is None else sample_weight
        self.steps_per_epoch = -(-documents // rows)
        self._number, self._order, self._batches = -1, np.zeros(0, np.int64), np.zeros(0, np.int64)

    def at(self, step: int) -> LabelledBatch:
        """Return the batch of a step, counted from 0 over all epochs."""
        chosen = self.documents(step)
        lengths = self._lengths[chosen]
        places, _ = ragged(self._store.offsets[:-1][chosen], lengths)
        sample_weight = self._sample_weight[chosen]
        return LabelledBatch(
            # An empty document at the very end has no place of its own.
            self._store.ids[np.minimum(places, len(self._store.ids) - 1)].astype(np.int64),
            lengths,
            self._targets[chosen],
            sample_weight,
            float(sample_weight.sum()),
            float(lengths.sum()),
        )

    def documents(self, step: int) -> Int64[np.ndarray, " batch"]:
        """Return which documents a step reads, shortest first."""
        number, index = divmod(step, self.steps_per_epoch)
        if number != self._number:
            self._draw(number)
        first = self._batches[index] * self._rows
        return self._order[first : first + self._rows]

    def _draw(self, number: int) -> None:
        documents, batches = np.arange(len(self._lengths)), np.arange(self.steps_per_epoch)
        if self._seed is not None:
            random = np.random.default_rng((self._seed, number))
            documents, batches = random.permutation(documents), random.permutation(batches)
        self._number, self._batches = number, batches
        self._order = documents[np.argsort(self._lengths[documents], kind="stable")]


def cut_share(store: TokenStore, max_length: int) -> tuple[float, int]:
    """Return which share of the tokens is never read, and how many documents lose some.

    Args:
        store: The tokens.
        max_length: Tokens of a document that are read, its first ones.
    """
    lengths = store.target_counts - 1
    lost = np.maximum(lengths - max_length, 0)
    return float(lost.sum() / max(lengths.sum(), 1)), int(np.count_nonzero(lost))
