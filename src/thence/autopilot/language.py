"""What is tried for a language model, and how it is put together."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from thence.autopilot.autopilot import Autopilot, reported_settings
from thence.autopilot.candidates import (
    Ensemble,
    ScheduledCandidate,
    TrainedCandidate,
    schedule,
)
from thence.autopilot.combining import combine_language_models, combining_seconds, mixture_of
from thence.models.base import LanguageModel
from thence.models.candidates import TextKind
from thence.models.language.options import NeuralCacheOptions
from thence.models.registry import get_family
from thence.training.data import TrainingData

if TYPE_CHECKING:
    from thence.autopilot.networks import Trained

NEURAL_CACHE = 2000
"""Hidden states that a neural cache remembers."""


@dataclass(frozen=True)
class LanguageStrategy:
    """N-grams and caches, then networks, and a mixture of those that pay.

    Attributes:
        autopilot: Says what may be spent, and on what text.
        kind: What is modelled.
        description: A description of the text for the report, such as its kind and size.
    """

    autopilot: Autopilot
    kind: TextKind
    description: str
    unit: ClassVar[Literal["token"]] = "token"

    def count(self) -> Iterator[TrainedCandidate]:
        """Fit the counted models of each family, and yield each of them."""
        data, size = self.autopilot.data, self.autopilot.vocabulary_size
        running = self.autopilot.recipe.training.carry_context
        candidates = schedule(self.kind, self.autopilot.budget.for_training(), "fit")
        for name, some in groupby(candidates, key=lambda one: one.family):
            chosen = [one.options for one in some if running or not one.running]
            family, carries = get_family(name), running and get_family(name).adapts
            options = [family.make_options(settings) for settings in chosen]
            models = [family.language_model(one, size) for one in options]
            fitted = family.fit_all(models, data.train, carries)
            for settings, made, model in zip(chosen, options, fitted, strict=True):
                title, scores = _title(name, settings), model.score(data.dev, carries)
                yield _scored(title, name, made, model, scores, carry_context=carries)

    def schedule(self, seconds: float) -> tuple[ScheduledCandidate, ...]:
        """Return the models that are worth training in so many seconds, in order."""
        return schedule(self.kind, seconds, "train")

    def combining_seconds(self, members: Sequence[TrainedCandidate]) -> float:
        """Return about how long it takes to combine the members and one more."""
        dev = self.autopilot.data.dev
        return combining_seconds([*members, members[0]], dev, self.autopilot.left())

    def train(
        self, candidate: ScheduledCandidate, seconds: float | None, steps: int | None
    ) -> list[TrainedCandidate]:
        """Train a network; nothing where there is too little time.

        One of running words comes with a cache of its hidden states, if there is time for that.
        """
        autopilot, data = self.autopilot, self.autopilot.data
        ends = autopilot.budget.after(seconds)
        from thence.autopilot.networks import choose_recipe, train_until  # Torch takes its time.

        recipe = choose_recipe(autopilot.recipe, data, candidate, self.kind, seconds, steps)
        sized = get_family(candidate.family).size is not None
        about = {"hidden": recipe.options.hidden_size} if sized else candidate.options
        name = autopilot.unused_name(_title(candidate.family, about))
        carries = recipe.training.carry_context
        trained = train_until(ends, autopilot, name, recipe, carries and self.kind == "words")
        if trained is None:
            return []
        scores = trained.model.score(data.dev, carries)
        one = _scored(
            name,
            candidate.family,
            recipe.options,
            trained.model,
            scores,
            carry_context=carries,
            training=reported_settings(trained.recipe),
            curve=trained.curve,
        )
        made = [one, _neural_cache(one, data)] if trained.with_cache else [one]
        if trained.learns:
            made[0] = _learning(one, trained, data, autopilot.budget.began + ends)
        return made

    def combine(self, members: Sequence[TrainedCandidate], seconds: float = math.inf) -> Ensemble:
        """Mix the members that pay for their place."""
        dev, size = self.autopilot.data.dev, self.autopilot.vocabulary_size
        return combine_language_models(members, dev, size, seconds)

    def as_combined(self, one: Ensemble) -> Ensemble:
        """Return a single language model as a mixture of one."""
        model = mixture_of(one.members, self.autopilot.vocabulary_size)
        return replace(one, family="mixture", model=model, options=model.options)


def _title(family: str, settings: Mapping[str, Any]) -> str:
    return " ".join([family, *map(str, settings.values())])


def _scored(
    name: str,
    family: str,
    options: Any,
    model: LanguageModel,
    scores: np.ndarray[Any, np.dtype[Any]],
    **more: Any,
) -> TrainedCandidate:
    nats = -float(np.mean(scores, dtype=np.float64))
    return TrainedCandidate(name, family, options, model, scores, nats, **more)


def _neural_cache(one: TrainedCandidate, data: TrainingData) -> TrainedCandidate:
    """Return a cache of the hidden states of a network that reads running text."""
    from thence.models.language.neural_cache import NeuralCache, choose_theta

    theta = choose_theta(one.model, data.dev, NEURAL_CACHE)
    options = NeuralCacheOptions(NEURAL_CACHE, theta, of=0)
    cache = NeuralCache(options, one.model)
    scores = cache.score(data.dev, carry_context=True)
    more = {"carry_context": True, "network_of": one.name}
    return _scored(f"cache of {one.name}", "neural-cache", options, cache, scores, **more)


def _learning(
    one: TrainedCandidate, trained: "Trained", data: TrainingData, ends: float
) -> TrainedCandidate:
    """Return a network that learns from what it scores, if it gains from that and there is time."""
    from thence.autopilot.networks import score_while_learning

    learned = score_while_learning(trained, data, ends)
    if learned is None:
        return one
    rule, scores = learned
    nats = -float(np.mean(scores, dtype=np.float64))
    return replace(one, rule=rule, scores=scores, nats=nats) if nats < one.nats else one
