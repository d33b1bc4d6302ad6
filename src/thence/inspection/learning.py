"""The lens of models that learn from the text as they read it: what that gained, token by token."""

import math
from dataclasses import dataclass

import numpy as np

from thence.inspection.subject import Subject
from thence.models.base import static_model


@dataclass(frozen=True)
class Learned:
    """What adapting to the text before it did to a token.

    Attributes:
        probability: Of the token by the model as it was trained; None if nothing is left of it.
        bits_gained: How much less surprising the token is than to that model; below 0: more.
    """

    probability: float | None
    bits_gained: float | None


def learning(subject: Subject) -> list[Learned]:
    """Return what adapting to the text gained for each token that is shown."""
    static = static_model(subject.model)
    if static is None:
        return [Learned(None, None) for _ in subject.shown]
    before = static.score(subject.store, subject.carries).astype(np.float64)
    gained = (subject.log_probs - before) / math.log(2)
    rows = slice(subject.first, subject.stop)
    pairs = zip(np.exp(before[rows]).tolist(), gained[rows].tolist(), strict=True)
    return [Learned(probability, bits) for probability, bits in pairs]
