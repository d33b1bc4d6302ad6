"""Which strength and temperature a linear classifier has: those under which others are likeliest.

The others are the documents of dev or, in cross-validation, each fold of train by weights that were
learned from the other folds. A hinge loss gives decisions and no probabilities, so its logits are
divided by a temperature T, under which the others are likeliest:

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
from thence.models.labels.linear_fit import Learned, Loss, Problem

FIRST: dict[Loss, float] = {"log_loss": 30.0, "squared_hinge": 1.0, "hinge": 1.0, "centroid": 1.0}
"""Strength that is tried first, and used where there is nothing to choose by. Centroids have none:
others would be as likely, so none is tried for long."""
STRONGER, WEAKER = (10 / 3, 10.0), (1 / 3, 1 / 10, 1 / 30)
"""Multiples of it that are tried next: larger ones while the others get likelier, else smaller."""
LOWEST_LOG, HIGHEST_LOG = -6.0, 4.0
"""Natural logarithms of the inverse temperatures that are considered."""
GOLDEN = (5**0.5 - 1) / 2
SEARCH_STEPS = 25
"""Steps of the golden section search: they leave 6e-6 of the range."""
PRIOR_DOCUMENTS = 1.0
"""Pseudo-documents that have every label alike: they keep the temperature of a few documents that
are all right from falling to zero."""


@dataclass(frozen=True)
class Attempt:
    """What one strength gives.

    Attributes:
        strength: The strength.
        likelihood: Log-probability of the true labels of the others.
        temperature: That of the logits.
        learned: Weights of train, or one for each fold.
        log_probs: Of each label for each of the others.
    """

    strength: float
    likelihood: float
    temperature: float
    learned: Sequence[Learned]
    log_probs: Float32[np.ndarray, "documents classes"]


Try = Callable[[float, Attempt | None], Attempt]


def on_dev(
    problem: Problem,
    sample_weight: Float32[np.ndarray, " documents"],
    dev: tuple[Design | LatentDesign, Labels],
) -> Try:
    """Return what tries a strength on dev."""
    calibrated = problem.loss != "log_loss"

    def attempt(strength: float, before: Attempt | None) -> Attempt:
        start = None if before is None else before.learned[0].solution
        learned = problem.learn(strength, sample_weight, start)
        columns = learned.columns(dev[0])
        return _attempt(problem.classes, strength, [learned], columns, dev[1], calibrated)

    return attempt


def in_folds(
    problem: Problem,
    sample_weight: Float32[np.ndarray, " documents"],
    labels: Labels,
    folds: Int64[np.ndarray, " documents"],
) -> Try:
    """Return what tries a strength by cross-validation; ``folds`` has the fold of each document."""

    def attempt(strength: float, before: Attempt | None) -> Attempt:
        columns = np.zeros((len(labels), problem.classes.num_columns), np.float32)
        found = []
        for fold in range(int(folds.max(initial=0)) + 1):
            held_out = folds == fold
            start = None if before is None else before.learned[fold].solution
            learned = problem.learn(strength, np.where(held_out, 0, sample_weight), start)
            columns[held_out] = learned.columns(problem.design)[held_out]
            found.append(learned)
        return _attempt(problem.classes, strength, found, columns, labels, calibrated=True)

    return attempt


def _attempt(
    classes: Classes,
    strength: float,
    learned: Sequence[Learned],
    columns: Array,
    labels: Labels,
    calibrated: bool,
) -> Attempt:
    logits = logits_of(columns, classes)
    temperature = learn_temperature(logits, labels, classes) if calibrated else 1.0
    log_probs = class_log_probs(logits / np.float32(temperature), classes)
    likelihood = float(log_probs_of_truth(log_probs, labels).sum())
    return Attempt(strength, likelihood, temperature, learned, log_probs)


def likeliest(
    attempt: Try,
    loss: Loss,
    strength: float | None,
    should_stop: Callable[[], bool],
    weaker: Sequence[float] = WEAKER,
) -> Attempt:
    """Return the attempt under which the others are likeliest; only the given strength if any."""
    first = best = attempt(strength or FIRST[loss], None)
    for multiples in (STRONGER, weaker) if strength is None else ():
        for multiple in multiples:
            if should_stop():
                return best
            made = attempt(FIRST[loss] * multiple, best)
            if made.likelihood <= best.likelihood:
                break
            best = made
        if best is not first:
            break
    return best


def logits_of(
    columns: Float32[np.ndarray, "documents columns"], classes: Classes
) -> Float32[np.ndarray, "documents classes"]:
    """Return a logit for each label: where one column tells two apart, 0 for the first."""
    if classes.is_difference:
        return np.concatenate([np.zeros_like(columns), columns], axis=1)
    return columns


def learn_temperature(
    logits: Float32[np.ndarray, "documents classes"], labels: Labels, classes: Classes
) -> float:
    """Return the temperature under which documents are likeliest, beside a pseudo-document.

    The loss is convex in the inverse temperature, so its one minimum is found by golden section
    search over the logarithm.
    """
    spread = logits.astype(np.float64)

    def loss(log_inverse: float) -> float:
        log_probs = class_log_probs(spread * np.exp(log_inverse), classes)
        truths = log_probs_of_truth(log_probs, labels)
        uniform = log_probs.mean(1)
        if classes.multilabel:  # Half a yes and half a no to each label.
            no = log_probs - spread * np.exp(log_inverse)
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
    """Return a fold for each document, so that each label is spread evenly over all folds."""
    order = np.random.default_rng(0).permutation(len(labels))
    if not labels.multilabel:
        order = order[np.argsort(labels.single[order], kind="stable")]
    folds = np.empty(len(labels), np.int64)
    folds[order] = np.arange(len(labels)) % count
    return folds
