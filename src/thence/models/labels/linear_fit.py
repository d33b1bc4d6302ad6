"""How the linear classifier learns its weights: logistic regression by L-BFGS, with torch's sums.

The equations are in ``linear.py``.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from thence.array_types import Float, Float32
from thence.batches.bags import Bags
from thence.corpus.documents import Labels
from thence.lbfgs import minimize
from thence.models.base import Array, Classes
from thence.models.labels.neural import label_loss
from thence.tokens.parallel import in_threads

MAX_ITERATIONS = 100
"""Iterations of L-BFGS at most."""
HISTORY = 10
"""Pairs of steps and gradient changes that L-BFGS estimates the curvature from."""
SORT_PARTS = 8
"""The features are sorted by row in so many parts, which threads share."""


@dataclass(frozen=True)
class Design:
    """The design matrix, sorted by document and by row: both its products are sums of rows.

    Attributes:
        rows: Of all documents, one document after another.
        starts: Where each document's begin.
        owners: Documents that have each row, one row after another.
        owner_starts: Where each row's begin.
        scale: One by the root of each document's number of features.
    """

    rows: Tensor
    starts: Tensor
    owners: Tensor
    owner_starts: Tensor
    scale: Tensor

    def to_documents(self, weights: Float[Tensor, "rows columns"]) -> Tensor:
        """Return each document's sum of weights, scaled."""
        return functional.embedding_bag(self.rows, weights, self.starts, mode="sum") * self.scale

    def to_rows(self, values: Float[Tensor, "documents columns"]) -> Tensor:
        """Return for each row the sum of its documents' values, scaled."""
        scaled = values * self.scale
        return functional.embedding_bag(self.owners, scaled, self.owner_starts, mode="sum")


def make_design(bags: Bags, num_rows: int) -> Design:
    """Return the design matrix of documents whose features are rows."""
    counts = np.bincount(bags.features, minlength=num_rows)
    owner_starts = np.cumsum(counts) - counts
    scale = 1 / np.sqrt(np.maximum(bags.sizes, 1))
    arrays = (
        bags.features,
        bags.offsets[:-1].astype(np.int32),
        _owners(bags, owner_starts),
        owner_starts.astype(np.int32),
        scale.astype(np.float32)[:, None],
    )
    return Design(*(torch.from_numpy(array) for array in arrays))


def _owners(bags: Bags, starts: Array) -> Array:
    """Return the documents that have each row, one row after another, sorted a part at a time."""
    owners = np.repeat(np.arange(len(bags.sizes)), bags.sizes)
    parts = np.linspace(0, len(owners), SORT_PARTS + 1)[1:-1]
    bounds = [0, *np.searchsorted(starts, parts).tolist(), len(starts)]

    def owners_of(rows: tuple[int, int]) -> Array:
        at = np.flatnonzero((bags.features >= rows[0]) & (bags.features < rows[1]))
        keys = (bags.features[at].astype(np.int64) << 32) + owners[at]
        keys.sort()
        return (keys & 0xFFFFFFFF).astype(np.int32)

    return np.concatenate(list(in_threads(owners_of, itertools.pairwise(bounds))))


class Regression:
    """The loss of train documents, and the weights for which it is lowest.

    Args:
        bags: The rows of each document.
        num_rows: How many rows there are.
        labels: Of the documents.
        sample_weight: How much each document counts.
        classes: The labels that are predicted.
        naive_bayes: What is added to every count of naive Bayes; 0 leaves naive Bayes out.
    """

    def __init__(
        self,
        bags: Bags,
        num_rows: int,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        classes: Classes,
        naive_bayes: float,
    ) -> None:
        self._design = make_design(bags, num_rows)
        self._targets = torch.from_numpy(labels.matrix() if labels.multilabel else labels.single)
        self._sample_weight = torch.from_numpy(sample_weight)
        self._classes = classes
        self._ratios = self._learn_ratios(naive_bayes)

    @property
    def ratios(self) -> Float32[np.ndarray, "rows columns"]:
        """The log ratio of each row for each column; ones without naive Bayes."""
        ratios: Array = self._ratios.numpy()
        return ratios

    def _learn_ratios(self, naive_bayes: float) -> Tensor:
        classes, design = self._classes, self._design
        if not naive_bayes:
            return torch.ones(len(design.owner_starts), classes.num_columns)
        is_label = self._targets
        if is_label.dim() == 1:
            is_label = functional.one_hot(is_label, classes.num_classes).float()
        counted = is_label * self._sample_weight[:, None]
        others = (1 - is_label) * self._sample_weight[:, None]
        # to_rows scales each document; naive Bayes counts it whole.
        with_label = naive_bayes + design.to_rows(counted / design.scale)
        without = naive_bayes + design.to_rows(others / design.scale)
        ratios = (with_label / with_label.sum(0)).log() - (without / without.sum(0)).log()
        return ratios[:, -classes.num_columns :].contiguous()

    def minimize(
        self, strength: float, start: Array, tolerance: float, should_stop: Callable[[], bool]
    ) -> Float32[np.ndarray, "rows+1 columns"]:
        """Return the weights and, in the last row, the biases with the lowest loss.

        Args:
            strength: The squared weights are divided by twice this.
            start: Where to begin.
            tolerance: L-BFGS stops when five iterations gain less, in nats per document.
            should_stop: Asked whether to stop with what is learned so far.
        """
        ratios, sample_weight, design = self._ratios, self._sample_weight, self._design

        def loss(learned: Array) -> tuple[float, Array]:
            weights, biases = torch.from_numpy(learned[:-1]), torch.from_numpy(learned[-1])
            columns = design.to_documents(ratios * weights) + biases
            columns = columns.double().requires_grad_(True)
            logits = columns
            if self._classes.is_difference:
                logits = torch.cat([torch.zeros_like(columns), columns], dim=1)
            summed = label_loss(logits, self._targets, sample_weight)
            (by_logit,) = torch.autograd.grad(summed, columns)
            by_logit = by_logit.float()
            gradient = np.empty_like(learned)
            gradient[:-1] = ratios * design.to_rows(by_logit) + weights / strength
            gradient[-1] = by_logit.sum(0)
            penalty = float(weights.square().sum()) / (2 * strength)
            return summed.item() + penalty, gradient

        curvature = self._curvature() + 1 / strength
        return minimize(
            loss,
            start,
            lambda gradient: gradient / curvature,
            tolerance * float(sample_weight.sum()),
            MAX_ITERATIONS,
            HISTORY,
            should_stop,
        )

    def _curvature(self) -> Array:
        """Return an upper bound of the loss's second derivative by each weight and each bias.

        The second derivative of a log-sigmoid or log-softmax is at most 1/4 by each logit, so the
        diagonal of the Hessian is at most a quarter of the summed squares of the features. L-BFGS
        divides by it (a Jacobi preconditioner): rare and frequent features then learn alike.
        """
        squares = self._design.to_rows(self._sample_weight[:, None] * self._design.scale)
        biases = self._sample_weight.sum().expand(1, self._ratios.shape[1])
        found: Array = (torch.cat([self._ratios.square() * squares, biases]) / 4).numpy()
        return found
