"""Batches of labelled documents: padded rows of ids, or bags of features.

*Rows*, for networks that read sequences, hold documents of about equal length side by side; longer
ones than ``max_length`` are cut there.

*Bags* are sorted twice, by document and by feature. A step sums rows of a table into documents, and
on the way back sums documents into rows; with each order prepared beforehand both are the same
quick operation, without padding, without two additions to one place at once, and so with the same
result every time.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from thence.array_types import Float32, Int32, Int64
from thence.batches.bags import Bags
from thence.batches.batch import Array, each_epoch, epoch_orders
from thence.batches.sequences import order_by_length, ragged
from thence.corpus.documents import Labels
from thence.tokens import TokenStore
from thence.tokens.parallel import in_threads


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
        self._store, self._rows = store, rows
        self._lengths = np.minimum(store.target_counts - 1, max_length)
        self._targets: Array = np.zeros(documents, np.int64)
        if labels is not None:
            self._targets = labels.matrix() if labels.multilabel else labels.single
        ones = np.ones(documents, np.float32)
        self._sample_weight = ones if sample_weight is None else sample_weight
        self.steps_per_epoch = -(-documents // rows)
        self._order = each_epoch(
            partial(order_by_length, self._lengths, self.steps_per_epoch, seed)
        )

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
        epoch, index = divmod(step, self.steps_per_epoch)
        documents, batches = self._order(epoch)
        first = batches[index] * self._rows
        return documents[first : first + self._rows]


def cut_share(store: TokenStore, max_length: int) -> tuple[float, int]:
    """Return which share of the tokens is never read, and how many documents lose some."""
    lengths = store.target_counts - 1
    lost = np.maximum(lengths - max_length, 0)
    return float(lost.sum() / max(lengths.sum(), 1)), int(np.count_nonzero(lost))


MAX_KEPT_FEATURES = 1 << 27
"""Features of a training set up to which all batches are kept, so that each is sorted once."""


@dataclass(frozen=True)
class BagBatch:
    """What one step reads.

    Attributes:
        rows: Of all documents, one document after another.
        starts: Where each document's begin, shape (B,).
        sizes: How many each document has, shape (B,).
        touched: The distinct rows, rising, shape (U,).
        owners: The documents that have each of them, one row after another.
        owner_starts: Where each row's begin, shape (U,).
        order: Where in ``rows`` each of the owners stands.
        targets: The label of each document, shape (B,), or which it has, shape (B, C).
        sample_weight: How much each document counts, shape (B,).
        weight: The summed loss divided by this estimates the mean loss per document.
        tokens: Features that are read.
        fresh: Always: no document goes on from the batch before.
    """

    rows: Int32[np.ndarray, " features"]
    starts: Int32[np.ndarray, " batch"]
    sizes: Int64[np.ndarray, " batch"]
    touched: Int64[np.ndarray, " touched"]
    owners: Int32[np.ndarray, " features"]
    owner_starts: Int32[np.ndarray, " touched"]
    order: Int32[np.ndarray, " features"]
    targets: Array
    sample_weight: Float32[np.ndarray, " batch"]
    weight: float
    tokens: float
    fresh: bool = True

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, chosen: slice) -> "BagBatch":
        """Return the batch with some of its documents only; weight and tokens stay those of all."""
        bags = Bags(self.rows, np.append(self.starts, len(self.rows)).astype(np.int64))
        indices = np.arange(len(self))[chosen]
        sample_weight = self.sample_weight[chosen]
        return bag_batch(
            bags.take(indices), self.targets[chosen], sample_weight, self.weight, self.tokens
        )


def bag_batch(
    bags: Bags,
    targets: Array,
    sample_weight: Float32[np.ndarray, " batch"],
    weight: float,
    tokens: float,
) -> BagBatch:
    """Sort some documents' rows for a step."""
    places = np.arange(len(bags.features))
    # One sort of 64-bit keys is several times as fast as an argsort of the rows.
    keys = (bags.features.astype(np.int64) << 32) + places
    keys.sort()
    order = (keys & 0xFFFFFFFF).astype(np.int32)
    rows = keys >> 32
    is_first = np.ones(len(rows), bool)
    is_first[1:] = rows[1:] != rows[:-1]
    owner_starts = np.flatnonzero(is_first)
    owners = np.repeat(np.arange(len(bags.sizes), dtype=np.int32), bags.sizes)
    return BagBatch(
        rows=bags.features,
        starts=bags.offsets[:-1].astype(np.int32),
        sizes=bags.sizes,
        touched=rows[owner_starts],
        owners=owners[order],
        owner_starts=owner_starts.astype(np.int32),
        order=order,
        targets=targets,
        sample_weight=sample_weight,
        weight=weight,
        tokens=tokens,
    )


