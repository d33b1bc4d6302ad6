"""The design matrix of a linear classifier: the values of each document's features.

With c the count of a feature in a document, n the number of documents, and d the number of
documents with the feature, the values x of a document are

    binary:  x = 1 / sqrt(number of distinct features of the document)
    tfidf:   x = (1 + ln c) idf, divided by their Euclidean norm;  idf = ln((1 + n) / (1 + d)) + 1

The second is scikit-learn's ``TfidfVectorizer(sublinear_tf=True)``. Source: G. Salton and C.
Buckley 1988, "Term-weighting approaches in automatic text retrieval".
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from thence._core import library
from thence._core.linear import transpose_features
from thence.array_types import Float32, Int64
from thence.batches.bags import Bags

Weighting = Literal["binary", "tfidf"]


@dataclass(frozen=True)
class Design:
    """A sparse matrix X of documents by rows, a row being a feature that has a weight.

    Attributes:
        bags: The distinct rows of each document.
        values: The value of each of them.
        num_rows: Number of rows.
    """

    bags: Bags
    values: Float32[np.ndarray, " features"]
    num_rows: int

    @cached_property
    def _transposed(self) -> tuple[Bags, Float32[np.ndarray, " features"]]:
        """The transposed matrix: the documents that have each row, and their values."""
        transpose = transposed_in_numpy if library() is None else transpose_features
        starts, owners, values = transpose(
            self.bags.features, self.values, self.bags.offsets, self.num_rows
        )
        return Bags(owners, starts), values

    def dot(
        self, weights: Float32[np.ndarray, "rows columns"]
    ) -> Float32[np.ndarray, "documents columns"]:
        """Return X @ weights."""
        return self.bags.sums(weights, self.values)

    def transposed_dot(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Return X.T @ amounts."""
        owners, values = self._transposed
        return owners.sums(np.ascontiguousarray(amounts, np.float32), values)

    def transposed_squares_dot(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Return (X ** 2).T @ amounts."""
        owners, values = self._transposed
        return owners.sums(np.ascontiguousarray(amounts, np.float32), values * values)

    def transposed_binary_dot(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Return (X > 0).T @ amounts: for each row, the sum over the documents that have it."""
        return self._transposed[0].sums(np.ascontiguousarray(amounts, np.float32))


def inverse_document_frequency(bags: Bags, num_rows: int) -> Float32[np.ndarray, " rows"]:
    """Return the idf of each row, from the distinct rows of each document."""
    having = np.bincount(bags.features, minlength=num_rows)
    found = np.log((1 + len(bags.sizes)) / (1 + having)) + 1
    return found.astype(np.float32)


def make_design(
    bags: Bags, weighting: Weighting, idf: Float32[np.ndarray, " rows"], num_rows: int
) -> Design:
    """Return the design matrix of documents.

    Args:
        bags: The distinct rows of each document, with counts (without: all are 1).
        weighting: The kind of values.
        idf: The idf of each row; not read if values are binary.
        num_rows: Number of rows.
    """
    if weighting == "binary":
        scale = 1 / np.sqrt(np.maximum(bags.sizes, 1))
        values = np.repeat(scale.astype(np.float32), bags.sizes)
    else:
        counts = np.ones(len(bags.features), np.float32) if bags.counts is None else bags.counts
        values = (1 + np.log(counts)) * idf[bags.features]
        # Sums of squares by document as differences of cumulative sums; an empty document has 0.
        ends = np.concatenate([np.zeros(1), np.cumsum(np.square(values, dtype=np.float64))])
        squares = ends[bags.offsets[1:]] - ends[bags.offsets[:-1]]
        norms = np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny))
        values /= np.repeat(norms.astype(np.float32), bags.sizes)
    return Design(bags, values, num_rows)


def transposed_in_numpy(
    rows: np.ndarray, values: np.ndarray, offsets: np.ndarray, num_rows: int
) -> tuple[Int64[np.ndarray, " starts"], np.ndarray, np.ndarray]:
    """Return the transposed sparse matrix: the NumPy twin of the kernel ``transpose_features``.

    Returns:
        The offset of each row, and the documents that have it with their values.
    """
    order = np.argsort(rows, kind="stable")
    owners = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    starts = np.zeros(num_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=num_rows), out=starts[1:])
    return starts, owners[order], values[order]
