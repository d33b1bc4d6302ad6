"""Which classifiers that were tried go together, and how good they are together.

As in ``blending``, each half of dev is judged under weights learned on the other half, and what
brings nothing is dropped.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

from thence.autopilot.parts import Blend, Part, alone
from thence.corpus.labels import Labels
from thence.models.labels.base import Classes
from thence.models.labels.ensemble import Ensemble, EnsembleOptions, Member, learn_pool, pooled
from thence.training.dev_evaluation import EvalResult, evaluate_labels

WORTH = 0.0005
"""Nats per document that a member must bring."""


def pool(parts: Sequence[Part], labels: Labels, vocabulary_size: int, classes: Classes) -> Blend:
    """Choose the parts that pay for their place, and average them.

    Args:
        parts: What was tried; at least one.
        labels: Of dev.
        vocabulary_size: Number of token ids (V).
        classes: What is told apart.

    Returns:
        The blend; the best part alone where it is likelier on dev.
    """
    single = min(map(alone, parts), key=lambda one: one.nats)
    chosen = _paying(list(parts), labels)
    if len(chosen) == 1:
        return single
    result = _look(chosen, labels)
    weights = learn_pool([part.scores for part in chosen], labels).weights
    ensemble = ensemble_of(chosen, weights, vocabulary_size, classes)
    accuracy = result.metrics["dev_accuracy"]
    shares = tuple(weights.tolist())
    made = Blend(tuple(chosen), shares, ensemble, ensemble.options, result.nats, accuracy)
    return min((made, single), key=lambda one: one.nats)


def ensemble_of(
    parts: Sequence[Part],
    weights: Float64[np.ndarray, " parts"],
    vocabulary_size: int,
    classes: Classes,
) -> Ensemble:
    """Return the average of some parts."""
    members = tuple(Member(part.family, part.options) for part in parts)
    ensemble = Ensemble(EnsembleOptions(members), vocabulary_size, classes)
    ensemble.members = [part.model for part in parts]
    ensemble.weights = weights
    return ensemble


def _paying(parts: list[Part], labels: Labels) -> list[Part]:
    """Return the parts without those that the others do better without, the worst first."""
    nats = _look(parts, labels).nats
    while len(parts) > 1:
        fewer = [parts[:at] + parts[at + 1 :] for at in range(len(parts))]
        losses = [_look(some, labels).nats for some in fewer]
        if min(losses) > nats + WORTH:
            break
        nats = min(losses)
        parts = fewer[losses.index(nats)]
    return parts


def _look(parts: Sequence[Part], labels: Labels) -> EvalResult:
    """Judge the average of parts, each half of dev under the weights of the other."""
    return evaluate_labels(_held_out(parts, labels), labels)


def _held_out(parts: Sequence[Part], labels: Labels) -> Float[np.ndarray, "documents classes"]:
    """Return what the average says of each half of dev, under the weights of the other."""
    found = np.empty_like(parts[0].scores)
    halves = (np.arange(0, len(labels), 2), np.arange(1, len(labels), 2))
    for learned, judged in (halves, halves[::-1]):
        weights = learn_pool([p.scores[learned] for p in parts], labels.take(learned)).weights
        found[judged] = pooled([part.scores[judged] for part in parts], weights)
    return found
