"""The weights of a mixture, learned on dev: a table by expectation maximisation, or a gate.

    table   l_m(b)                                  one set of weights for each bucket b of contexts
    gate    l_m(h) = softmax_m(features(h) @ W)     weights that follow what is known of context h

The table is that of F. Jelinek and R. Mercer 1980, "Interpolated estimation of Markov source
parameters from sparse data", with the buckets of Bengio et al. 2003, section 3. The gate is the
mixture of experts of R. Jacobs, M. Jordan, S. Nowlan and G. Hinton 1991, "Adaptive mixtures of
local experts"; its experts stay as they are.
"""

import numpy as np
from jaxtyping import Float, Int64

ITERATIONS = 100
IMAGINED_TARGETS = 10.0
"""How many targets the overall weights count for in each bucket, so that rare ones stay sane."""
STEPS = 400
CLOSE = 1e-4
"""The gate is learned when a step changes no coefficient by more."""
PENALTY = 0.6
"""Of half the squared coefficients, the constant's apart: in nats of the whole dev text."""
TINY = 1e-6

Chances = Float[np.ndarray, "targets models"]


def learn_table(
    chances: Chances,
    kinds: Int64[np.ndarray, " targets"],
    num_kinds: int,
    prior: Float[np.ndarray, " models"] | None = None,
    imagined: float = IMAGINED_TARGETS,
) -> Float[np.ndarray, "kinds models"]:
    """Return the weights of each bucket under which the targets are likeliest.

    Args:
        chances: Each model's probability of each target, up to a factor per target.
        kinds: The bucket of each target.
        num_kinds: How many buckets there are.
        prior: Weights that every bucket starts from and is drawn to.
        imagined: How many targets they count for in each bucket.
    """
    count = chances.shape[1]
    base = np.full(count, 1 / count) if prior is None else prior
    imagined = 0.0 if prior is None else imagined
    weights = np.tile(base, (num_kinds, 1))
    sizes = np.bincount(kinds, minlength=num_kinds)[:, None] + imagined
    for _ in range(ITERATIONS):
        shares = weights[kinds] * chances
        shares /= shares.sum(axis=1, keepdims=True)
        credit = [np.bincount(kinds, shares[:, model], num_kinds) for model in range(count)]
        weights = (np.stack(credit, axis=1) + imagined * base) / np.maximum(sizes, 1e-300)
        weights[sizes[:, 0] == 0] = base
    return weights


def learn_overall(chances: Chances) -> Float[np.ndarray, " models"]:
    """Return the one set of weights under which the targets are likeliest."""
    weights: Float[np.ndarray, " models"] = learn_table(
        chances, np.zeros(len(chances), np.int64), 1
    )[0]
    return weights


def learn_gate(
    chances: Chances, features: Float[np.ndarray, "targets features"]
) -> Float[np.ndarray, "features models"]:
    """Return the coefficients of the gate under which the targets are likeliest.

    The gradient of the log-likelihood with respect to the gate's logits is what each member
    deserves of a target less what it was given. It is divided by a bound of the curvature, which
    is half the features' second moments (D. Boehning 1992, "Multinomial logistic regression
    algorithm"), so that no step size need be chosen; half of that bound has always been safe.
    Momentum that restarts where it points downhill makes up for small steps.

    Args:
        chances: Each model's probability of each target, up to a factor per target.
        features: What is known of each target's context; the first is the constant 1.
    """
    count = features.shape[1]
    penalty = np.full((count, 1), PENALTY)
    penalty[0] = 0
    curvature = features.T @ features / 4 + np.diag(penalty[:, 0] + TINY)
    gate = np.zeros((count, chances.shape[1]))
    gate[0] = np.log(np.maximum(learn_overall(chances), TINY))
    ahead, age = gate, 0
    for _ in range(STEPS):
        given = np.exp(log_weights_of(ahead, features))
        deserved = given * chances
        deserved /= np.maximum(deserved.sum(axis=1, keepdims=True), 1e-300)
        change = np.linalg.solve(curvature, features.T @ (deserved - given) - penalty * ahead)
        moved = ahead + change
        age = age + 1 if np.vdot(change, moved - gate) > 0 else 0
        ahead, gate = moved + age / (age + 3) * (moved - gate), moved
        if np.abs(change).max(initial=0) < CLOSE:
            break
    return gate


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
