"""What is tried for language: counts first, then networks, as many as the time is worth."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from thence.autopilot.parts import Part, Rung
from thence.autopilot.sizes import Kind
from thence.autopilot.text import Nature
from thence.models.base import Array, LanguageModel
from thence.models.language.cache import Cache, CacheOptions
from thence.models.ngram import NGram
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.options import NGramOptions
from thence.training.data import TrainingData

ORDERS: dict[Kind, tuple[int, ...]] = {
    "names": (2, 3, 4, 5, 6, 7),
    "characters": (3, 4, 5, 6, 7, 9),
    "words": (3, 5),
}
"""The n-grams of each kind of text: the highest orders are no better alone, but tell the gate how \
well a context is known."""
CACHE = 500
"""Symbols that a cache remembers of running text."""
NEURAL_CACHE = 2000
"""Hidden states that a neural cache remembers."""


LADDERS: dict[Kind, tuple[tuple[float, tuple[Rung, ...]], ...]] = {
    "names": (
        (100.0, (Rung("gru", 0.5), Rung("lstm", 0.5))),
        (13.0, (Rung("gru", 1.0),)),
        (4.0, (Rung("mlp", 1.0),)),
    ),
    "characters": ((4.0, (Rung("gru", 1.0),)),),
    "words": (
        (200.0, (Rung("lstm", 1.0, {"layers": 2}),)),
        (10.0, (Rung("lstm", 1.0),)),
    ),
}
"""Which networks are trained, from so many seconds for networks on."""
LABEL_LADDERS = (
    (
        60.0,
        (
            Rung("averaging", 0.1),
            Rung("linear", 0.3),
            Rung("averaging", 0.1, {"ngrams": 3}),
            Rung("convolution", 0.3, {"adversarial": 0.0}),
            Rung("recurrent", 0.2, {"adversarial": 0.0, "max_length": 250}),
        ),
    ),
    (
        20.0,
        (Rung("averaging", 0.2), Rung("linear", 0.5), Rung("averaging", 0.3, {"ngrams": 3})),
    ),
    (0.0, (Rung("linear", 0.95), Rung("averaging", 0.05))),
)
"""Which classifiers are trained, from so many seconds on; what one leaves goes to the next."""


def label_ladder(seconds: float) -> tuple[Rung, ...]:
    """Return the classifiers that are worth training in so many seconds."""
    return next((rungs for least, rungs in LABEL_LADDERS if seconds >= least), ())


def kind_of(nature: Nature, tokens: str) -> Kind:
    """Return what is modelled."""
    if tokens == "words":
        return "words"
    return "characters" if nature.sentences else "names"


def ladder(kind: Kind, seconds: float) -> tuple[Rung, ...]:
    """Return the networks that are worth training in so many seconds."""
    return next((rungs for least, rungs in LADDERS[kind] if seconds >= least), ())


def counts(prepared: TrainingData, kind: Kind, carries: bool) -> Iterator[Part]:
    """Count n-grams once and smooth them for each order; yield each model."""
    size = len(prepared.tokenizer.vocabulary)
    orders = ORDERS[kind]
    counted = count_ngrams(prepared.train, max(orders), size, carry_context=False)
    for order in orders:
        options = NGramOptions(order)
        model = NGram(options, size)
        model.fit_counts(counted[:order])
        scores = model.score(prepared.dev)
        yield language_part(f"ngram {order}", "ngram", options, model, scores)
    if carries:
        for cache in (CacheOptions(CACHE, 1), CacheOptions(CACHE, 2)):
            scores = Cache(cache, size).score(prepared.dev, True)
            name = f"cache {cache.order}"
            yield language_part(name, "cache", cache, Cache(cache, size), scores, True)


def neural_cache(part: Part, prepared: TrainingData) -> Part:
    """Return a cache of the hidden states of a network that reads running text."""
    from thence.models.language.neural_cache import NeuralCache, NeuralCacheOptions, choose_theta

    theta = choose_theta(part.model, prepared.dev, NEURAL_CACHE)
    options = NeuralCacheOptions(NEURAL_CACHE, theta, of=0)
    cache = NeuralCache(options, part.model)
    scores = cache.score(prepared.dev, carry_context=True)
    made = language_part(f"cache of {part.name}", "neural-cache", options, cache, scores, True)
    return replace(made, of=part.name)


def language_part(
    name: str,
    family: str,
    options: Any,
    model: LanguageModel,
    scores: Array,
    carry_context: bool = False,
    trained: Mapping[str, Any] | None = None,
) -> Part:
    """Return a language model as a part; ``trained`` holds what else is known of it."""
    given = {name: value for name, value in asdict(options).items() if value is not None}
    nats = -float(np.mean(scores, dtype=np.float64))
    more = {"carry_context": carry_context, **(trained or {})}
    return Part(name, family, given, model, scores, nats, **more)
