"""Confidence intervals by the bootstrap over documents, paired where two models are compared.

Documents, not tokens, are drawn again: the tokens of one document depend on each other. Running
text, where even neighbouring documents do, is drawn in blocks of neighbours.

Source: B. Efron 1979, "Bootstrap methods: another look at the jackknife"; the percentile interval
of a ratio of sums.
"""

import numpy as np
from jaxtyping import Float, Int64

from thence.tokens import TokenStore

REPLICATES = 1000
MOST_BLOCKS = 2000
FEWEST_DOCUMENTS = 20
SHORTEST_BLOCK = 20
"""Targets in a piece of a document at least, so that what hangs together is drawn together."""
FEWEST_BLOCKS = 10
"""With fewer units than this an interval would say nothing."""
LEVEL = 0.95


def block_starts(store: TokenStore) -> Int64[np.ndarray, " blocks"]:
    """Return where each unit of the bootstrap begins among the targets.

    A unit is a document; many documents are taken together as blocks of neighbours, and a few
    long ones are cut into pieces of equal length.
    """
    starts: Int64[np.ndarray, " documents"] = store.offsets[:-1] - 1
    if len(starts) >= FEWEST_DOCUMENTS:
        return np.take(starts, document_blocks(len(starts)))
    blocks = max(1, min(store.num_targets // SHORTEST_BLOCK, 200))
    return np.linspace(0, store.num_targets, blocks, endpoint=False).astype(np.int64)


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