@dataclass(frozen=True)
class DocumentBatch:
    """Which documents one step reads, where their features are at hand.

    Attributes:
        documents: Their numbers, shape (B,).
        weight: The summed loss divided by this estimates the mean loss per document.
        tokens: Features that are read.
    """

    documents: Int64[np.ndarray, " batch"]
    weight: float
    tokens: float

    def __len__(self) -> int:
        return len(self.documents)

    def take(self, chosen: slice) -> "DocumentBatch":
        """Return the batch with some of its documents only; weight and tokens stay those of all."""
        return replace(self, documents=self.documents[chosen])


class DocumentBatches:
    """Documents in batches: the same together in every epoch, in a new order.

    Args:
        sizes: Features of each document.
        sample_weight: How much each counts.
        documents: That are read at once (B).
        seed: Of what is together, and of the order.
    """

    def __init__(
        self,
        sizes: Int64[np.ndarray, " documents"],
        sample_weight: Float32[np.ndarray, " documents"],
        documents: int,
        seed: int,
    ) -> None:
        self._sizes, self._sample_weight, self._size = sizes, sample_weight, documents
        self.steps_per_epoch = -(-len(sizes) // documents)
        self._together = np.random.default_rng(seed).permutation(len(sizes))
        self._order = epoch_orders(self.steps_per_epoch, seed)

    def number(self, step: int) -> int:
        """Return which of the batches of an epoch a step reads."""
        epoch, index = divmod(step, self.steps_per_epoch)
        return int(self._order(epoch)[index])

    def numbered(self, number: int) -> DocumentBatch:
        """Return one of the batches of an epoch."""
        chosen = self._together[number * self._size : (number + 1) * self._size]
        weight, tokens = self._sample_weight[chosen].sum(), self._sizes[chosen].sum()
        return DocumentBatch(chosen, float(weight), float(tokens))

    def at(self, step: int) -> DocumentBatch:
        """Return the batch of a step, counted from 0 over all epochs."""
        return self.numbered(self.number(step))


class LabelledBags:
    """Labelled bags in the batches of ``DocumentBatches``, each sorted by row as well.

    Args:
        bags: Rows of documents.
        labels: Of each document.
        sample_weight: How much each document counts.
        documents: That are read at once (B).
        seed: Of what is together, and of the order.
    """

    def __init__(
        self,
        bags: Bags,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        documents: int,
        seed: int,
    ) -> None:
        self._bags, self._sample_weight = bags, sample_weight
        self._targets: Array = labels.matrix() if labels.multilabel else labels.single
        self._batches = DocumentBatches(bags.sizes, sample_weight, documents, seed)
        self.steps_per_epoch = self._batches.steps_per_epoch
        numbers = range(self.steps_per_epoch if len(bags.features) < MAX_KEPT_FEATURES else 0)
        self._kept = list(in_threads(self._make, numbers))

    def at(self, step: int) -> BagBatch:
        """Return the batch of a step, counted from 0 over all epochs."""
        number = self._batches.number(step)
        return self._kept[number] if self._kept else self._make(number)

    def _make(self, number: int) -> BagBatch:
        batch = self._batches.numbered(number)
        chosen = batch.documents
        return bag_batch(
            self._bags.take(chosen),
            self._targets[chosen],
            self._sample_weight[chosen],
            batch.weight,
            batch.tokens,
        )
