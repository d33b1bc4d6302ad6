"""Minibatches of windows in random order, found by the number of the step alone.

The order of an epoch depends only on the seed and the epoch, so a resumed training continues
with exactly the batches that would have come.
"""

import numpy as np
from jaxtyping import Int64

from thence.batches.batch import Array, Batch, Batches, EpochOrder
from thence.batches.distinct import DistinctWindows, distinct_windows
from thence.batches.windows import windows
from thence.tokens import TokenStore


class ShuffledWindows:
    """Every example once an epoch, in an order drawn from the seed and the epoch.

    Args:
        store: The tokens.
        context: Ids in each context.
        batch_size: Examples per step; the last batch of an epoch may be smaller.
        seed: Seed of the order.
        carry_context: Let contexts reach into the documents before.
    """

    def __init__(
        self, store: TokenStore, context: int, batch_size: int, seed: int, carry_context: bool
    ) -> None:
        self._windows = windows(store, context, carry_context)
        self._batch_size = batch_size
        self._order = EpochOrder(len(self._windows), seed)
        self.steps_per_epoch = -(-len(self._windows) // batch_size)

    def at(self, step: int) -> Batch:
        """Return the batch of a step."""
        epoch, index = divmod(step, self.steps_per_epoch)
        first = index * self._batch_size
        examples = self._windows.gather(self._order.of(epoch)[first : first + self._batch_size])
        size = len(examples)
        contexts, targets = examples[:, :-1], examples[:, -1:]
        return _window_batch(contexts, targets, float(size), float(size))


class StratifiedContexts:
    """Every distinct context once an epoch, the frequent ones at every step.

    The few most frequent contexts that together hold half of all targets are read at every step
    with their full counts, the others in turn with their counts scaled up: each step then
    estimates the loss on the whole text, with a small variance.

    Args:
        distinct: The distinct contexts, most frequent first, with the counts of what followed.
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
        self._order = EpochOrder(rare, seed)

    def at(self, step: int) -> Batch:
        """Return the batch of a step."""
        epoch, index = divmod(step, self.steps_per_epoch)
        rare = self._order.of(epoch)[index :: self.steps_per_epoch] + len(self._frequent)
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
) -> Batches:
    """Cut a store for training, collapsing repeated contexts where that saves most of the work."""
    distinct = distinct_windows(store, context, vocabulary_size, carry_context)
    if distinct is not None:
        return StratifiedContexts(distinct, batch_size, seed)
    return ShuffledWindows(store, context, batch_size, seed, carry_context)
