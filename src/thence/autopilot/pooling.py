"""Which classifiers that were tried go together, and how good they are together.

As in ``blending``, each half of dev is judged under weights learned on the other half, and what
brings nothing is dropped.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thence.autopilot.parts import Blend, Part, alone
from thence.classifiers import Classes
from thence.classifiers.ensemble import Ensemble, EnsembleOptions, Member, learn_pool, pooled
from thence.corpus.labels import Labels
from thence.training.judging import label_look

LIGHT = 0.05
"""Members of less weight than this are dropped where the others are as good without."""


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
    chosen = list(parts)
    weights = _weights(chosen, labels)
    while len(chosen) > 1 and min(weights) < LIGHT:
        lightest = int(np.argmin(weights))
        chosen = chosen[:lightest] + chosen[lightest + 1 :]
        weights = _weights(chosen, labels)
    if len(chosen) == 1:
        return single
    look = label_look(_held_out(chosen, labels), labels)
    members = tuple(Member(part.family, part.options) for part in chosen)
    ensemble = Ensemble(EnsembleOptions(members), vocabulary_size, classes)
    ensemble.members = [part.model for part in chosen]
    ensemble.weights = weights
    accuracy = look.more["dev_accuracy"]
    shares = tuple(weights.tolist())
    made = Blend(tuple(chosen), shares, ensemble, ensemble.options, look.nats, accuracy)
    return min((made, single), key=lambda one: one.nats)


def _weights(parts: Sequence[Part], labels: Labels) -> Float[np.ndarray, " parts"]:
    return learn_pool([part.scores for part in parts], labels).weights


def _held_out(parts: Sequence[Part], labels: Labels) -> Float[np.ndarray, "documents classes"]:
    """Return what the average says of each half of dev, under the weights of the other."""
    found = np.empty_like(parts[0].scores)
    halves = (np.arange(0, len(labels), 2), np.arange(1, len(labels), 2))
    for learned, judged in (halves, halves[::-1]):
        weights = learn_pool([p.scores[learned] for p in parts], labels.take(learned)).weights
        found[judged] = pooled([part.scores[judged] for part in parts], weights)
    return found
