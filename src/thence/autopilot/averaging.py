"""Ensembles of trained classifiers: choosing the members to average, and their loss on dev.

The weights of the average are learned on dev. They must not be judged by what they were learned
from: each half of dev is judged under weights learned on the other half. Members that gain too
little are pruned. Language models are mixed by the same rules (``combining``).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from thence.array_types import Float64
from thence.autopilot.candidates import Ensemble, TrainedCandidate, single
from thence.corpus.documents import Labels
from thence.deadline import deadline, past_deadline
from thence.ensembles.members import build_average
from thence.models.base import Classes
from thence.models.labels import ensemble as classifiers
from thence.training.dev_evaluation import EvalResult, evaluate_labels

MIN_GAIN_OF_CLASSIFIER = 0.0005
"""Nats per document that a member of an average must gain."""
CENTROID_DOCUMENTS = 300.0
"""Labelled documents at which a centroid classifier has the weight of any other member. Its weight
is (CENTROID_DOCUMENTS / documents)² of theirs: centroids are ahead with fewer documents only."""


def combine_classifiers(
    members: Sequence[TrainedCandidate],
    labels: Labels,
    vocabulary_size: int,
    classes: Classes,
    ends: float = math.inf,
) -> Ensemble:
    """Prune the members and average those that are left.

    Args:
        members: What was trained; at least one.
        labels: Those of dev.
        vocabulary_size: Number of token ids (V).
        classes: The classes of the labels.
        ends: When to prune no more, by ``time.monotonic``.

    Returns:
        The ensemble; the best member alone where it is likelier on dev.
    """
    best = min(map(single, members), key=lambda one: one.nats)
    if len(members) == 1:
        return best
    with deadline(ends):
        kept = _prune_classifiers(list(members), labels)
    if len(kept) == 1:
        return best
    result = _evaluate_held_out(kept, labels)
    weights = classifiers.learn_pool([one.scores for one in kept], labels).weights
    model = average_of(kept, weights, vocabulary_size, classes)
    accuracy, shares = result.metrics["dev_accuracy"], tuple(weights.tolist())
    own = "ensemble", model.options, model, result.nats, accuracy
    made = Ensemble(tuple(kept), shares, *own, judged=best.judged)
    return min((made, best), key=lambda one: one.nats)


def average_few(
    members: Sequence[TrainedCandidate], labels: Labels, vocabulary_size: int, classes: Classes
) -> Ensemble:
    """Average all members alike: few documents say too little of which is better.

    Only centroid classifiers count for more the fewer documents there are.

    Args:
        members: What was trained; at least one.
        labels: Of the documents that they are judged by.
        vocabulary_size: Number of token ids (V).
        classes: The classes of the labels.
    """
    if len(members) == 1:
        return single(members[0])
    for_centroid = (CENTROID_DOCUMENTS / max(1, len(labels))) ** 2
    counted = np.array([for_centroid if is_centroid(one.options) else 1.0 for one in members])
    weights = counted / counted.sum()
    result = evaluate_labels(classifiers.pooled([one.scores for one in members], weights), labels)
    model = average_of(members, weights, vocabulary_size, classes)
    accuracy, shares = result.metrics["dev_accuracy"], tuple(weights.tolist())
    return Ensemble(tuple(members), shares, "ensemble", model.options, model, result.nats, accuracy)


def is_centroid(options: Any) -> bool:
    """Return whether these are the settings of a centroid classifier."""
    return getattr(options, "loss", None) == "centroid"


def _prune_classifiers(members: list[TrainedCandidate], labels: Labels) -> list[TrainedCandidate]:
    """Return the members without those that gain too little; the one that gains least goes first.

    All are tried each time: judging an average takes no more than a sum.
    """
    nats = _evaluate_held_out(members, labels).nats
    while len(members) > 1 and not past_deadline():
        fewer = [members[:at] + members[at + 1 :] for at in range(len(members))]
        losses = [_evaluate_held_out(some, labels).nats for some in fewer]
        if min(losses) > nats + MIN_GAIN_OF_CLASSIFIER:
            break
        nats = min(losses)
        members = fewer[losses.index(nats)]
    return members


def _evaluate_held_out(members: Sequence[TrainedCandidate], labels: Labels) -> EvalResult:
    """Evaluate the average of classifiers, each half of dev under weights learned on the other."""
    found = np.empty_like(members[0].scores)
    halves = (np.arange(0, len(labels), 2), np.arange(1, len(labels), 2))
    for learned, judged in (halves, halves[::-1]):
        said = [one.scores[learned] for one in members]
        weights = classifiers.learn_pool(said, labels.take(learned)).weights
        found[judged] = classifiers.pooled([one.scores[judged] for one in members], weights)
    return evaluate_labels(found, labels)


def sharing_weights(
    made: Ensemble, others: Sequence[TrainedCandidate], vocabulary_size: int, classes: Classes
) -> Ensemble:
    """Return an ensemble in which members share their weights with those that are judged like them.

    Args:
        made: The ensemble.
        others: What learned from dev too (``TrainedCandidate.like``).
        vocabulary_size: Number of token ids (V).
        classes: The classes of the labels.
    """
    members, weights = [], []
    for one, weight in zip(made.members, made.weights, strict=True):
        alike = [one, *(other for other in others if other.like == one.name)]
        members += alike
        weights += [weight / len(alike)] * len(alike)
    model = average_of(members, np.array(weights), vocabulary_size, classes)
    return replace(
        made, members=tuple(members), weights=tuple(weights), family="ensemble",
        options=model.options, model=model, refit=True,
    )  # fmt: skip


def average_of(
    members: Sequence[TrainedCandidate],
    weights: Float64[np.ndarray, " members"],
    vocabulary_size: int,
    classes: Classes,
) -> classifiers.Ensemble:
    """Return the weighted average of some classifiers."""
    listed = [classifiers.Member(one.family, one.settings) for one in members]
    models = [one.model for one in members]
    return build_average(listed, models, weights, vocabulary_size, classes)
