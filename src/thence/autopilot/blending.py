"""Which of the models that were tried go together, and how good they are together.

Models are mixed with weights learned on dev (``models.mixture``). So that the weights are not
judged by what they were learned from, each half of dev is judged under weights learned on the
other. A member that brings less than ``WORTH`` does not pay for its place and is dropped.
"""

import math
import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from thence.autopilot.parts import Blend, Part, alone
from thence.models.mixture import Member, Mixture, MixtureOptions
from thence.models.mixture.model import MOST_TARGETS
from thence.tokens import TokenStore

WORTH = 0.001
"""Nats per token that a member must bring."""
LIGHT = 0.10
"""Members that have less than this share of the weights are those that may be dropped."""
FEW_TARGETS = 20_000
"""Targets of dev that are enough to see which members pay."""
GATE_SPEED = 4.5e5
"""Targets times members for which a gate is learned and judged in a second, about."""
PATIENT, AT_LEAST = 6.5, 2.5
"""Times the seconds of a gate that choosing, mixing and judging take; mixing and judging alone."""
LEAST = 5.0
"""Times the seconds of a gate below which there is no time to choose members."""
AFTERWARDS = 3.5
"""Times the seconds of a gate that are kept for those chosen, and for a last try that was begun."""
HURRIED = 2.2
"""Times the seconds of a gate that learning it once for all, and twice to judge it, takes."""
FEWEST = 1000
"""From one of so many targets at least a gate is learned."""
MODEST = 0.1
"""Share of the time left beyond which no members are chosen."""


def blend(
    parts: Sequence[Part], dev: TokenStore, vocabulary_size: int, seconds: float = math.inf
) -> Blend:
    """Choose the parts that pay for their place, and mix them.

    Args:
        parts: What was tried; at least one.
        dev: What to judge by.
        vocabulary_size: Number of ids (V).
        seconds: What it may take. If that is little, all parts are taken, and their weights are
            learned on as many targets as there is time for.

    Returns:
        The blend, never worse on dev than the best part alone.
    """
    single = min((alone(part) for part in parts if part.of is None), key=lambda one: one.nats)
    gate = _gate_seconds(parts, dev)
    chosen, hurry = list(parts), seconds < LEAST * gate
    if len(chosen) > 1 and not hurry:
        ends = time.perf_counter() + seconds - AFTERWARDS * gate
        chosen = _paying(chosen, dev, vocabulary_size, ends)
    if len(chosen) == 1:
        return single
    mixture, scores = mixture_of(chosen, vocabulary_size), _scores(chosen)
    carries, every = _carries(chosen), max(1, math.ceil(dev.num_targets / MOST_TARGETS))
    if hurry:
        every *= math.ceil(HURRIED * gate / max(seconds, HURRIED * gate / FEWEST))
    nats = _held_out(mixture, scores, dev, carries, every)
    mixture.learn_weights(dev, carries, scores, np.arange(dev.num_targets)[::every])
    if not nats < single.nats:
        return single
    weights = tuple(mixture.mean_weights(dev, carries).tolist())
    return Blend(tuple(chosen), weights, mixture, mixture.options, nats)


def blending_seconds(parts: Sequence[Part], dev: TokenStore, left: float) -> float:
    """Return about how long it takes to mix parts, and to choose them if that is worth it.

    Args:
        parts: What was tried.
        dev: What to judge by.
        left: Seconds in all.
    """
    gate = _gate_seconds(parts, dev)
    return min(PATIENT * gate, max(AT_LEAST * gate, MODEST * left))


def _gate_seconds(parts: Sequence[Part], dev: TokenStore) -> float:
    return min(dev.num_targets, MOST_TARGETS) * len(parts) / GATE_SPEED


def _paying(
    parts: list[Part], dev: TokenStore, vocabulary_size: int, ends: float = math.inf
) -> list[Part]:
    """Return the parts without those that bring too little, the lightest tried first.

    Args:
        parts: What was tried.
        dev: What to judge by.
        vocabulary_size: Number of ids (V).
        ends: When to leave it at that, by ``time.perf_counter``.
    """
    few, chosen = _sample(dev)
    tried: set[str] = set()
    nats, weights = _tried_out(parts, few, chosen, vocabulary_size)
    while len(parts) > 1:
        light = [
            (weight, number)
            for number, weight in enumerate(weights)
            if weight < LIGHT and parts[number].name not in {*tried, *(p.of for p in parts)}
        ]
        if not light or time.perf_counter() > ends:
            break
        number = min(light)[1]
        tried.add(parts[number].name)
        fewer = parts[:number] + parts[number + 1 :]
        nats_of_fewer, weights_of_fewer = _tried_out(fewer, few, chosen, vocabulary_size)
        if nats_of_fewer < nats + WORTH:
            parts, nats, weights = fewer, nats_of_fewer, weights_of_fewer
    return parts


def _sample(dev: TokenStore) -> tuple[TokenStore, Bool[np.ndarray, " targets"]]:
    """Return evenly spaced documents of dev with enough targets, and which targets those are."""
    every = max(1, dev.num_targets // FEW_TARGETS)
    documents = np.arange(dev.num_documents) % every == 0
    return dev.take(np.flatnonzero(documents)), np.repeat(documents, dev.target_counts)


def _tried_out(
    parts: list[Part],
    dev: TokenStore,
    chosen: Bool[np.ndarray, " targets"],
    vocabulary_size: int,
) -> tuple[float, list[float]]:
    """Return the held-out loss of a mixture on a part of dev, and the mean weights there.

    Args:
        parts: The models.
        dev: The part of it.
        chosen: Which targets of the whole it has.
        vocabulary_size: Number of ids (V).
    """
    scores, carries = _scores(parts)[chosen], _carries(parts)
    if len(parts) == 1:
        return -float(np.mean(scores)), [1.0]
    mixture = mixture_of(parts, vocabulary_size)
    nats = _held_out(mixture, scores, dev, carries)
    return nats, mixture.mean_weights(dev, carries).tolist()


def _held_out(
    mixture: Mixture,
    scores: Float[np.ndarray, "targets parts"],
    dev: TokenStore,
    carries: bool,
    every: int = 1,
) -> float:
    """Return the mean loss on dev, each half under weights learned on the other half.

    Always all of dev is judged: losses on different parts of it could not be compared.

    Args:
        mixture: Its weights are learned.
        scores: Of its members.
        dev: What is judged.
        carries: Whether its documents follow one another.
        every: Learn from one of so many targets.
    """
    first, second = np.array_split(np.arange(dev.num_targets), 2)
    total = 0.0
    for learned, judged in ((first, second), (second, first)):
        mixture.learn_weights(dev, carries, scores, learned[::every])
        total -= float(np.sum(mixture.mixed(scores, dev, carries)[judged]))
    return total / max(dev.num_targets, 1)


def mixture_of(parts: Sequence[Part], vocabulary_size: int) -> Mixture:
    """Return the mixture of some parts, its weights not yet learned."""
    names = [part.name for part in parts]
    members = []
    for part in parts:
        options = part.options if part.of is None else {**part.options, "of": names.index(part.of)}
        members.append(Member(part.family, options, part.carry_context))
    mixture = Mixture(MixtureOptions(tuple(members)), vocabulary_size)
    for model, part in zip(mixture.models, parts, strict=True):
        model.load_tensors(part.model.tensors())
    return mixture


def _scores(parts: Sequence[Part]) -> Float[np.ndarray, "targets parts"]:
    return np.stack([part.scores.astype(np.float64) for part in parts], axis=1)


def _carries(parts: Sequence[Part]) -> bool:
    return any(part.carry_context for part in parts)
