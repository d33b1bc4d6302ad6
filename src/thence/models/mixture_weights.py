"""The weights and tensors of a mixture of models, of language models or of classifiers.

    single  l_m                                     one set of weights
    table   l_m(b)                                  one set of weights for each bucket b of contexts
    gate    l_m(h) = softmax_m(features(h) @ W)     weights that depend on features of context h

All are learned on dev, the first two by expectation maximisation. The table is that of F. Jelinek
and R. Mercer 1980, "Interpolated estimation of Markov source parameters from sparse data", with the
buckets of Bengio et al. 2003, section 3. The gate is the mixture of experts of R. Jacobs, M.
Jordan, S. Nowlan and G. Hinton 1991, "Adaptive mixtures of local experts"; its experts stay as they
are. On running text it may go on learning from each target after it was scored, as the mixers of M.
Mahoney 2005 do ("Adaptive weighing of context models for lossless data compression").
"""

from collections.abc import Mapping, Sequence

import numpy as np

from thence._core import gate as core
from thence._core import library
from thence.array_types import Float, Float64, Int64
from thence.deadline import past_deadline
from thence.lbfgs import minimize
from thence.models.base import Array, Model, log_softmax

ITERATIONS = 100
"""Iterations of expectation maximisation (EM)."""
PRIOR_TARGETS = 10.0
"""Strength of the prior in each bucket, in targets: buckets with few targets of their own stay near
the overall weights."""
MAX_ITERATIONS = 300
"""Largest number of L-BFGS iterations."""
HISTORY = 20
"""Pairs of steps and gradient changes from which L-BFGS estimates the curvature."""
TOLERANCE = 5e-7
"""L-BFGS stops when five iterations gain less than this, in nats per target."""
PENALTY = 0.6
"""L2 penalty: half the sum of the gate's squared coefficients (without the constant's) times this
is added to the loss of the whole dev text in nats."""
MIN_WEIGHT = 1e-6
"""Lowest weight with which the gate's optimisation starts; it also keeps the bound of the curvature
invertible."""
PRODUCTS_AT_ONCE = 1 << 18
"""Products of features and coefficients per block of targets. Blocks of this size stay in the
processor's cache, and OpenBLAS multiplies them in one thread: two that wait for each other take six
times the processor's time on a busy machine, and sum in another order."""
NUMBERS_AT_ONCE = 9000
"""Probabilities per block in ``learn_single``, for the same reasons."""
MIN_PROBABILITY = np.float32(1e-30)
"""Lower bound of the mixture's probability, so that a target that no model predicts has a finite
loss."""

Probs = Float[np.ndarray, "targets models"]


def learn_table(
    probs: Probs,
    bucket_ids: Int64[np.ndarray, " targets"],
    num_buckets: int,
    prior: Float[np.ndarray, " models"] | None = None,
    prior_targets: float = PRIOR_TARGETS,
) -> Float[np.ndarray, "buckets models"]:
    """Return the maximum-likelihood mixture weights of each bucket, by EM.

    Args:
        probs: Each model's probability of each target, up to a factor per target.
        bucket_ids: The bucket of each target.
        num_buckets: Number of buckets.
        prior: Overall weights, from which every bucket starts and to which it is regularised.
        prior_targets: Strength of the prior: as that many further targets in each bucket.
    """
    count = probs.shape[1]
    base = np.full(count, 1 / count) if prior is None else prior
    prior_targets = 0.0 if prior is None else prior_targets
    weights = np.tile(base, (num_buckets, 1))
    sizes = np.bincount(bucket_ids, minlength=num_buckets)[:, None] + prior_targets
    for _ in range(ITERATIONS):
        # E step: the posterior of each model given the target. M step: its mean in each bucket.
        shares = weights[bucket_ids] * probs
        shares /= shares.sum(axis=1, keepdims=True)
        credit = [np.bincount(bucket_ids, shares[:, model], num_buckets) for model in range(count)]
        weights = (np.stack(credit, axis=1) + prior_targets * base) / np.maximum(sizes, 1e-300)
        weights[sizes[:, 0] == 0] = base
    return weights


