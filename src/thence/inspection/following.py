"""The lens ``following``: the predictive distribution at each place, as rank, entropy and top k."""

import math

import numpy as np

from thence.array_types import Float
from thence.inspection.subject import Subject
from thence.inspection.tokens import Following, Likely


def following(subject: Subject) -> dict[int, Following]:
    """Return a summary of the predictive distribution at each shown place, and after the text."""
    found: dict[int, Following] = {}
    for first, stop in ((subject.first, subject.stop), (subject.size, subject.size + 1)):
        if first == stop:
            continue
        for places, log_probs in subject.distributions(first, stop):
            for place, row in zip(places.tolist(), log_probs, strict=True):
                index = int(subject.ids[place]) if place < subject.size else None
                found[place] = summarize(subject, row.astype(np.float64), index)
    return dict(sorted(found.items()))


def summarize(
    subject: Subject, log_probs: Float[np.ndarray, " vocab"], index: int | None
) -> Following:
    """Return entropy and likeliest tokens of a distribution, and the rank of an id in it."""
    probs = np.exp(log_probs)
    total = probs.sum()  # Not 1 for imported models and stupid back-off; normalised below.
    certain = np.where(probs > 0, log_probs, 0.0)
    entropy = (math.log(total) - float(probs @ certain) / total) / math.log(2) if total else 0.0
    top = tuple(
        Likely(subject.token_text(one), one, float(probs[one]))
        for one in likeliest(log_probs, subject.top)
    )
    rank = None if index is None else int(np.count_nonzero(log_probs > log_probs[index])) + 1
    return Following(max(entropy, 0.0), top, rank)


def likeliest(log_probs: Float[np.ndarray, " vocab"], count: int) -> list[int]:
    """Return the indices of the ``count`` highest values, highest first; ties by lower index."""
    if not count:
        return []
    candidates = np.arange(len(log_probs))
    if 0 < count < len(log_probs):  # Selecting first is much faster than sorting the vocabulary.
        candidates = np.flatnonzero(log_probs >= np.partition(log_probs, -count)[-count])
    order = np.argsort(-log_probs[candidates], kind="stable")[:count]
    found: list[int] = candidates[order].tolist()
    return found
