"""The symbols that charts show: the most frequent ones, their names, and a map of embeddings."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thence.array_types import Float, Int64, Integer
from thence.evaluation.embeddings import embedding_table
from thence.reports.formatting import symbol_text, visible
from thence.runs import ClassifierRun, Run
from thence.tokens import Tokenizer

BOUNDARY_MARK = "■"
MOST_MAPPED = 150
"""Symbols on a map of embeddings at most."""
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


def symbol_names(
    tokenizer: Tokenizer, ids: Ids, printable: Callable[[str], str] = visible
) -> list[str]:
    """Return the name of each id in charts; that of the boundary is a black square."""
    boundary_id = tokenizer.vocabulary.boundary_id
    return [
        BOUNDARY_MARK if index == boundary_id else printable(symbol_text(tokenizer, int(index)))
        for index in ids
    ]


@dataclass(frozen=True)
class EmbeddingMap:
    """The embeddings of the most frequent symbols of train in two dimensions.

    Attributes:
        ids: The symbols, most frequent first; the boundary before them, but for classifiers.
        points: Their coordinates.
        title: A title with the number of symbols.
        axes: Names of the two axes, with their share of the variance.
    """

    ids: Int64[np.ndarray, " shown"]
    points: Float[np.ndarray, "shown 2"]
    title: str
    axes: tuple[str, str]


def embedding_map(run: Run) -> EmbeddingMap | None:
    """Return the map of a run's embeddings; None if it has none.

    Raises:
        TextError: If the train text cannot be read.
    """
    table = embedding_table(run)
    if table is None:
        return None
    store = run.store("train")
    is_classifier = isinstance(run, ClassifierRun)  # It never reads the boundary.
    counts = store.id_counts(len(table))
    ids = most_frequent(counts, MOST_MAPPED + is_classifier, store.boundary_id)[is_classifier:]
    points, shares = project(table[ids].astype(np.float64))
    title = f"Embeddings of {len(ids)} symbols"
    if len(ids) < len(table):
        title = f"Embeddings of the {len(ids)} most frequent of {len(table):,} symbols"
    axes = ("first dimension", "second dimension")
    if shares is not None:
        first, second = (f"principal component ({share:.0%} of the variance)" for share in shares)
        axes = (f"first {first}", f"second {second}")
    return EmbeddingMap(ids, points, title, axes)


def project(
    table: Float[np.ndarray, "shown embedding"],
) -> tuple[Float[np.ndarray, "shown 2"], Float[np.ndarray, "2"] | None]:
    """Project embeddings onto their first two principal components.

    Returns:
        The points, and the share of the variance along each component. Embeddings of two
        dimensions are returned as they are, with None.
    """
    if table.shape[1] == 2:
        return table, None
    centred = table - table.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    scores = left * sizes
    shares = sizes**2 / max(float(np.sum(sizes**2)), 1e-300)
    missing = max(0, 2 - len(sizes))  # Embeddings of one dimension lie on a line.
    return np.pad(scores, ((0, 0), (0, missing)))[:, :2], np.pad(shares, (0, missing))[:2]
