"""Lenses of what adapts to a text: what caches remembered of it, and what learning from it gained.

For each token a cache says what it remembered of the text before, and how long ago that was.
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


if TYPE_CHECKING:
    from thence.models.language.neural_cache import NeuralCache

CACHES = ("cache", "neural-cache")
"""Families of caches."""


@dataclass(frozen=True)
class Remembered:
    """A token that a cache remembers.

    Attributes:
        text: Its text.
        id: Its id.
        share: Its probability by the cache; of a neural cache, that of the place it stood at.
        ago: Tokens from where it last stood to where it may stand now: 1 is the token before.
        count: How often it stood after the same tokens, as far back as the cache goes.
        order: Those tokens and itself: 1 is the token alone.
    """

    text: str
    id: int
    share: float
    ago: int
    count: int = 1
    order: int = 1


@dataclass(frozen=True)
class CacheToken:
    """What the caches of a model say of a token.

    Attributes:
        weight: Of the cache in the model; 1 where the model is one.
        probability: Of the token, by the cache.
        remembered: What it remembers, the largest shares first.
    """

    weight: float
    probability: float
    remembered: tuple[Remembered, ...]


@dataclass(frozen=True)
class CacheLens:
    """A cache, token by token.

    Attributes:
        name: Of the cache in the model.
        tokens: For each token that is shown.
    """

    name: str
    tokens: tuple[CacheToken, ...]


@dataclass(frozen=True)
class _Found:
    """A cache within a model.

    Attributes:
        name: What it is called.
        model: The cache.
        log_weights: Of it before each target.
        carries: Whether it remembers the documents before.
    """

    name: str
    model: "Cache | NeuralCache"
    log_weights: Float64[np.ndarray, " targets"]
    carries: bool


def cache(subject: Subject) -> list[CacheLens]:
    """Return what each cache of a model remembered before each token that is shown."""
    store, found = subject.store, []
    for one in _caches(subject):
        probabilities = np.exp(one.model.score(store, one.carries).astype(np.float64))
        weights = np.exp(one.log_weights)
        remember = _counted if isinstance(one.model, Cache) else _felt
        tokens = tuple(
            CacheToken(float(weights[place]), float(probabilities[place]), tuple(remembered))
            for place, remembered in zip(subject.shown, remember(subject, one), strict=True)
        )
        found.append(CacheLens(one.name, tokens))
    return found


def _caches(subject: Subject) -> Iterator[_Found]:
    """Yield the caches of a model."""
    store, carries, model = subject.store, subject.carries, subject.model
    if isinstance(model, Cache):
        yield _Found(subject.run.recipe.model, model, np.zeros(store.num_targets), carries)
    if not isinstance(model, Mixture):
        return
    members = model.options.members
    names = distinct_names([member.name for member in members])
    log_weights = weights_before(model, store, carries)
    for number, (name, member) in enumerate(zip(names, members, strict=True)):
        if member.model in CACHES:
            one: Any = model.models[number]
            yield _Found(name, one, log_weights[:, number], carries and member.carry_context)


def _oldest(store: TokenStore, place: int, carries: bool) -> int:
    """Return the position of the first id that a target may remember: the boundary before it."""
    return 0 if carries else place - int(store.places[place])


def _counted(subject: Subject, found: _Found) -> Iterator[list[Remembered]]:
    """Yield what a cache of counts remembers at each place that is shown."""
    model, store = found.model, subject.store
    assert isinstance(model, Cache)
    options = model.options
    for place in subject.shown:
        past = model.past(store, place, found.carries)
        probs, known = model.after(past)
        if known[0] < (options.order if options.discount is None else 1):
            yield []  # It says nothing: all tokens are equally likely to it.
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
    """Return how long ago each token was seen, how often and by which order, the highest one."""
    found: dict[int, tuple[int, int, int]] = {}
    places = np.arange(max(1, len(past) - length), len(past))
    for order in range(1, orders + 1):
        if order > 1:
            places = places[places >= order - 1]
            places = places[past[places - order + 1] == past[-order + 1]]
        words, counts = np.unique(past[places], return_counts=True)
        last = dict(zip(past[places].tolist(), places.tolist(), strict=True))
        for word, count in zip(words.tolist(), counts.tolist(), strict=True):
            found[word] = (len(past) - last[word], count, order)
    return found


def _felt(subject: Subject, found: _Found) -> Iterator[list[Remembered]]:
    """Yield what a cache of hidden states remembers at each place that is shown."""
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
