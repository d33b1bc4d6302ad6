"""Batches of labelled documents: padded rows of ids, or bags of features.

*Rows*, for networks that read sequences, have documents of about equal length side by side,
truncated to ``max_length`` tokens.

*Bags* are sorted twice, by document and by row of the embedding table. The forward pass sums rows
into documents, and the backward pass sums the gradients of documents into rows. With both orders
prepared beforehand, each is the same fast segment sum, without padding or atomic additions,
so results are deterministic.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from thence.array_types import Float32, Int32, Int64
from thence.batches.bags import Bags
from thence.batches.batch import Array, cached_by_epoch, epoch_orders
from thence.batches.sequences import order_by_length, padded_places
from thence.corpus.documents import Labels
from thence.tokens import TokenStore
from thence.tokens.parallel import in_threads


@dataclass(frozen=True)
class LabelledBatch:
    """A batch of padded documents for a classifier.

    Attributes:
        ids: Token ids, shape (B, T); arbitrary ids after a document's end, to be masked.
        lengths: Number of tokens of each document, from 0 to T, shape (B,).
        targets: The label of each document, shape (B,); if multilabel, 1 for each label that it
            has and 0 for the others, shape (B, C).
        sample_weight: Weight of each document in the loss, shape (B,).
        weight: The summed loss divided by this estimates the mean loss per document.
        tokens: Number of tokens.
        fresh: Always True: no document continues from the last batch.
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
        """Return the batch with a slice of its rows; weight and tokens stay those of all."""
        return replace(
            self,
            ids=self.ids[chosen],
            lengths=self.lengths[chosen],
            targets=self.targets[chosen],
            sample_weight=self.sample_weight[chosen],
        )


class LabelledRows:
    """Labelled documents in batches of similar length.

    Args:
        store: The tokens.
        labels: The labels of each document; without them all targets are 0.
        rows: Documents per batch (B).
        max_length: Documents are truncated to this many tokens.
        sample_weight: Weight of each document in the loss; None: 1 each.
        seed: Seed of the order of batches and of equally long documents; None: by length alone.
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
        self._order = cached_by_epoch(
            partial(order_by_length, self._lengths, self.steps_per_epoch, seed)
        )

    def at(self, step: int) -> LabelledBatch:
        """Return the batch of a step, counted from 0 over all epochs."""
        chosen = self.documents(step)
        lengths = self._lengths[chosen]
        places, _ = padded_places(self._store.offsets[:-1][chosen], lengths)
        sample_weight = self._sample_weight[chosen]
        return LabelledBatch(
            # The place of an empty last document is past the end of the store.
            self._store.ids[np.minimum(places, len(self._store.ids) - 1)].astype(np.int64),
            lengths,
            self._targets[chosen],
            sample_weight,
            float(sample_weight.sum()),
            float(lengths.sum()),
        )

    def documents(self, step: int) -> Int64[np.ndarray, " batch"]:
        """Return the indices of the documents of a step, shortest first."""
        epoch, index = divmod(step, self.steps_per_epoch)
        documents, batches = self._order(epoch)
        first = batches[index] * self._rows
        return documents[first : first + self._rows]


def cut_share(store: TokenStore, max_length: int) -> tuple[float, int]:
    """Return the share of tokens lost by truncation, and the number of truncated documents."""
    lengths = store.target_counts - 1
    lost = np.maximum(lengths - max_length, 0)
    return float(lost.sum() / max(lengths.sum(), 1)), int(np.count_nonzero(lost))


MAX_KEPT_FEATURES = 1 << 27
"""Features of a training set up to which all batches are kept in memory, sorted only once."""


@dataclass(frozen=True)
class BagBatch:
    """A batch of bags, sorted by document and by row of the embedding table.

    Attributes:
        rows: The rows of all documents, one document after another, shape (N,).
        starts: Where each document's rows begin, shape (B,).
        sizes: Number of rows of each document, shape (B,).
        touched: The distinct rows, ascending, shape (U,).
        owners: The document of each occurrence of a row, sorted by row, shape (N,).
        owner_starts: Where the occurrences of each distinct row begin in ``owners``, shape (U,).
        order: The index in ``rows`` of each element of ``owners``, shape (N,).
        targets: The label of each document, shape (B,); if multilabel, a mask, shape (B, C).
        sample_weight: Weight of each document in the loss, shape (B,).
        weight: The summed loss divided by this estimates the mean loss per document.
        tokens: Number of features.
        fresh: Always True: no document continues from the last batch.
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
        """Return the batch with a slice of its documents; weight and tokens stay those of all."""
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
    """Return the batch of some bags, with their rows sorted."""
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
    """A batch as indices of documents, for a learner that has all their features.

    Attributes:
        documents: Indices of the documents, shape (B,).
        weight: The summed loss divided by this estimates the mean loss per document.
        tokens: Number of features.
    """

    documents: Int64[np.ndarray, " batch"]
    weight: float
    tokens: float

    def __len__(self) -> int:
        return len(self.documents)

    def take(self, chosen: slice) -> "DocumentBatch":
        """Return the batch with a slice of its documents; weight and tokens stay those of all."""
        return replace(self, documents=self.documents[chosen])


class DocumentBatches:
    """Random batches of documents: the same batches in every epoch, in a new order.

    Args:
        sizes: Number of features of each document.
        sample_weight: Weight of each document in the loss.
        documents: Documents per batch (B).
        seed: Seed of the batches and of their order.
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
        self._shuffled = np.random.default_rng(seed).permutation(len(sizes))
        self._order = epoch_orders(self.steps_per_epoch, seed)

    def batch_index(self, step: int) -> int:
        """Return the index of a step's batch among the batches of an epoch."""
        epoch, index = divmod(step, self.steps_per_epoch)
        return int(self._order(epoch)[index])

    def batch(self, index: int) -> DocumentBatch:
        """Return a batch by its index among the batches of an epoch."""
        chosen = self._shuffled[index * self._size : (index + 1) * self._size]
        weight, tokens = self._sample_weight[chosen].sum(), self._sizes[chosen].sum()
        return DocumentBatch(chosen, float(weight), float(tokens))

    def at(self, step: int) -> DocumentBatch:
        """Return the batch of a step, counted from 0 over all epochs."""
        return self.batch(self.batch_index(step))


class LabelledBags:
    """Labelled bags in the batches of ``DocumentBatches``.

    Args:
        bags: The rows of each document.
        labels: The labels of each document.
        sample_weight: Weight of each document in the loss.
        documents: Documents per batch (B).
        seed: Seed of the batches and of their order.
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
        indices = range(self.steps_per_epoch if len(bags.features) < MAX_KEPT_FEATURES else 0)
        self._kept = list(in_threads(self._make, indices))

    def at(self, step: int) -> BagBatch:
        """Return the batch of a step, counted from 0 over all epochs."""
        index = self._batches.batch_index(step)
        return self._kept[index] if self._kept else self._make(index)

    def _make(self, index: int) -> BagBatch:
        batch = self._batches.batch(index)
        chosen = batch.documents
        return bag_batch(
            self._bags.take(chosen),
            self._targets[chosen],
            self._sample_weight[chosen],
            batch.weight,
            batch.tokens,
        )
