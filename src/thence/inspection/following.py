"""The lens of what could stand at each place: rank, entropy and the likeliest tokens."""

import math

import numpy as np

from thence.array_types import Float
from thence.inspection.subject import Subject
from thence.inspection.tokens import Following, Likely


def following(subject: Subject) -> dict[int, Following]:
    """Return what could stand at each place that is shown, and after the text."""
    found: dict[int, Following] = {}
    for first, stop in ((subject.first, subject.stop), (subject.size, subject.size + 1)):
        if first == stop:
            continue
        for places, log_probs in subject.distributions(first, stop):
            for place, row in zip(places.tolist(), log_probs, strict=True):
                index = int(subject.ids[place]) if place < subject.size else None
                found[place] = followed(subject, row.astype(np.float64), index)
    return dict(sorted(found.items()))


def followed(
    subject: Subject, log_probs: Float[np.ndarray, " vocab"], index: int | None
) -> Following:
    """Return what a distribution says, and which rank it gives to an id."""
    probs = np.exp(log_probs)
    total = probs.sum()  # Of an import, or of stupid back-off, it is not 1.
    certain = np.where(probs > 0, log_probs, 0.0)
    entropy = (math.log(total) - float(probs @ certain) / total) / math.log(2) if total else 0.0
    top = tuple(
        Likely(subject.token_text(one), one, float(probs[one]))
        for one in likeliest(log_probs, subject.top)
    )
    rank = None if index is None else int(np.count_nonzero(log_probs > log_probs[index])) + 1
    return Following(max(entropy, 0.0), top, rank)


def likeliest(log_probs: Float[np.ndarray, " vocab"], count: int) -> list[int]:
    """Return the ids of the highest values, the highest first; of equal ones the lower ids."""
    if not count:
        return []
    candidates = np.arange(len(log_probs))
    if 0 < count < len(log_probs):  # To sort them all takes longer than everything else.
        candidates = np.flatnonzero(log_probs >= np.partition(log_probs, -count)[-count])
    order = np.argsort(-log_probs[candidates], kind="stable")[:count]
    found: list[int] = candidates[order].tolist()
    return found
