"""Which symbols are shown, what they are called, and where they lie on a map."""

import numpy as np

from thence.array_types import Float, Int64, Integer
from thence.reports.formatting import symbol_text, visible
from thence.tokens import Tokenizer

BOUNDARY_MARK = "■"
Ids = Integer[np.ndarray, " shown"]


def most_frequent(
    counts: Integer[np.ndarray, " vocab"], most: int, boundary_id: int
) -> Int64[np.ndarray, " shown"]:
    """Return the boundary and then the most frequent ids that occur, ``most`` in all.

    Ties go to the lower id.
    """
    order = np.argsort(-counts, kind="stable")
    occurring = order[(counts[order] > 0) & (order != boundary_id)]
    return np.concatenate([np.array([boundary_id]), occurring[: most - 1]]).astype(np.int64)


def symbol_names(tokenizer: Tokenizer, ids: Ids) -> list[str]:
    """Return what to write for each id; the boundary is a black square."""
    boundary_id = tokenizer.vocabulary.boundary_id
    return [
        BOUNDARY_MARK if index == boundary_id else visible(symbol_text(tokenizer, int(index)))
        for index in ids
    ]


def project(
    table: Float[np.ndarray, "shown embedding"],
) -> tuple[Float[np.ndarray, "shown 2"], Float[np.ndarray, "2"] | None]:
    """Return points as they are, or on their first two principal components.

    Returns:
        The points, and the share of the variance along each component (None if the embeddings
        have two dimensions anyway).
    """
    if table.shape[1] == 2:
        return table, None
    centred = table - table.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    scores = left * sizes
    shares = sizes**2 / max(float(np.sum(sizes**2)), 1e-300)
    missing = max(0, 2 - len(sizes))  # An embedding of one number lies on a line.
    return np.pad(scores, ((0, 0), (0, missing)))[:, :2], np.pad(shares, (0, missing))[:2]
