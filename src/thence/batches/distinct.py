"""Distinct windows: each context once, with the counts of what followed it.

A short context over a small alphabet recurs thousands of times. A network gives the same answer
each time, so the loss of all its occurrences is one look-up weighted by counts: the names of the
tutorial hold 182,625 examples of context 3 but only 5,438 contexts, a thirtieth of the work for
the same loss and gradient.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from thence.batches.windows import Windows, windows
from thence.tokens import TokenStore

MOST_CELLS = 1 << 24
"""Cells of the table of counts at most (64 MB)."""
LEAST_REPEATS = 2
"""Collapse only where a context recurs so often on average."""


@dataclass(frozen=True)
class DistinctWindows:
    """The distinct contexts of a store, most frequent first.

    Attributes:
        contexts: One context per row, shape (U, C).
        counts: How often each id followed it, shape (U, V).
    """

    contexts: Int64[np.ndarray, "distinct context"]
    counts: Float32[np.ndarray, "distinct vocab"]


def distinct_windows(
    store: TokenStore, context: int, vocabulary_size: int, carry_context: bool = False
) -> DistinctWindows | None:
    """Collapse the windows of a store, or return None where that would not pay.

    Args:
        store: The tokens.
        context: Ids in each context (C).
        vocabulary_size: Number of ids (V).
        carry_context: Let contexts reach into the documents before.
    """
    cut = windows(store, context, carry_context)
    keys = context_keys(cut, vocabulary_size)
    if keys is None:
        return None
    found, row, repeats = np.unique(keys, return_inverse=True, return_counts=True)
    if len(found) * LEAST_REPEATS > len(cut) or len(found) * vocabulary_size > MOST_CELLS:
        return None
    cells = row.astype(np.int64) * vocabulary_size + store.targets
    counts = np.bincount(cells, minlength=len(found) * vocabulary_size)
    by_frequency = np.argsort(-repeats, kind="stable")
    powers = vocabulary_size ** np.arange(context - 1, -1, -1, dtype=np.int64)
    contexts = found[by_frequency, None] // powers % vocabulary_size
    table = counts.reshape(len(found), vocabulary_size)[by_frequency]
    return DistinctWindows(contexts, table.astype(np.float32))


def context_keys(cut: Windows, vocabulary_size: int) -> Int64[np.ndarray, " targets"] | None:
    """Return each context as one number in base V, or None where 63 bits cannot hold it."""
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
        The targets' numbers, those with the same context next to each other, and where each group
        begins among them, with one past the last. Where contexts are too long to tell apart
        quickly, each target is a group of its own.
    """
    keys = context_keys(cut, vocabulary_size)
    if keys is None:
        return np.arange(len(cut)), np.arange(len(cut) + 1)
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))  # No key is -1.
    return order, np.append(starts, len(cut))
