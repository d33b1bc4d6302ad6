"""Latent semantic analysis: which features go together in documents, labelled or not.

The design matrix X (documents x features, TF-IDF) is close to U S V', its k largest singular values
and their vectors. A linear classifier whose weights lie in the span of the rows of V',

    w = V u,  so that  s = b + x . w = b + (x V) . u

has k numbers to learn for each label instead of one for each feature, and u is learned from the few
documents that have labels. A word that none of them has still gets a weight, from the words that it
goes with in the others. What is learned is a linear classifier like any other.

Sources: S. Deerwester, S. Dumais, G. Furnas, T. Landauer and R. Harshman 1990, "Indexing by latent
semantic analysis"; for V, N. Halko, P.-G. Martinsson and J. Tropp 2011, "Finding structure with
randomness", algorithm 4.4 (randomized subspace iteration).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thence.array_types import Float32
from thence.models.labels.design import Design

OVERSAMPLED = 10
"""Directions that are looked for beyond those that are kept, as Halko et al. advise."""
ITERATIONS = 3
"""Times that the sample is multiplied by X and X'; scikit-learn's TruncatedSVD takes 5. More than 3
changed no classifier."""


@dataclass(frozen=True)
class LatentDesign:
    """Documents in latent dimensions, with the interface of ``Design``.

    Attributes:
        values: The coordinates x V of each document.
    """

    values: Float32[np.ndarray, "documents dimensions"]

    @property
    def num_rows(self) -> int:
        """Number of latent dimensions."""
        return int(self.values.shape[1])

    def to_documents(
        self, weights: Float32[np.ndarray, "dimensions columns"]
    ) -> Float32[np.ndarray, "documents columns"]:
        """Return the matrix times weights."""
        found: np.ndarray = self.values @ weights
        return found

    def to_rows(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "dimensions columns"]:
        """Return the transposed matrix times an amount for each document."""
        found: np.ndarray = self.values.T @ amounts
        return found

    def squares_to_rows(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "dimensions columns"]:
        """Return the same with squared values."""
        found: np.ndarray = np.square(self.values).T @ amounts
        return found


def latent_directions(
    design: Design, dimensions: int, should_stop: Callable[[], bool] = lambda: False
) -> Float32[np.ndarray, "rows dimensions"]:
    """Return V: the right singular vectors of the largest singular values, always the same.

    Args:
        design: All documents, labelled or not.
        dimensions: How many vectors; fewer are returned where documents or features are fewer.
        should_stop: Asked before each iteration but the first whether to do without it.
    """
    most = min(len(design.bags.sizes), design.num_rows)
    sampled = min(dimensions + OVERSAMPLED, most)
    random = np.random.default_rng(0)
    basis = random.standard_normal((design.num_rows, sampled)).astype(np.float32)
    for iteration in range(ITERATIONS):
        if iteration and should_stop():
            break
        # Orthonormal columns: without them all would turn to the first singular vector.
        documents, _ = np.linalg.qr(design.to_documents(basis))
        basis, _ = np.linalg.qr(design.to_rows(documents))
    # In the sampled subspace X is small: its singular vectors turn the basis into those of X. They
    # are the eigenvectors of its Gram matrix, which are ordered from the smallest on.
    projected = design.to_documents(basis).astype(np.float64)
    _, rotation = np.linalg.eigh(projected.T @ projected)
    found: np.ndarray = basis @ rotation[:, ::-1][:, :dimensions].astype(np.float32)
    return np.ascontiguousarray(found)
