"""Choice of a linear classifier's strength by the likelihood of held-out documents.

The held-out documents are dev or, in cross-validation, each fold of train by weights learned from
the other folds. The logits of a hinge loss are not calibrated, so they are divided by a temperature
(``temperature.py``), which is learned from the same documents.
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
from thence.models.labels.temperature import learn_temperature

FIRST: dict[Loss, float] = {"log_loss": 30.0, "squared_hinge": 1.0, "hinge": 1.0, "centroid": 1.0}
"""The strength that is tried first, and used if there are no held-out documents. It does not affect
centroids, for which the search ends at once."""
STRONGER, WEAKER = (10 / 3, 10.0), (1 / 3, 1 / 10, 1 / 30)
"""Multiples of it that are tried next: larger ones while the likelihood grows; if the first of
these is no better, smaller ones."""


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


def folds_of(labels: Labels, count: int) -> Int64[np.ndarray, " documents"]:
    """Return the fold of each document, stratified by label."""
    order = np.random.default_rng(0).permutation(len(labels))
    if not labels.multilabel:
        order = order[np.argsort(labels.single[order], kind="stable")]
    folds = np.empty(len(labels), np.int64)
    folds[order] = np.arange(len(labels)) % count
    return folds
