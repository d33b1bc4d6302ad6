"""Linear support vector machines by dual coordinate descent, as in LIBLINEAR.

For a binary label y = 1 or -1, a document's values x, with a constant 1 for the bias, and its cost
C (the strength times its sample weight), the weights w are the solution of

    hinge:           min |w|^2 / 2 + sum C max(0, 1 - y w . x)      0 <= alpha <= U = C,  D = 0
    squared hinge:   min |w|^2 / 2 + sum C max(0, 1 - y w . x)^2    0 <= alpha,  D = 1 / 2C

and w = sum alpha y x, with one dual variable alpha for each document. Documents are visited in
random order; each visit minimises the dual objective over its alpha, the others fixed:

    G      = y w . x - 1 + D alpha
    alpha <- min(max(alpha - G / (x . x + D), 0), U)

G is the gradient. The projected gradient is G, or 0 where alpha is at a bound and cannot move in
the direction of -G. Learning ends after a pass in which the largest and the smallest projected
gradient differ by less than a tolerance. Several labels are learned one vs rest.

Source: C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi and S. Sundararajan 2008, "A dual
coordinate descent method for large-scale linear SVM", algorithm 1, without shrinking.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from thence._core import library
from thence._core.linear import descend
from thence.array_types import Float32, Float64, Int32, Int64
from thence.models.labels.design import Design
from thence.tokens.parallel import in_threads

Hinge = Literal["hinge", "squared_hinge"]
TOLERANCE = 0.05
"""Difference of the largest and smallest projected gradient at which learning ends: half of
LIBLINEAR's default. Weights closer to the minimum classify no better."""
MAX_PASSES = 200
"""Largest number of passes over the documents."""


def learn_hinge(
    design: Design,
    ratios: Float32[np.ndarray, "rows columns"] | None,
    is_label: Float32[np.ndarray, "documents columns"],
    costs: Float64[np.ndarray, " documents"],
    loss: Hinge,
    should_stop: Callable[[], bool] = lambda: False,
    tolerance: float = TOLERANCE,
) -> Float32[np.ndarray, "rows+1 columns"]:
    """Return the weights of each column, and in the last row the biases.

    Args:
        design: The design matrix of the documents.
        ratios: Factors of the values of each row, for each column; None: 1.
        is_label: 1 if a document has the label of a column, else 0.
        costs: C of each document; those of cost 0 are left out.
        loss: The loss.
        should_stop: Called after each pass; if it returns true, learning ends early.
        tolerance: Difference of projected gradients at which learning ends.
    """
    counted = np.flatnonzero(costs > 0)
    inverse = 1 / np.maximum(costs, np.finfo(np.float64).tiny)
    squared = loss == "squared_hinge"
    diagonal = inverse / 2 if squared else np.zeros(len(costs))
    upper = np.full(len(costs), np.inf) if squared else costs
    bags = design.bags

    def learn(column: int) -> Float32[np.ndarray, " rows+1"]:
        values = design.values
        if ratios is not None:
            values = values * ratios[bags.features, column]
        ends = np.concatenate([np.zeros(1), np.cumsum(np.square(values, dtype=np.float64))])
        curvatures = ends[bags.offsets[1:]] - ends[bags.offsets[:-1]] + 1 + diagonal
        signs = np.where(is_label[:, column] > 0, 1, -1).astype(np.float32)
        alphas, weights = np.zeros(len(costs)), np.zeros(design.num_rows + 1, np.float32)
        random = np.random.default_rng(0)
        visit = descend_in_numpy if library() is None else descend
        for _ in range(MAX_PASSES):
            order = random.permutation(counted)
            spread = visit(
                bags.features, values, bags.offsets, order,
                signs, curvatures, diagonal, upper, alphas, weights,
            )  # fmt: skip
            if spread < tolerance or should_stop():
                break
        return weights

    found = list(in_threads(learn, range(is_label.shape[1])))
    return np.stack(found, axis=1)


def descend_in_numpy(
    rows: Int32[np.ndarray, " features"],
    values: Float32[np.ndarray, " features"],
    offsets: Int64[np.ndarray, " bounds"],
    order: Int64[np.ndarray, " visits"],
    signs: Float32[np.ndarray, " documents"],
    curvatures: Float64[np.ndarray, " documents"],
    diagonal: Float64[np.ndarray, " documents"],
    upper: Float64[np.ndarray, " documents"],
    alphas: Float64[np.ndarray, " documents"],
    weights: Float32[np.ndarray, " rows+1"],
) -> float:
    """Make one pass over documents, in place: the NumPy twin of the kernel in ``_core/linear.c``.

    Args:
        rows: The rows of all documents, one document after another.
        values: The values x of these rows.
        offsets: The offset of each document, and the end.
        order: Indexes of the documents, in the order of the visits.
        signs: y of each document.
        curvatures: x . x + D of each document.
        diagonal: D of each document.
        upper: U of each document.
        alphas: alpha of each document; changed in place.
        weights: The weight of each row and, last, the bias; changed in place.

    Returns:
        The difference of the largest and the smallest projected gradient.
    """
    projected = np.zeros(len(order))
    for visit, document in enumerate(order):
        chosen = slice(offsets[document], offsets[document + 1])
        at, x, sign, alpha = rows[chosen], values[chosen], signs[document], alphas[document]
        product = float(weights[at].astype(np.float64) @ x) + weights[-1]
        gradient = sign * product - 1 + diagonal[document] * alpha
        blocked = (alpha <= 0 and gradient > 0) or (alpha >= upper[document] and gradient < 0)
        projected[visit] = 0 if blocked else gradient
        if projected[visit]:
            alphas[document] = min(max(alpha - gradient / curvatures[document], 0), upper[document])
            step = np.float32(sign * (alphas[document] - alpha))
            weights[at] += step * x
            weights[-1] += step
    return float(np.ptp(projected)) if len(order) else 0.0