def learn_single(
    probs: Probs, pseudo_targets: float = 0.0, iterations: int = ITERATIONS
) -> Float[np.ndarray, " models"]:
    """Return the maximum-likelihood mixture weights of all targets together, by EM.

    Args:
        probs: Each model's probability of each target, up to a factor per target.
        pseudo_targets: Strength of a prior of equal weights: as that many further targets, which
            all models predict equally well.
        iterations: Iterations of EM, which converges slowly if models are alike.
    """
    count, total = probs.shape[1], max(len(probs) + pseudo_targets, 1)
    weights = np.full(count, 1 / count)
    rows = max(1, NUMBERS_AT_ONCE // count)
    parts = [probs[start : start + rows] for start in range(0, len(probs), rows)]
    for _ in range(iterations if len(probs) else 0):
        # Summed over targets, the posteriors are w_m sum_t p_tm / (p_t . w).
        credit = np.sum([(1 / (part @ weights)) @ part for part in parts], axis=0)
        weights = weights * (credit / total) + pseudo_targets / total / count
    return weights


def learn_gate(
    probs: Probs, features: Float[np.ndarray, "targets features"]
) -> Float[np.ndarray, "features models"]:
    """Return the maximum-likelihood coefficients W of the gate, by L-BFGS with an L2 penalty.

    The gradient of the log-likelihood with respect to the gate's logits is the posterior of each
    model, given the target, minus its weight. L-BFGS (``lbfgs.py``) is preconditioned with a bound
    of the curvature, a quarter of the features' second moments (D. Boehning 1992, "Multinomial
    logistic regression algorithm"). At a deadline it stops early.

    Args:
        probs: Each model's probability of each target, up to a factor per target.
        features: Features of each target's context; the first is the constant 1.
    """
    rows, columns = features.shape[1], probs.shape[1]
    size = max(1, PRODUCTS_AT_ONCE // (rows * columns))
    blocks = [
        (
            np.ascontiguousarray(features[start : start + size].T, np.float32),
            np.ascontiguousarray(probs[start : start + size].T, np.float32),
        )
        for start in range(0, len(probs), size)
    ]
    penalty = np.full((rows, 1), PENALTY)
    penalty[0] = 0
    bound = np.diag(penalty[:, 0] + MIN_WEIGHT)
    for by_feature, _ in blocks:
        bound += by_feature @ by_feature.T / 4
    start = np.zeros((rows, columns))
    start[0] = np.log(np.maximum(learn_single(probs), MIN_WEIGHT))

    def loss(gate: Array) -> tuple[float, Array]:
        transposed, gradient = gate.T.astype(np.float32), penalty * gate
        nats = float(np.vdot(gradient, gate)) / 2
        # (M, T) and not (T, M): sums over the few models are then sums of long rows.
        for by_feature, by_model in blocks:
            weights = transposed @ by_feature
            weights -= weights.max(axis=0)
            np.exp(weights, out=weights)
            weights /= weights.sum(axis=0)
            posterior = weights * by_model
            likelihoods = np.maximum(posterior.sum(axis=0), MIN_PROBABILITY)
            posterior /= likelihoods
            nats -= float(np.log(likelihoods).sum(dtype=np.float64))
            posterior -= weights
            gradient -= by_feature @ posterior.T
        return nats, gradient

    inverse, tolerance = np.linalg.inv(bound), TOLERANCE * len(probs)
    return minimize(
        loss,
        start,
        lambda gradient: inverse @ gradient,
        tolerance,
        MAX_ITERATIONS,
        HISTORY,
        past_deadline,
    )


def log_weights_of(
    gate: Float[np.ndarray, "features models"], features: Float[np.ndarray, "targets features"]
) -> Float[np.ndarray, "targets models"]:
    """Return the logarithm of the gate's mixture weights in each context."""
    return log_softmax(features @ gate)


def adapt_gate(
    gate: Float64[np.ndarray, "features models"],
    scores: Float[np.ndarray, "targets models"],
    features: Float[np.ndarray, "targets features"],
    rate: float,
) -> Float64[np.ndarray, " targets"]:
    """Return the log-probability of each target, training the gate on the fly.

    After each target is scored, the gate takes one step of stochastic gradient ascent on its
    log-likelihood, the objective of ``learn_gate``.

    Args:
        gate: The coefficients; changed in place.
        scores: Each model's log-probability of each target, in the order of the text.
        features: Features of each target's context.
        rate: Learning rate.
    """
    scores, features = (np.ascontiguousarray(some, np.float64) for some in (scores, features))
    compute = adapt_gate_in_numpy if library() is None else core.adapt_gate
    return compute(gate, scores, features, rate)


def adapt_gate_in_numpy(
    gate: Float64[np.ndarray, "features models"],
    scores: Float64[np.ndarray, "targets models"],
    features: Float64[np.ndarray, "targets features"],
    rate: float,
) -> Float64[np.ndarray, " targets"]:
    """Return the same as ``adapt_gate``: the NumPy twin of the kernel in ``_core/gate.c``."""
    found = np.full(len(scores), -np.inf)
    for target, (score, seen) in enumerate(zip(scores, features, strict=True)):
        best = score.max()
        if np.isneginf(best):  # Every model gives it probability zero: there is no gradient.
            continue
        logits = seen @ gate
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        posterior = weights * np.exp(score - best)
        likely = posterior.sum()
        found[target] = best + np.log(likely)
        gate += rate * np.outer(seen, posterior / likely - weights)
    return found


def join_tensors(models: Sequence[Model]) -> dict[str, Array]:
    """Return the tensors of several models as one dictionary, under names ``NUMBER/name``."""
    return {
        f"{number}/{name}": value
        for number, model in enumerate(models)
        for name, value in model.tensors().items()
    }


def load_joined(models: Sequence[Model], tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Load what ``join_tensors`` returned into the models; return the tensors of none of them.

    Raises:
        ValueError: If a name or shape does not fit a model.
    """
    parts: dict[str, dict[str, Array]] = {str(number): {} for number in range(len(models))}
    others: dict[str, Array] = {}
    for name, value in tensors.items():
        number, _, own = name.partition("/")
        parts.get(number, others)[own or name] = value
    for model, part in zip(models, parts.values(), strict=True):
        model.load_tensors(part)
    return others
