"""How often each symbol, and each pair of symbols, occurs in a token store."""

import numpy as np
from jaxtyping import Int64, Integer

from thence.tokens import TokenStore


def symbol_counts(store: TokenStore, vocabulary_size: int) -> Int64[np.ndarray, " vocab"]:
    """Return how often each id is a target; the boundary once per document."""
    return np.bincount(store.targets, minlength=vocabulary_size)


def most_frequent(
    counts: Integer[np.ndarray, " vocab"], most: int, boundary_id: int
) -> Int64[np.ndarray, " shown"]:
    """Return the boundary and then the most frequent ids that occur, ``most`` in all.

    Ties go to the lower id.
    """
    order = np.argsort(-counts, kind="stable")
    occurring = order[(counts[order] > 0) & (order != boundary_id)]
    return np.concatenate([np.array([boundary_id]), occurring[: most - 1]]).astype(np.int64)


def pair_counts(
    store: TokenStore, ids: Integer[np.ndarray, " shown"], vocabulary_size: int
) -> Int64[np.ndarray, "shown shown"]:
    """Return how often the second of two shown ids came right after the first."""
    place = np.full(vocabulary_size, -1)
    place[ids] = np.arange(len(ids))
    previous, following = place[store.ids[:-1]], place[store.targets]
    both = (previous >= 0) & (following >= 0)
    keys = previous[both] * len(ids) + following[both]
    return np.bincount(keys, minlength=len(ids) ** 2).reshape(len(ids), len(ids))
