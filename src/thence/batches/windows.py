"""Fixed windows: every target of a store with the ``context`` ids before it.

Documents are separated by ``context`` boundaries, so that a gather of neighbouring positions gives
a context that never reaches into another document. With context 3 and boundary ``|``::

    padded    |  |  |  a  b  |  |  |  c  |
    target             ^                      its context is the three ids to its left: | | |

With carried context (running text) there is one boundary between documents, and the context reaches
across it.

A short context over a small alphabet recurs thousands of times. A network predicts the same
distribution each time, so the loss of all its occurrences is one forward pass weighted by counts:
the names of the tutorial have 182,625 examples of context 3 but only 5,438 distinct contexts, a
thirtieth of the work for the same loss and gradient. If contexts recur often enough, training reads
the distinct ones.

The batches of an epoch depend only on the seed and the epoch, so a resumed training continues with
the same batches.
"""

from dataclasses import dataclass

import numpy as np

from thence.array_types import Float32, Int64, Integer, UInt
from thence.batches.batch import Array, Batch, Batches, epoch_orders
from thence.errors import SettingError
from thence.tokens import TokenStore


@dataclass(frozen=True)
class Windows:
    """All (context, target) examples of a token store.

    Attributes:
        padded: The ids with ``context`` boundaries before each document.
        positions: Index of each target in ``padded``.
        context: Number of ids in each context (C).
    """

    padded: UInt[np.ndarray, " padded"]
    positions: Integer[np.ndarray, " targets"]
    context: int

    def __len__(self) -> int:
        return len(self.positions)

    def gather(
        self, chosen: Integer[np.ndarray, " batch"] | slice
    ) -> Int64[np.ndarray, "batch {self.context}+1"]:
        """Return the chosen examples, each a context followed by its target, shape (B, C + 1)."""
        window = np.arange(-self.context, 1)
        return self.padded[self.positions[chosen][:, None] + window].astype(np.int64)


def windows(
    store: TokenStore, context: int, carry_context: bool = False, whole: bool = False
) -> Windows:
    """Cut a store into one window per target.

    Args:
        store: The tokens.
        context: Number of ids in each context, at least 1.
        carry_context: Let contexts reach into the documents before.
        whole: Leave out the ends of documents, and contexts that reach before a document's start.
    """
    gap = 0 if carry_context else context - 1
    # The smallest signed type that holds all positions, which halves the memory of most stores.
    position_type = np.min_scalar_type(-(store.num_targets + context + gap * store.num_documents))
    positions = np.arange(context, context + store.num_targets, dtype=position_type)
    if gap:
        document = np.arange(store.num_documents, dtype=position_type)
        positions += np.repeat(gap * document, store.target_counts)
    length = int(positions[-1]) + 1 if len(positions) else context
    padded = np.full(length, store.boundary_id, store.ids.dtype)
    padded[positions] = store.targets
    if whole:
        positions = positions[(store.places >= context) & (store.targets != store.boundary_id)]
    return Windows(padded, positions, context)


MAX_TABLE_CELLS = 1 << 24
"""Largest number of cells of the table of counts: 64 MB of 32-bit numbers."""
MIN_REPEATS = 2
"""Distinct contexts are used only if they recur this often on average; else the table costs more
than it saves."""


@dataclass(frozen=True)
class DistinctWindows:
    """The distinct contexts of a store, most frequent first.

    Attributes:
        contexts: One context per row, shape (U, C).
        counts: How often each id follows it, shape (U, V).
    """

    contexts: Int64[np.ndarray, "distinct context"]
    counts: Float32[np.ndarray, "distinct vocab"]


def distinct_windows(
    store: TokenStore,
    context: int,
    vocabulary_size: int,
    carry_context: bool = False,
    max_cells: int = MAX_TABLE_CELLS,
    whole: bool = False,
) -> DistinctWindows | None:
    """Return the distinct contexts of a store; None if that would not save work.

    Args:
        store: The tokens.
        context: Number of ids in each context (C).
        vocabulary_size: Number of ids (V).
        carry_context: Let contexts reach into the documents before.
        max_cells: Largest number of cells of the table of counts.
        whole: See ``windows``.
    """
    cut = windows(store, context, carry_context, whole)
    keys = context_keys(cut, vocabulary_size)
    if keys is None:
        return None
    found, row, repeats = np.unique(keys, return_inverse=True, return_counts=True)
    if len(found) * MIN_REPEATS > len(cut) or len(found) * vocabulary_size > max_cells:
        return None
    cells = row.astype(np.int64) * vocabulary_size + cut.padded[cut.positions]
    counts = np.bincount(cells, minlength=len(found) * vocabulary_size)
    by_frequency = np.argsort(-repeats, kind="stable")
    powers = vocabulary_size ** np.arange(context - 1, -1, -1, dtype=np.int64)
    contexts = found[by_frequency, None] // powers % vocabulary_size
    table = counts.reshape(len(found), vocabulary_size)[by_frequency]
    return DistinctWindows(contexts, table.astype(np.float32))


