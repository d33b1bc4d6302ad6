"""Learning the weights of the linear classifier: L-BFGS, dual coordinate descent, or centroids.

The equations are in ``linear.py`` and ``dual_descent.py``. The weights of a centroid classifier are
the mean m of the documents with a label and the mean n of the others, each divided by its length,

    w = m / |m| - n / |n|,  b = 0

so that a document's logit is the difference of its similarities to the two. Source: J. Rocchio
1971, "Relevance feedback in information retrieval".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from thence.array_types import Float, Float32
from thence.corpus.documents import Labels
from thence.lbfgs import minimize
from thence.models.base import Array, Classes, log_sigmoid, log_softmax
from thence.models.labels.design import Design
from thence.models.labels.dual_descent import learn_hinge
from thence.models.labels.latent import LatentDesign

Loss = Literal["log_loss", "squared_hinge", "hinge", "centroid"]
MAX_ITERATIONS = 100
"""Largest number of L-BFGS iterations."""
HISTORY = 10
"""Pairs of steps and gradient changes from which L-BFGS estimates the curvature."""


@dataclass(frozen=True)
class LinearWeights:
    """Learned weights of the rows of the design matrix.

    Attributes:
        weights: The weights of each row, r * w with naive Bayes.
        bias: The bias of each column.
        solution: The minimum found: w, and in the last row the biases.
    """

    weights: Float32[np.ndarray, "rows columns"]
    bias: Float32[np.ndarray, " columns"]
    solution: Float32[np.ndarray, "rows+1 columns"]

    def columns(self, design: Design | LatentDesign) -> Float32[np.ndarray, "documents columns"]:
        """Return the logits of documents; see ``Classes.num_logits``."""
        found: Array = design.dot(self.weights) + self.bias
        return found


@dataclass(frozen=True)
class Problem:
    """The problem of learning weights from labelled documents.

    Attributes:
        design: The design matrix of the documents.
        is_label: 1 if a document has the label of a column, else 0.
        classes: The labels that are predicted.
        loss: The loss.
        naive_bayes: Number added to every count of naive Bayes; 0: no naive Bayes.
        tolerance: L-BFGS stops when five iterations gain less than this, in nats per document.
        should_stop: Called now and then; if it returns true, learning ends early.
    """

    design: Design | LatentDesign
    is_label: Float32[np.ndarray, "documents columns"]
    classes: Classes
    loss: Loss
    naive_bayes: float
    tolerance: float
    should_stop: Callable[[], bool]

    def learn(
        self,
        strength: float,
        sample_weight: Float32[np.ndarray, " documents"],
        start: Float32[np.ndarray, "rows+1 columns"] | None = None,
    ) -> LinearWeights:
        """Return the weights that minimise the loss.

        Args:
            strength: Inverse strength of the L2 penalty, as C in scikit-learn.
            sample_weight: The weight of each document in the loss; 0 leaves it out.
            start: Initial solution for L-BFGS; None: zeros.
        """
        ratios, design = None, self.design
        if self.naive_bayes:
            assert isinstance(design, Design)  # Latent dimensions are in no document or many.
            ratios = log_count_ratios(design, self.is_label, sample_weight, self.naive_bayes)
        if self.loss == "log_loss":
            solution = self._minimize_log_loss(strength, ratios, sample_weight, start)
        elif self.loss == "centroid":
            assert isinstance(design, Design)
            solution = centroid_weights(design, ratios, self.is_label, sample_weight)
        else:
            assert isinstance(design, Design)
            costs = strength * sample_weight.astype(np.float64)
            solution = learn_hinge(
                design, ratios, self.is_label, costs, self.loss, self.should_stop
            )
        weights = solution[:-1] if ratios is None else ratios * solution[:-1]
        return LinearWeights(weights, solution[-1], solution)

    def _minimize_log_loss(
        self, strength: float, ratios: Array | None, sample_weight: Array, start: Array | None
    ) -> Float32[np.ndarray, "rows+1 columns"]:
        """Return the solution of logistic regression with an L2 penalty, by L-BFGS."""
        design, classes, factors = self.design, self.classes, 1 if ratios is None else ratios
        counted = sample_weight[:, None].astype(np.float64)

        def loss(learned: Array) -> tuple[float, Array]:
            weights, biases = learned[:-1], learned[-1]
            columns = (design.dot(factors * weights) + biases).astype(np.float64)
            nats, probs = _cross_entropy(columns, self.is_label, classes)
            by_column = ((probs - self.is_label) * counted).astype(np.float32)
            gradient = np.empty_like(learned)
            by_weight = factors * design.transposed_dot(by_column)
            gradient[:-1] = by_weight + weights / np.float32(strength)
            gradient[-1] = by_column.sum(0)
            penalty = float(np.square(weights, dtype=np.float64).sum()) / (2 * strength)
            return float(nats @ sample_weight) + penalty, gradient

        # An upper bound of the Hessian's diagonal, as a Jacobi preconditioner of L-BFGS, so that
        # rare and frequent rows learn equally fast: the second derivative of a log-sigmoid or
        # log-softmax by a logit is at most 1/4 in size, so that by a weight is at most a quarter of
        # the summed squares of its values.
        shape = (design.num_rows + 1, classes.num_logits)
        squares = np.full(shape, float(sample_weight.sum()), np.float32)
        squares[:-1] = design.transposed_squares_dot(sample_weight[:, None])
        squares[:-1] *= np.square(factors)
        curvature = squares / 4 + np.float32(1 / strength)
        return minimize(
            loss,
            np.zeros(shape, np.float32) if start is None else start,
            lambda gradient: gradient / curvature,
            self.tolerance * float(sample_weight.sum()),
            MAX_ITERATIONS,
            HISTORY,
            self.should_stop,
        )


def label_columns(labels: Labels, classes: Classes) -> Float32[np.ndarray, "documents columns"]:
    """Return 1 if a document has the label of a column, else 0; if binary, only for the second."""
    return labels.matrix()[:, classes.num_classes - classes.num_logits : classes.num_classes]


def centroid_weights(
    design: Design,
    ratios: Float32[np.ndarray, "rows columns"] | None,
    is_label: Float32[np.ndarray, "documents columns"],
    sample_weight: Float32[np.ndarray, " documents"],
) -> Float32[np.ndarray, "rows+1 columns"]:
    """Return the weights of a centroid classifier for each column, and in the last row zeros.

    Args:
        design: The design matrix of the documents.
        ratios: Factors of the values of each row, for each column; None: 1.
        is_label: 1 if a document has the label of a column, else 0.
        sample_weight: The weight of each document.
    """
    factors = np.float32(1) if ratios is None else ratios

    def direction(counted: Array) -> Array:
        total: Array = factors * design.transposed_dot(counted)
        total /= np.maximum(np.linalg.norm(total, axis=0), np.finfo(np.float32).tiny)
        return total

    having = direction(is_label * sample_weight[:, None])
    others = direction((1 - is_label) * sample_weight[:, None])
    return np.concatenate([having - others, np.zeros_like(having[:1])])


def log_count_ratios(
    design: Design,
    is_label: Float32[np.ndarray, "documents columns"],
    sample_weight: Float32[np.ndarray, " documents"],
    smoothing: float,
) -> Float32[np.ndarray, "rows columns"]:
    """Return the log-count ratios r of naive Bayes for each row and label; see ``linear``."""
    counted = is_label * sample_weight[:, None]
    others = (1 - is_label) * sample_weight[:, None]
    with_label = smoothing + design.transposed_binary_dot(counted)
    without = smoothing + design.transposed_binary_dot(others)
    ratios: Array = np.log(with_label / with_label.sum(0)) - np.log(without / without.sum(0))
    return ratios.astype(np.float32)


def _cross_entropy(
    columns: Float[np.ndarray, "documents columns"], is_label: Array, classes: Classes
) -> tuple[Float[np.ndarray, " documents"], Float[np.ndarray, "documents columns"]]:
    """Return the loss of each document in nats, and the probability of each column."""
    if classes.multilabel or classes.is_binary:
        log_probs = log_sigmoid(columns)
        nats = (columns * (1 - is_label) - log_probs).sum(1)  # log(1 - p) = log p - logit.
    else:
        log_probs = log_softmax(columns)
        nats = -(log_probs * is_label).sum(1)
    return nats, np.exp(log_probs)
