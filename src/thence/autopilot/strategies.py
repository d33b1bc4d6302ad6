"""What is tried for a text, and how it is put together: for language models and for classifiers."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from thence.autopilot.autopilot import MIN_TRAINING, Autopilot, reported_settings, with_training
from thence.autopilot.candidates import (
    Ensemble,
    ScheduledCandidate,
    TrainedCandidate,
    schedule,
)
from thence.autopilot.combining import (
    average_of,
    combine_classifiers,
    combine_language_models,
    combining_seconds,
    mixture_of,
)
from thence.batches.bags import BagOptions, bags_of
from thence.models.base import Classifier, LanguageModel
from thence.models.candidates import TextKind
from thence.models.language.options import NeuralCacheOptions
from thence.models.registry import get_family
from thence.recipes.recipe import Recipe
from thence.tokens import Texts
from thence.training.data import TrainingData
from thence.training.dev_evaluation import evaluate_labels
from thence.training.fitting import train_classifier

if TYPE_CHECKING:
    from thence.autopilot.networks import Trained

NEURAL_CACHE = 2000
"""Hidden states that a neural cache remembers."""
SAMPLED = 64
"""The features of every 64th document are computed beforehand, to see how long all take."""
SETTING_UP = 2.5
"""Multiples of the time for the features of all documents that pass before weights are learned."""


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
        from thence.autopilot.networks import choose_recipe  # Torch takes its time to load.

        recipe = choose_recipe(autopilot.recipe, data, candidate, self.kind, seconds, steps)
        sized = get_family(candidate.family).size is not None
        about = {"hidden": recipe.options.hidden_size} if sized else candidate.options
        name = autopilot.unused_name(_title(candidate.family, about))
        carries = recipe.training.carry_context
        trained = _train_until(ends, autopilot, name, recipe, carries and self.kind == "words")
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
        return [one, _neural_cache(one, data)] if trained.with_cache else [one]

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


def _train_until(
    ends: float, autopilot: Autopilot, name: str, recipe: Recipe, with_cache: bool = False
) -> "Trained | None":
    """Train a network until some time of the budget; None where that is too near."""
    from thence.autopilot.networks import train

    seconds = None if math.isinf(ends) else ends - autopilot.budget.spent()
    if seconds is not None and seconds < MIN_TRAINING:
        return None
    with autopilot.listening(name) as listener:
        return train(recipe, autopilot.data, seconds, listener, with_cache)


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


@dataclass(frozen=True)
class LabelStrategy:
    """Word averaging, a linear classifier, then networks, and an average of those that pay.

    Attributes:
        autopilot: Says what may be spent, and on what text.
    """

    autopilot: Autopilot
    unit: ClassVar[Literal["document"]] = "document"

    @property
    def description(self) -> str:
        """A description of the text for the report, such as its kind and size."""
        data = self.autopilot.data
        documents, labels = data.train.num_documents, data.train_labels
        number = "any number of" if labels.multilabel else "one of"
        return f"{documents:,} train documents, {number} {data.classes.num_classes:,} labels each"

    def count(self) -> Iterator[TrainedCandidate]:
        """Yield nothing: every classifier is trained."""
        return iter(())

    def schedule(self, seconds: float) -> tuple[ScheduledCandidate, ...]:
        """Return the models that are worth training in so many seconds, in order."""
        return schedule("labels", seconds, "fit", "train")

    def combining_seconds(self, members: Sequence[TrainedCandidate]) -> float:
        """Return about how long it takes to combine the members and one more."""
        return 2e-6 * (len(members) + 1) * members[0].scores.size

    def train(
        self, candidate: ScheduledCandidate, seconds: float | None, steps: int | None
    ) -> list[TrainedCandidate]:
        """Train a classifier; nothing where there is too little time."""
        family, data = get_family(candidate.family), self.autopilot.data
        options = family.options_class()(**candidate.options)
        recipe = replace(self.autopilot.recipe, model=candidate.family, options=options)
        name = self.autopilot.unused_name(candidate.family)
        if seconds is not None and family.bags:
            needed = SETTING_UP * _seconds_for_features(options.bags, data)
            if self.autopilot.left() < needed:
                return []
        if family.method == "fit":
            return [self._fit(name, recipe, seconds)]
        return self._train_network(name, recipe, seconds, steps)

    def _train_network(
        self, name: str, recipe: Recipe, seconds: float | None, steps: int | None
    ) -> list[TrainedCandidate]:
        ends = self.autopilot.budget.after(seconds)
        from thence.autopilot.networks import with_fastest  # Torch takes its time to load.

        epochs = get_family(recipe.model).epochs if steps is None else None
        recipe = with_fastest(with_training(recipe, epochs=epochs), self.autopilot.data, steps)
        trained = _train_until(ends, self.autopilot, name, recipe)
        if trained is None:
            return []
        more = {"training": reported_settings(trained.recipe), "curve": trained.curve}
        return [self._classified(name, trained.recipe, trained.model, **more)]

    def _fit(self, name: str, recipe: Recipe, seconds: float | None) -> TrainedCandidate:
        """Fit a linear classifier, which ends with what it has learned once its time is up."""
        autopilot = self.autopilot
        ends = autopilot.budget.after(seconds)

        def time_is_up() -> bool:
            return autopilot.stop_event.is_set() or autopilot.budget.spent() > ends

        model = train_classifier(recipe, autopilot.data, time_is_up)
        return self._classified(name, recipe, model)

    def _classified(
        self, name: str, recipe: Recipe, model: Classifier, **more: Any
    ) -> TrainedCandidate:
        data = self.autopilot.data
        scores = model.classify(data.dev_texts)
        result = evaluate_labels(scores, data.dev_labels)
        family, accuracy = recipe.model, result.metrics["dev_accuracy"]
        options = recipe.options
        return TrainedCandidate(name, family, options, model, scores, result.nats, accuracy, **more)

    def combine(self, members: Sequence[TrainedCandidate], seconds: float = math.inf) -> Ensemble:
        """Average the members that pay for their place."""
        data, size = self.autopilot.data, self.autopilot.vocabulary_size
        return combine_classifiers(members, data.dev_labels, size, data.classes)

    def as_combined(self, one: Ensemble) -> Ensemble:
        """Return a single classifier as an average of one."""
        data, size = self.autopilot.data, self.autopilot.vocabulary_size
        model = average_of(one.members, np.ones(1), size, data.classes)
        return replace(one, family="ensemble", model=model, options=model.options)


def _seconds_for_features(options: BagOptions, data: TrainingData) -> float:
    """Return about how many seconds it takes to compute the features of all train documents."""
    chosen = np.arange(0, data.train.num_documents, SAMPLED)
    train, documents = data.train.take(chosen), data.splits.train.take(chosen)
    began = time.perf_counter()
    bags_of(Texts(train, documents, data.tokenizer), options).distinct()
    return (time.perf_counter() - began) * data.train.num_documents / max(len(chosen), 1)
