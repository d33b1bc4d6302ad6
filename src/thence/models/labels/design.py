"""The design matrix of a linear classifier: how much of each feature each document has.

With c how often a document has a feature, n the number of documents, and d how many of them have
the feature, the values x of a document are

    binary:  x = 1 / sqrt(how many features the document has)
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
    """A sparse matrix of documents and rows, the features that have a weight.

    Attributes:
        bags: The rows that each document has, once each.
        values: How much of each.
        num_rows: How many rows there are.
    """

    bags: Bags
    values: Float32[np.ndarray, " features"]
    num_rows: int

    @cached_property
    def _transposed(self) -> tuple[Bags, Float32[np.ndarray, " features"]]:
        """The documents that have each row, and how much of it."""
        transpose = transposed_in_numpy if library() is None else transpose_features
        starts, owners, values = transpose(
            self.bags.features, self.values, self.bags.offsets, self.num_rows
        )
        return Bags(owners, starts), values

    def to_documents(
        self, weights: Float32[np.ndarray, "rows columns"]
    ) -> Float32[np.ndarray, "documents columns"]:
        """Return the matrix times a weight for each row."""
        return self.bags.sums(weights, self.values)

    def to_rows(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Return the transposed matrix times an amount for each document."""
        owners, values = self._transposed
        return owners.sums(np.ascontiguousarray(amounts, np.float32), values)

    def squares_to_rows(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Return the same with squared values."""
        owners, values = self._transposed
        return owners.sums(np.ascontiguousarray(amounts, np.float32), values * values)

    def documents_with(
        self, amounts: Float32[np.ndarray, "documents columns"]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Return for each row the amounts of the documents that have it, added up."""
        return self._transposed[0].sums(np.ascontiguousarray(amounts, np.float32))


def inverse_document_frequency(bags: Bags, num_rows: int) -> Float32[np.ndarray, " rows"]:
    """Return the idf of each row, from documents whose rows are distinct."""
    having = np.bincount(bags.features, minlength=num_rows)
    found = np.log((1 + len(bags.sizes)) / (1 + having)) + 1
    return found.astype(np.float32)


def make_design(
    bags: Bags, weighting: Weighting, idf: Float32[np.ndarray, " rows"], num_rows: int
) -> Design:
    """Return the matrix of documents.

    Args:
        bags: Their rows, once each; without counts each document has each of its rows once.
        weighting: How values are made of them.
        idf: Of each row; not read where values are binary.
        num_rows: How many rows there are.
    """
    if weighting == "binary":
        scale = 1 / np.sqrt(np.maximum(bags.sizes, 1))
        values = np.repeat(scale.astype(np.float32), bags.sizes)
    else:
        counts = np.ones(len(bags.features), np.float32) if bags.counts is None else bags.counts
        values = (1 + np.log(counts)) * idf[bags.features]
        # Sums of squares by document, without a loop; one without features has none.
        ends = np.concatenate([np.zeros(1), np.cumsum(np.square(values, dtype=np.float64))])
        squares = ends[bags.offsets[1:]] - ends[bags.offsets[:-1]]
        norms = np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny))
        values /= np.repeat(norms.astype(np.float32), bags.sizes)
    return Design(bags, values, num_rows)


def transposed_in_numpy(
    rows: np.ndarray, values: np.ndarray, offsets: np.ndarray, num_rows: int
) -> tuple[Int64[np.ndarray, " starts"], np.ndarray, np.ndarray]:
    """Return the matrix one row after another; see ``transpose_features`` of the core."""
    order = np.argsort(rows, kind="stable")
    owners = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    starts = np.zeros(num_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=num_rows), out=starts[1:])
    return starts, owners[order], values[order]
