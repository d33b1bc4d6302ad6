"""Intervals by the bootstrap over documents, for what is no mean: the macro F1 of a classifier.

Documents are drawn again as if independent of each other. For means see ``intervals``.

Source: B. Efron 1979, "Bootstrap methods: another look at the jackknife"; the percentile interval
of a ratio of sums.
"""

import numpy as np
from jaxtyping import Float, Int64

from thence.evaluation.intervals import LEVEL

REPLICATES = 1000
MOST_BLOCKS = 2000
FEWEST_BLOCKS = 10
"""With fewer units than this an interval would say nothing."""


def document_blocks(num_documents: int) -> Int64[np.ndarray, " blocks"]:
    """Return the first document of each block of neighbours: one document each, if not too many."""
    blocks = min(num_documents, MOST_BLOCKS)
    return np.linspace(0, num_documents, blocks, endpoint=False).astype(np.int64)


def bootstrap_means(
    sums: Float[np.ndarray, "blocks models"], counts: Float[np.ndarray, " blocks"], seed: int = 0
) -> Float[np.ndarray, "replicates models"]:
    """Return the mean per target of each model in each replicate.

    Args:
        sums: Negative log-likelihood (or any cost) of each block under each model.
        counts: Targets (or bytes) of each block.
        seed: Of the draws, which are the same for all models: the comparison is paired.
    """
    generator = np.random.default_rng(seed)
    num_blocks = len(counts)
    drawn = generator.multinomial(num_blocks, np.full(num_blocks, 1 / num_blocks), REPLICATES)
    means: Float[np.ndarray, "replicates models"] = (drawn @ sums) / (drawn @ counts)[:, None]
    return means


def interval(values: Float[np.ndarray, " replicates"]) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap replicates."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