def context_keys(cut: Windows, vocabulary_size: int) -> Int64[np.ndarray, " targets"] | None:
    """Return each context as one number in base V; None if that needs more than 62 bits."""
    if vocabulary_size**cut.context >= 1 << 62:
        return None
    keys = np.zeros(len(cut), np.int64)
    for lag in range(cut.context, 0, -1):
        keys = keys * vocabulary_size + cut.padded[cut.positions - lag]
    return keys


def group_by_context(
    cut: Windows, vocabulary_size: int
) -> tuple[Int64[np.ndarray, " targets"], Int64[np.ndarray, " bounds"]]:
    """Group the targets of a store by their context.

    Returns:
        The indices of the targets, those with the same context next to each other; and where each
        group begins among them, with the total. If contexts are too long for ``context_keys``,
        each target is a group of its own.
    """
    keys = context_keys(cut, vocabulary_size)
    if keys is None:
        return np.arange(len(cut)), np.arange(len(cut) + 1)
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))  # No key is -1.
    return order, np.append(starts, len(cut))


class ShuffledWindows:
    """Every example once an epoch, in an order drawn from the seed and the epoch.

    Args:
        store: The tokens.
        context: Number of ids in each context.
        batch_size: Examples per step; the last batch of an epoch may be smaller.
        seed: Seed of the order.
        carry_context: Let contexts reach into the documents before.
        whole: See ``windows``.
    """

    def __init__(
        self,
        store: TokenStore,
        context: int,
        batch_size: int,
        seed: int,
        carry_context: bool,
        whole: bool = False,
    ) -> None:
        self._windows = windows(store, context, carry_context, whole)
        self._batch_size = batch_size
        self._order = epoch_orders(len(self._windows), seed)
        self.steps_per_epoch = -(-len(self._windows) // batch_size)

    def at(self, step: int) -> Batch:
        """Return the batch of a step."""
        epoch, index = divmod(step, self.steps_per_epoch)
        first = index * self._batch_size
        examples = self._windows.gather(self._order(epoch)[first : first + self._batch_size])
        size = len(examples)
        contexts, targets = examples[:, :-1], examples[:, -1:]
        return _window_batch(contexts, targets, float(size), float(size))


class StratifiedContexts:
    """Every distinct context once an epoch, the frequent ones at every step (stratified sampling).

    The few most frequent contexts that have half of all targets are in every batch with their full
    counts. The others come once an epoch, with their counts multiplied by the steps per epoch: each
    step is then an unbiased estimate of the loss on the whole text, with a small variance.

    Args:
        distinct: The distinct contexts, most frequent first, with the counts of their next ids.
        batch_size: Contexts per step.
        seed: Seed of the order.
    """

    def __init__(self, distinct: DistinctWindows, batch_size: int, seed: int) -> None:
        self._distinct = distinct
        targets = distinct.counts.sum(axis=1, dtype=np.float64)
        self._total = float(targets.sum())
        half = int(np.searchsorted(np.cumsum(targets), self._total / 2)) + 1
        self._frequent = np.arange(min(half, len(targets), max(1, batch_size // 2)))
        rare = len(targets) - len(self._frequent)
        self.steps_per_epoch = max(1, -(-rare // max(1, batch_size - len(self._frequent))))
        self._order = epoch_orders(rare, seed)

    def at(self, step: int) -> Batch:
        """Return the batch of a step."""
        epoch, index = divmod(step, self.steps_per_epoch)
        rare = self._order(epoch)[index :: self.steps_per_epoch] + len(self._frequent)
        chosen = np.concatenate([self._frequent, rare])
        counts = self._distinct.counts[chosen]
        counts[len(self._frequent) :] *= self.steps_per_epoch
        return _window_batch(
            self._distinct.contexts[chosen],
            counts[:, None, :],
            self._total,
            self._total / self.steps_per_epoch,
        )


def _window_batch(
    contexts: Int64[np.ndarray, "batch context"], targets: Array, weight: float, tokens: float
) -> Batch:
    return Batch(contexts[:, -1:], targets, weight, tokens, before=contexts[:, :-1])


def window_batches(
    store: TokenStore,
    context: int,
    vocabulary_size: int,
    batch_size: int,
    seed: int,
    carry_context: bool,
    whole: bool = False,
) -> Batches:
    """Return the batches of a store: of distinct contexts if that saves work, else of windows.

    Raises:
        SettingError: If ``whole`` is set and there is no whole context.
    """
    if whole and not len(windows(store, context, carry_context, whole)):
        raise SettingError(
            f"With `whole_contexts` there is nothing to train on: no document has {context} tokens "
            "and another after them. Use a smaller `context`."
        )
    distinct = distinct_windows(store, context, vocabulary_size, carry_context, whole=whole)
    if distinct is not None:
        return StratifiedContexts(distinct, batch_size, seed)
    return ShuffledWindows(store, context, batch_size, seed, carry_context, whole)
