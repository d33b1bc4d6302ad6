"""Temperature scaling: probabilities that are neither too certain nor too uncertain.

The logits s of a document are divided by the temperature T with the highest likelihood of held-out
documents:

    p(label) = softmax(s / T)

A hinge loss, and a product over the tokens of a document, give logits that are no log-probabilities
at all. An average of classifiers that err in different documents is less certain than it could be.

Source: C. Guo, G. Pleiss, Y. Sun and K. Weinberger 2017, "On calibration of modern neural
networks"; for support vector machines, with a bias beside it, J. Platt 1999, "Probabilistic outputs
for support vector machines"; for averages, R. Ranjan and T. Gneiting 2010, "Combining probability
forecasts". It is what ``CalibratedClassifierCV(method="temperature")`` of scikit-learn learns.
"""

import numpy as np

from thence.array_types import Float, Float32
from thence.corpus.documents import Labels
from thence.models.base import (
    MAX_LOG_PROB,
    MIN_LOG_PROB,
    Array,
    Classes,
    class_log_probs,
    log_probs_of_truth,
)

LOWEST_LOG, HIGHEST_LOG = -6.0, 4.0
"""Bounds of the natural logarithm of the inverse temperature."""
GOLDEN = (5**0.5 - 1) / 2
"""The golden ratio's inverse, by which each step of the search shortens the range."""
SEARCH_STEPS = 25
"""Steps of the golden section search: they reduce the range to 6e-6 of it."""
MAX_LOGITS = 1 << 20
"""Largest number of logits, documents times labels, that a temperature is learned from, which takes
about a second; of more, evenly spaced documents."""
PRIOR_DOCUMENTS = 1.0
"""Number of pseudo-documents whose label is uniformly distributed: they keep the temperature above
zero if a few documents are all classified correctly."""


def learn_temperature(
    logits: Float[np.ndarray, "documents classes"],
    labels: Labels,
    classes: Classes,
    prior: Float32[np.ndarray, " classes"] | float = 0.0,
    calibrated: float = 0.0,
) -> float:
    """Return the temperature with the highest likelihood of documents and pseudo-documents.

    The loss is convex in the inverse temperature, so golden section search over its logarithm finds
    the minimum.

    Args:
        logits: The logits that are divided by the temperature.
        labels: The true labels.
        classes: The labels that are predicted.
        prior: Added to the logits of each label once they are divided.
        calibrated: Number of pseudo-documents whose labels are as probable as the logits say: the
            more, the closer to 1 is the temperature.
    """
    if logits.size > MAX_LOGITS:
        chosen = np.linspace(0, len(logits) - 1, max(1, MAX_LOGITS // logits.shape[1])).astype(int)
        logits, labels = logits[chosen], labels.take(chosen)
    wide = logits.astype(np.float64)
    before = np.exp(class_log_probs(wide, classes))

    def loss(log_inverse: float) -> float:
        divided = wide * np.exp(log_inverse) + prior
        log_probs = class_log_probs(divided, classes)
        truths = log_probs_of_truth(log_probs, labels)
        uniform, as_before = log_probs.mean(1), (before * log_probs).sum(1)
        if classes.multilabel:  # Each label with probability 1/2; log(1 - p) is log p minus logit.
            no = log_probs - divided
            uniform = (log_probs + no).sum(1) / 2
            as_before += ((1 - before) * no).sum(1)
        pseudo = PRIOR_DOCUMENTS * float(uniform.mean()) + calibrated * float(as_before.mean())
        return -float(truths.sum()) - pseudo

    if not len(logits):
        return 1.0
    low, high = LOWEST_LOG, HIGHEST_LOG
    inner = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)]
    losses = [loss(at) for at in inner]
    for _ in range(SEARCH_STEPS):
        if losses[0] < losses[1]:
            high, inner[1], losses[1] = inner[1], inner[0], losses[0]
            inner[0] = high - GOLDEN * (high - low)
            losses[0] = loss(inner[0])
        else:
            low, inner[0], losses[0] = inner[0], inner[1], losses[1]
            inner[1] = low + GOLDEN * (high - low)
            losses[1] = loss(inner[1])
    return float(np.exp(-(low + high) / 2))


def divided(
    log_probs: Float[np.ndarray, "documents classes"], temperature: float, classes: Classes
) -> Array:
    """Return log-probabilities of labels once their logits are divided by a temperature."""
    return class_log_probs(logits_of_probs(log_probs, classes) / temperature, classes)


def logits_of_probs(log_probs: Float[np.ndarray, "documents classes"], classes: Classes) -> Array:
    """Return logits that give these probabilities; if multilabel, the log-odds of each label."""
    if not classes.multilabel:
        return log_probs
    likely = np.clip(log_probs.astype(np.float64), MIN_LOG_PROB, MAX_LOG_PROB)
    return likely - np.log(-np.expm1(likely))
