"""Choice of a linear classifier's strength and temperature by the likelihood of held-out documents.

The held-out documents are dev or, in cross-validation, each fold of train by weights learned from
the other folds. The logits of a hinge loss are not calibrated, so they are divided by the
temperature T with the highest likelihood of held-out documents:

    p(label) = softmax(s / T)

Source: C. Guo, G. Pleiss, Y. Sun and K. Weinberger 2017, "On calibration of modern neural
networks"; for support vector machines, with a bias beside it, J. Platt 1999, "Probabilistic outputs
for support vector machines". It is what ``CalibratedClassifierCV(method="temperature")`` of
scikit-learn learns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thence.array_types import Float32, Int64
from thence.corpus.documents import Labels
from thence.models.base import Array, Classes, class_log_probs, log_probs_of_truth
from thence.models.labels.design import Design
from thence.models.labels.latent import LatentDesign
from thence.models.labels.linear_fit import LinearWeights, Loss, Problem

FIRST: dict[Loss, float] = {"log_loss": 30.0, "squared_hinge": 1.0, "hinge": 1.0, "centroid": 1.0}
"""The strength that is tried first, and used if there are no held-out documents. It does not affect
centroids, for which the search ends at once."""
STRONGER, WEAKER = (10 / 3, 10.0), (1 / 3, 1 / 10, 1 / 30)
"""Multiples of it that are tried next: larger ones while the likelihood grows; if the first of
these is no better, smaller ones."""
LOWEST_LOG, HIGHEST_LOG = -6.0, 4.0
"""Bounds of the natural logarithm of the inverse temperature."""
GOLDEN = (5**0.5 - 1) / 2
"""The golden ratio's inverse, by which each step of the search shortens the range."""
SEARCH_STEPS = 25
"""Steps of the golden section search: they reduce the range to 6e-6 of it."""
PRIOR_DOCUMENTS = 1.0
"""Number of pseudo-documents whose label is uniformly distributed: they keep the temperature above
zero if a few documents are all classified correctly."""


@dataclass(frozen=True)
class Trial:
    """The result of one strength.

    Attributes:
        strength: The strength.
        likelihood: Log-probability of the true labels of the held-out documents, in nats.
        temperature: The temperature of the logits.
        learned: The weights learned from train, or those of each fold.
        log_probs: Log-probability of each label for each held-out document.
    """

    strength: float
    likelihood: float
    temperature: float
    learned: Sequence[LinearWeights]
    log_probs: Float32[np.ndarray, "documents classes"]


RunTrial = Callable[[float, Trial | None], Trial]
"""Evaluates a strength; starts from the weights of an earlier trial, if there is one."""


def on_dev(
    problem: Problem,
    sample_weight: Float32[np.ndarray, " documents"],
    dev: tuple[Design | LatentDesign, Labels],
) -> RunTrial:
    """Return the function that evaluates a strength on dev."""
    calibrated = problem.loss != "log_loss"

    def run_trial(strength: float, before: Trial | None) -> Trial:
        start = None if before is None else before.learned[0].solution
        learned = problem.learn(strength, sample_weight, start)
        columns = learned.columns(dev[0])
        return _trial(problem.classes, strength, [learned], columns, dev[1], calibrated)

    return run_trial


def on_folds(
    problem: Problem,
    sample_weight: Float32[np.ndarray, " documents"],
    labels: Labels,
    folds: Int64[np.ndarray, " documents"],
) -> RunTrial:
    """Return the function that evaluates a strength by cross-validation.

    Args:
        problem: The train documents.
        sample_weight: Their weights.
        labels: Their labels.
        folds: The fold of each.
    """

    def run_trial(strength: float, before: Trial | None) -> Trial:
        columns = np.zeros((len(labels), problem.classes.num_logits), np.float32)
        found = []
        for fold in range(int(folds.max(initial=0)) + 1):
            held_out = folds == fold
            start = None if before is None else before.learned[fold].solution
            learned = problem.learn(strength, np.where(held_out, 0, sample_weight), start)
            columns[held_out] = learned.columns(problem.design)[held_out]
            found.append(learned)
        return _trial(problem.classes, strength, found, columns, labels, calibrated=True)

    return run_trial


def _trial(
    classes: Classes,
    strength: float,
    learned: Sequence[LinearWeights],
    columns: Array,
    labels: Labels,
    calibrated: bool,
) -> Trial:
    logits = logits_of(columns, classes)
    temperature = learn_temperature(logits, labels, classes) if calibrated else 1.0
    log_probs = class_log_probs(logits / np.float32(temperature), classes)
    likelihood = float(log_probs_of_truth(log_probs, labels).sum())
    return Trial(strength, likelihood, temperature, learned, log_probs)


def best_trial(
    run_trial: RunTrial,
    loss: Loss,
    strength: float | None,
    should_stop: Callable[[], bool],
    weaker: Sequence[float] = WEAKER,
) -> Trial:
    """Return the trial with the highest likelihood of held-out documents.

    Args:
        run_trial: Evaluates a strength.
        loss: The loss, on which the strengths that are tried depend.
        strength: The given strength, which is then the only one tried; None: search.
        should_stop: Called before each trial; if it returns true, the search ends.
        weaker: Multiples below 1 of the first strength that are tried.
    """
    first = best = run_trial(strength or FIRST[loss], None)
    for multiples in (STRONGER, weaker) if strength is None else ():
        for multiple in multiples:
            if should_stop():
                return best
            made = run_trial(FIRST[loss] * multiple, best)
            if made.likelihood <= best.likelihood:
                break
            best = made
        if best is not first:
            break
    return best


def logits_of(
    columns: Float32[np.ndarray, "documents columns"], classes: Classes
) -> Float32[np.ndarray, "documents classes"]:
    """Return a logit for each label; if binary, with 0 for the first in a column of its own."""
    if classes.is_binary:
        return np.concatenate([np.zeros_like(columns), columns], axis=1)
    return columns


def learn_temperature(
    logits: Float32[np.ndarray, "documents classes"],
    labels: Labels,
    classes: Classes,
    prior: Float32[np.ndarray, " classes"] | float = 0.0,
) -> float:
    """Return the temperature with the highest likelihood of documents and a pseudo-document.

    The loss is convex in the inverse temperature, so golden section search over its logarithm finds
    the minimum.

    Args:
        logits: The logits that are divided by the temperature.
        labels: The true labels.
        classes: The labels that are predicted.
        prior: Added to the logits of each label once they are divided.
    """
    wide = logits.astype(np.float64)

    def loss(log_inverse: float) -> float:
        divided = wide * np.exp(log_inverse) + prior
        log_probs = class_log_probs(divided, classes)
        truths = log_probs_of_truth(log_probs, labels)
        uniform = log_probs.mean(1)
        if classes.multilabel:  # Each label with probability 1/2; log(1 - p) is log p minus logit.
            no = log_probs - divided
            uniform = (log_probs + no).sum(1) / 2
        return -float(truths.sum()) - PRIOR_DOCUMENTS * float(uniform.mean())

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


def folds_of(labels: Labels, count: int) -> Int64[np.ndarray, " documents"]:
    """Return the fold of each document, stratified by label."""
    order = np.random.default_rng(0).permutation(len(labels))
    if not labels.multilabel:
        order = order[np.argsort(labels.single[order], kind="stable")]
    folds = np.empty(len(labels), np.int64)
    folds[order] = np.arange(len(labels)) % count
    return folds
