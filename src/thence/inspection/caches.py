"""The lenses ``cache`` and ``learning``: the contents of caches, and the gain from adaptation.

For each token a cache shows the tokens of the text before that it gives a probability to, and how
long ago they occurred.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thence.array_types import Float64, Int64
from thence.inspection.distributions import weights_before
from thence.inspection.following import likeliest
from thence.inspection.networks import distinct_names
from thence.inspection.subject import Subject
from thence.models.base import static_model
from thence.models.language.cache import Cache
from thence.models.language.mixture import Mixture
from thence.tokens import TokenStore


@dataclass(frozen=True)
class Learned:
    """The effect of adaptation on a token.

    Attributes:
        probability: Probability by the static model; None if no part of the model is static.
        bits_gained: Surprisal by the static model minus that by the adapted one; negative where
            adaptation made the token less likely.
    """

    probability: float | None
    bits_gained: float | None


def learning(subject: Subject) -> list[Learned]:
    """Return the gain from adapting to the text for each token that is shown."""
    static = static_model(subject.model)
    if static is None:
        return [Learned(None, None) for _ in subject.shown]
    before = static.score(subject.store, subject.carries).astype(np.float64)
    gained = (subject.log_probs - before) / math.log(2)
    rows = slice(subject.first, subject.stop)
    pairs = zip(np.exp(before[rows]).tolist(), gained[rows].tolist(), strict=True)
    return [Learned(probability, bits) for probability, bits in pairs]


if TYPE_CHECKING:
    from thence.models.language.neural_cache import NeuralCache

CACHES = ("cache", "neural-cache")
"""Families of mixture members that are caches."""


@dataclass(frozen=True)
class Remembered:
    """A token in a cache.

    Attributes:
        text: Its text.
        id: Its id.
        share: Its probability by the cache; in a neural cache, that of a single occurrence.
        ago: Distance to its last occurrence in tokens: 1 is the token just before.
        count: Number of its occurrences after the same context within the cache.
        order: Length of the n-gram that matched, itself included: 1 is the token alone.
    """

    text: str
    id: int
    share: float
    ago: int
    count: int = 1
    order: int = 1


@dataclass(frozen=True)
class CacheToken:
    """A cache's prediction of a token.

    Attributes:
        weight: Weight of the cache in the mixture; 1 if the model is a cache.
        probability: Probability of the token by the cache.
        remembered: The tokens in the cache, those with the largest shares first.
    """

    weight: float
    probability: float
    remembered: tuple[Remembered, ...]


@dataclass(frozen=True)
class CacheLens:
    """A cache, token by token.

    Attributes:
        name: Name of the cache in the model.
        tokens: One entry for each token that is shown.
    """

    name: str
    tokens: tuple[CacheToken, ...]


@dataclass(frozen=True)
class _CacheMember:
    """A cache within a model.

    Attributes:
        name: Its name.
        model: The cache.
        log_weights: Logarithm of its weight at each target.
        carries: Whether it keeps tokens of earlier documents.
    """

    name: str
    model: "Cache | NeuralCache"
    log_weights: Float64[np.ndarray, " targets"]
    carries: bool


def cache(subject: Subject) -> list[CacheLens]:
    """Return, for each cache of a model, its content and prediction at each shown token."""
    store, found = subject.store, []
    for one in _caches(subject):
        probabilities = np.exp(one.model.score(store, one.carries).astype(np.float64))
        weights = np.exp(one.log_weights)
        remember = _count_cache_contents if isinstance(one.model, Cache) else _neural_cache_contents
        tokens = tuple(
            CacheToken(float(weights[place]), float(probabilities[place]), tuple(remembered))
            for place, remembered in zip(subject.shown, remember(subject, one), strict=True)
        )
        found.append(CacheLens(one.name, tokens))
    return found


def _caches(subject: Subject) -> Iterator[_CacheMember]:
    """Yield the caches of a model."""
    store, carries, model = subject.store, subject.carries, subject.model
    if isinstance(model, Cache):
        yield _CacheMember(subject.run.recipe.model, model, np.zeros(store.num_targets), carries)
    if not isinstance(model, Mixture):
        return
    members = model.options.members
    names = distinct_names([member.name for member in members])
    log_weights = weights_before(model, store, carries)
    for number, (name, member) in enumerate(zip(names, members, strict=True)):
        if member.model in CACHES:
            one: Any = model.models[number]
            yield _CacheMember(name, one, log_weights[:, number], carries and member.carry_context)


def _oldest(store: TokenStore, place: int, carries: bool) -> int:
    """Return the first position of the context of a target: 0, or its document's boundary."""
    return 0 if carries else place - int(store.places[place])


def _count_cache_contents(subject: Subject, found: _CacheMember) -> Iterator[list[Remembered]]:
    """Yield the content of a count cache at each place that is shown."""
    model, store = found.model, subject.store
    assert isinstance(model, Cache)
    options = model.options
    for place in subject.shown:
        past = model.history(store, place, found.carries)
        probs, known = model.distribution(past)
        if known[0] < (options.order if options.discount is None else 1):
            yield []  # Too little context: the cache predicts the uniform distribution.
            continue
        seen = _last_seen(past, options.length, int(known[0]))
        shown = np.array([one for one in sorted(seen) if probs[one] > 0], np.int64)
        best = shown[likeliest(probs[shown], subject.top)] if subject.top else shown[:0]
        yield [
            Remembered(subject.token_text(one), one, float(probs[one]), *seen[one])
            for one in best.tolist()
        ]


def _last_seen(
    past: Int64[np.ndarray, " read"], length: int, orders: int
) -> dict[int, tuple[int, int, int]]:
    """Return for each token in a cache its distance, count and order, for the highest order.

    Args:
        past: The ids before the target.
        length: Number of ids that the cache holds.
        orders: The highest order whose context occurs in the cache.
    """
    found: dict[int, tuple[int, int, int]] = {}
    places = np.arange(max(1, len(past) - length), len(past))
    for order in range(1, orders + 1):
        if order > 1:  # Keep the places whose previous order - 1 ids equal the end of the context.
            places = places[places >= order - 1]
            places = places[past[places - order + 1] == past[-order + 1]]
        words, counts = np.unique(past[places], return_counts=True)
        last = dict(zip(past[places].tolist(), places.tolist(), strict=True))
        for word, count in zip(words.tolist(), counts.tolist(), strict=True):
            found[word] = (len(past) - last[word], count, order)
    return found


def _neural_cache_contents(subject: Subject, found: _CacheMember) -> Iterator[list[Remembered]]:
    """Yield the content of a neural cache at each place that is shown.

    The share of an occurrence i at place t is softmax_i(theta h_i . h_t), with h the hidden states
    (Grave, Joulin and Usunier 2017, "Improving neural language models with a continuous cache").
    """
    import torch

    model, store = found.model, subject.store
    assert not isinstance(model, Cache)
    hidden = model.model.hidden_states(store, found.carries)
    for place in subject.shown:
        first = max(_oldest(store, place, found.carries), place - model.options.length)
        with torch.inference_mode():
            products = model.options.theta * (hidden[first:place] @ hidden[place])
            shares = torch.softmax(products.double(), dim=0).cpu().numpy()
        best = likeliest(shares, subject.top) if place > first and subject.top else []
        yield [
            Remembered(
                subject.token_text(int(subject.ids[first + one])),
                int(subject.ids[first + one]),
                float(shares[one]),
                place - first - one,
            )
            for one in best
        ]
