"""Latent semantic analysis: a truncated SVD of documents, labelled or not, for a linear classifier.

The design matrix X (documents x features, TF-IDF) is close to U S V', its k largest singular values
and their vectors. A linear classifier whose weights lie in the span of the rows of V',

    w = V u,  so that  s = b + x . w = b + (x V) . u

has k parameters per label instead of one per feature, so that u can be learned from few labelled
documents. A word that occurs in none of them still gets a weight, from the words that it occurs
with in the others. The result is a linear classifier like any other.

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
"""Directions computed beyond those that are kept (oversampling), as Halko et al. advise."""
ITERATIONS = 3
"""Number of subspace iterations, products with X and X'. More are more exact and take longer:
TruncatedSVD of scikit-learn makes 5. Weights in ``autopilot/averaging.py`` were chosen with 3."""


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

    def dot(
        self, weights: Float32[np.ndarray, "dimensions columns"]
    ) -> Float32[np.ndarray, "documents columns"]:
        """Return X V @ weights."""
        found: np.ndarray = self.values @ weights
        return found

    def transposed_dot(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "dimensions columns"]:
        """Return (X V).T @ amounts."""
        found: np.ndarray = self.values.T @ amounts
        return found

    def transposed_squares_dot(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "dimensions columns"]:
        """Return ((X V) ** 2).T @ amounts."""
        found: np.ndarray = np.square(self.values).T @ amounts
        return found


def latent_directions(
    design: Design, dimensions: int, should_stop: Callable[[], bool] = lambda: False
) -> Float32[np.ndarray, "rows dimensions"]:
    """Return V: the right singular vectors of the largest singular values, always the same.

    Args:
        design: All documents, labelled or not.
        dimensions: Number of vectors, if there are as many documents and features.
        should_stop: Called before each iteration but the first; if it returns true, no more are
            made.
    """
    most = min(len(design.bags.sizes), design.num_rows)
    sampled = min(dimensions + OVERSAMPLED, most)
    random = np.random.default_rng(0)
    basis = random.standard_normal((design.num_rows, sampled)).astype(np.float32)
    for iteration in range(ITERATIONS):
        if iteration and should_stop():
            break
        # Without orthonormal columns, all would converge to the first singular vector.
        documents, _ = np.linalg.qr(design.dot(basis))
        basis, _ = np.linalg.qr(design.transposed_dot(documents))
    # The singular vectors of X within the subspace rotate the basis into those of X. They are the
    # eigenvectors of a small Gram matrix, in ascending order of eigenvalues.
    projected = design.dot(basis).astype(np.float64)
    _, rotation = np.linalg.eigh(projected.T @ projected)
    found: np.ndarray = basis @ rotation[:, ::-1][:, :dimensions].astype(np.float32)
    return np.ascontiguousarray(found)
