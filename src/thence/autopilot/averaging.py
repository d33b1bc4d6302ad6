"""Ensembles of trained classifiers: choosing the members to average, and their loss on dev.

The weights of the average are learned on dev, and must not be judged on the documents that they
were learned from. So each half of dev is judged with weights learned on the other half (two-fold
cross-validation). ``combining`` does the same for language models.
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
from thence.models.registry import get_family
from thence.training.dev_evaluation import EvalResult, evaluate_labels

MIN_GAIN_OF_NETWORK = 0.0005
"""Nats per document that a network must gain for the average, or else it is dropped."""
MIN_WEIGHT = 0.02
"""Members of a lower weight are dropped: in 21 splits of five sets that changed the loss by less
than 0.0005 nats, and each member takes time and space in use."""
CENTROID_DOCUMENTS = 300.0
"""Number of labelled documents at which a centroid classifier has the same weight as each other
member. Its weight is (CENTROID_DOCUMENTS / documents)² of theirs, since centroids are better than
other classifiers only with fewer documents."""
LATENT_DOCUMENTS = 100.0
"""Number of labelled documents at which the classifiers of latent dimensions together have the same
weight as all others together, if both groups have the same loss. With n documents their weight is
LATENT_DOCUMENTS / n of that of the others. Chosen among 100 and 300 on held-out documents."""
SPREAD = 0.3
"""Assumed standard deviation s of the difference of two classifiers' losses of a document, in nats.
Their mean losses on n documents differ by about s / sqrt(n) by chance."""


def combine_classifiers(
    members: Sequence[TrainedCandidate],
    labels: Labels,
    vocabulary_size: int,
    classes: Classes,
    ends: float = math.inf,
) -> Ensemble:
    """Average the useful members.

    Args:
        members: The trained classifiers; at least one.
        labels: The labels of dev.
        vocabulary_size: Number of token ids (V).
        classes: The classes of the labels.
        ends: Deadline of choosing them, by ``time.monotonic``.

    Returns:
        The ensemble, even if a member alone has a lower loss on dev: as the lowest of several that
        is too good by chance. In 26 splits of five sets the loss of the ensemble on other documents
        was lower in 25, also in the four of them where it was higher on dev.
    """
    if len(members) == 1:
        return single(members[0])
    with deadline(ends):
        kept = _useful(list(members), labels)
    if len(kept) == 1:
        return single(kept[0])
    result = _evaluate_held_out(kept, labels)
    pool = classifiers.learn_pool([one.scores for one in kept], labels)
    model = average_of(kept, pool.weights, vocabulary_size, classes, pool.temperature)
    accuracy, shares = result.metrics["dev_accuracy"], tuple(pool.weights.tolist())
    own = "ensemble", model.options, model, result.nats, accuracy
    return Ensemble(tuple(kept), shares, *own, judged=len(labels))


def average_few(
    members: Sequence[TrainedCandidate], labels: Labels, vocabulary_size: int, classes: Classes
) -> Ensemble:
    """Average all members with equal weights: few documents are too few to learn weights on.

    Centroid classifiers and those of latent dimensions have other weights, which depend on the
    number of documents.

    Args:
        members: The trained classifiers; at least one.
        labels: The labels of the documents that the members are judged on.
        vocabulary_size: Number of token ids (V).
        classes: The classes of the labels.
    """
    if len(members) == 1:
        return single(members[0])
    weights = _weights_of_few(members, labels)
    result = evaluate_labels(classifiers.pooled([one.scores for one in members], weights), labels)
    model = average_of(members, weights, vocabulary_size, classes)
    own = "ensemble", model.options, model, result.nats, result.metrics["dev_accuracy"]
    return Ensemble(tuple(members), tuple(weights.tolist()), *own, judged=len(members[0].scores))


def _weights_of_few(members: Sequence[TrainedCandidate], labels: Labels) -> Float64[Any, "members"]:
    """Return the weights of classifiers that learned from few documents, which sum to 1.

    The classifiers of latent dimensions learned about words from documents without labels. Their
    group has a weight in relation to the group of all others: with n documents and the losses L of
    the groups in cross-validation, LATENT_DOCUMENTS / n * exp(-(L_latent - L_other) / (SPREAD /
    sqrt(n))). So a difference in loss counts in multiples of what chance alone would give.
    """
    documents = max(1, len(labels))
    dimensions = np.array([getattr(one.options, "latent_dimensions", None) or 0 for one in members])
    centroids = np.array([is_centroid(one.options) for one in members])
    weights = np.where(centroids, (CENTROID_DOCUMENTS / documents) ** 2, 1.0)
    latent = dimensions > 0
    if latent.all() or not latent.any():
        return weights / weights.sum()

    def relative_weight(difference: Any) -> Any:
        return np.exp(-np.clip(difference * documents**0.5 / SPREAD, -50, 50))

    nats = np.array([one.nats for one in members])
    # With fewer documents than dimensions, not all dimensions can be learned.
    learnable = np.minimum(1.0, documents / np.maximum(dimensions, 1))
    weights = np.where(latent, learnable * relative_weight(nats - nats[latent].min()), weights)
    losses = []
    for group in (latent, ~latent):
        weights[group] /= weights[group].sum()
        scores = [one.scores for one, its in zip(members, group, strict=True) if its]
        losses.append(evaluate_labels(classifiers.pooled(scores, weights[group]), labels).nats)
    odds = LATENT_DOCUMENTS / documents * relative_weight(losses[0] - losses[1])
    return np.where(latent, odds, 1.0) * weights / (1 + odds)


def is_centroid(options: Any) -> bool:
    """Return whether these are the settings of a centroid classifier."""
    return getattr(options, "loss", None) == "centroid"


def _useful(members: list[TrainedCandidate], labels: Labels) -> list[TrainedCandidate]:
    """Return the members that the average should have.

    Backward elimination drops networks that gain too little, since each makes the result wait for
    PyTorch. Of the others, those with a small weight are dropped. To drop more of them by their
    gain would be to choose by chance: dev is a tenth of the documents, and most gains are smaller
    than the standard error.
    """
    nats = _evaluate_held_out(members, labels).nats
    while not past_deadline():
        fewer = [
            members[:at] + members[at + 1 :]
            for at, one in enumerate(members)
            if _needs_torch(one) and len(members) > 1
        ]
        losses = [_evaluate_held_out(some, labels).nats for some in fewer]
        if not losses or min(losses) > nats + MIN_GAIN_OF_NETWORK:
            break
        nats = min(losses)
        members = fewer[losses.index(nats)]
    weights = classifiers.learn_pool([one.scores for one in members], labels).weights
    least = min(MIN_WEIGHT, weights.max())  # Of very many members each may have less.
    return [one for one, weight in zip(members, weights, strict=True) if weight >= least]


def _needs_torch(one: TrainedCandidate) -> bool:
    """Return whether a classifier cannot be used without PyTorch."""
    family = get_family(one.family)
    return family.method == "train" and not family.inference


def _evaluate_held_out(members: Sequence[TrainedCandidate], labels: Labels) -> EvalResult:
    """Evaluate an average of classifiers, each half of dev with weights learned on the other."""
    found = np.empty_like(members[0].scores)
    halves = (np.arange(0, len(labels), 2), np.arange(1, len(labels), 2))
    for learned, judged in (halves, halves[::-1]):
        said = [one.scores[learned] for one in members]
        pool = classifiers.learn_pool(said, labels.take(learned))
        said = [one.scores[judged] for one in members]
        found[judged] = classifiers.pooled(said, pool.weights, pool.temperature, labels.multilabel)
    return evaluate_labels(found, labels)


def sharing_weights(
    made: Ensemble, others: Sequence[TrainedCandidate], vocabulary_size: int, classes: Classes
) -> Ensemble:
    """Return the ensemble with further classifiers, which share the weights of its members.

    Args:
        made: The ensemble.
        others: Classifiers trained on train and dev; each shares the weight of the member that it
            names in ``TrainedCandidate.judged_as``.
        vocabulary_size: Number of token ids (V).
        classes: The classes of the labels.
    """
    members, weights = [], []
    for one, weight in zip(made.members, made.weights, strict=True):
        sharing = [one, *(other for other in others if other.judged_as == one.name)]
        members += sharing
        weights += [weight / len(sharing)] * len(sharing)
    temperature = temperature_of(made.model)
    model = average_of(members, np.array(weights), vocabulary_size, classes, temperature)
    return replace(
        made, members=tuple(members), weights=tuple(weights), family="ensemble",
        options=model.options, model=model, refit=True,
    )  # fmt: skip


def average_of(
    members: Sequence[TrainedCandidate],
    weights: Float64[np.ndarray, " members"],
    vocabulary_size: int,
    classes: Classes,
    temperature: float = 1.0,
) -> classifiers.Ensemble:
    """Return the weighted average of some classifiers as one model."""
    listed = [classifiers.Member(one.family, one.settings) for one in members]
    models = [one.model for one in members]
    return build_average(listed, models, weights, vocabulary_size, classes, temperature)


def temperature_of(model: Any) -> float:
    """Return the temperature of an average; 1 for any other classifier."""
    return model.options.temperature if isinstance(model, classifiers.Ensemble) else 1.0
