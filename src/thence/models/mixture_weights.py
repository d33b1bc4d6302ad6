"""The weights of a mixture of models, learned on dev, for language models and for classifiers.

    single  l_m                                     one set of weights
    table   l_m(b)                                  one set of weights for each bucket b of contexts
    gate    l_m(h) = softmax_m(features(h) @ W)     weights that follow what is known of context h

The first two are learned by expectation maximisation. The table is that of F. Jelinek and R. Mercer
1980, "Interpolated estimation of Markov source parameters from sparse data", with the buckets of
Bengio et al. 2003, section 3. The gate is the mixture of experts of R. Jacobs, M. Jordan, S. Nowlan
and G. Hinton 1991, "Adaptive mixtures of local experts"; its experts stay as they are.
"""

import numpy as np
from jaxtyping import Float, Int64

from thence.lbfgs import minimize
from thence.models.base import Array

ITERATIONS = 100
IMAGINED_TARGETS = 10.0
"""How many targets the overall weights count for in each bucket, so that rare ones stay sane."""
STEPS = 300
MEMORY = 20
"""Steps of the descent that tell of the curvature."""
CLOSE = 5e-7
"""The gate is learned when five steps gain less, in nats per target."""
PENALTY = 0.6
"""Of half the squared coefficients, the constant's apart: in nats of the whole dev text."""
TINY = 1e-6
SMALLEST = np.float32(1e-30)

Probs = Float[np.ndarray, "targets models"]


def learn_table(
    probs: Probs,
    bucket_ids: Int64[np.ndarray, " targets"],
    num_buckets: int,
    prior: Float[np.ndarray, " models"] | None = None,
    imagined: float = IMAGINED_TARGETS,
) -> Float[np.ndarray, "buckets models"]:
    """Return the weights of each bucket under which the targets are likeliest.

    Args:
        probs: Each model's probability of each target, up to a factor per target.
        bucket_ids: The bucket of each target.
        num_buckets: How many buckets there are.
        prior: Weights that every bucket starts from and is drawn to.
        imagined: How many targets they count for in each bucket.
    """
    count = probs.shape[1]
    base = np.full(count, 1 / count) if prior is None else prior
    imagined = 0.0 if prior is None else imagined
    weights = np.tile(base, (num_buckets, 1))
    sizes = np.bincount(bucket_ids, minlength=num_buckets)[:, None] + imagined
    for _ in range(ITERATIONS):
        shares = weights[bucket_ids] * probs
        shares /= shares.sum(axis=1, keepdims=True)
        credit = [np.bincount(bucket_ids, shares[:, model], num_buckets) for model in range(count)]
        weights = (np.stack(credit, axis=1) + imagined * base) / np.maximum(sizes, 1e-300)
        weights[sizes[:, 0] == 0] = base
    return weights


def learn_single(
    probs: Probs, imagined: float = 0.0, iterations: int = ITERATIONS
) -> Float[np.ndarray, " models"]:
    """Return the one set of weights under which the targets are likeliest.

    Args:
        probs: Each model's probability of each target, up to a factor per target.
        imagined: So many targets more that all models tell equally well: on few targets they keep
            the weights near equal ones, on many they do not matter.
        iterations: Of expectation maximisation, which is slow where models are alike.
    """
    count, total = probs.shape[1], max(len(probs) + imagined, 1)
    weights = np.full(count, 1 / count)
    for _ in range(iterations if len(probs) else 0):
        weights = weights * ((1 / (probs @ weights)) @ probs / total) + imagined / total / count
    return weights


def learn_gate(
    probs: Probs, features: Float[np.ndarray, "targets features"]
) -> Float[np.ndarray, "features models"]:
    """Return the coefficients of the gate under which the targets are likeliest.

    The gradient of the log-likelihood with respect to the gate's logits is what each member
    deserves of a target less what it was given. The descent (``descent.py``) begins with a bound of
    the curvature: half the features' second moments (D. Boehning 1992, "Multinomial logistic
    regression algorithm").

    Args:
        probs: Each model's probability of each target, up to a factor per target.
        features: What is known of each target's context; the first is the constant 1.
    """
    rows, columns = features.shape[1], probs.shape[1]
    by_feature = np.ascontiguousarray(features.T, np.float32)
    by_model = np.ascontiguousarray(probs.T, np.float32)
    penalty = np.full((rows, 1), PENALTY)
    penalty[0] = 0
    bound = by_feature @ features / 4 + np.diag(penalty[:, 0] + TINY)
    start = np.zeros((rows, columns))
    start[0] = np.log(np.maximum(learn_single(probs), TINY))

    def loss(gate: Array) -> tuple[float, Array]:
        given = (
            gate.T.astype(np.float32) @ by_feature
        )  # (M, T): sums over few models are fast along this axis.
        given -= given.max(axis=0)
        np.exp(given, out=given)
        given /= given.sum(axis=0)
        deserved = given * by_model
        likelihoods = np.maximum(deserved.sum(axis=0), SMALLEST)
        deserved /= likelihoods
        penalized = penalty * gate
        nats = (
            -float(np.log(likelihoods).sum(dtype=np.float64)) + float(np.vdot(penalized, gate)) / 2
        )
        return nats, penalized - by_feature @ (deserved - given).T

    inverse = np.linalg.inv(bound)
    return minimize(loss, start, lambda slope: inverse @ slope, CLOSE * len(probs), STEPS, MEMORY)


def log_weights_of(
    gate: Float[np.ndarray, "features models"], features: Float[np.ndarray, "targets features"]
) -> Float[np.ndarray, "targets models"]:
    """Return the logarithm of the weights that the gate gives in each context."""
    logits = features @ gate
    logits -= logits.max(axis=1, keepdims=True)
    log_weights: Float[np.ndarray, "targets models"] = logits - np.log(
        np.exp(logits).sum(axis=1, keepdims=True)
    )
    return log_weights
