"""What is tried for labels, and how it is put together."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from thence.autopilot.autopilot import Autopilot, reported_settings, with_training
from thence.autopilot.candidates import (
    Ensemble,
    ScheduledCandidate,
    TrainedCandidate,
    schedule,
)
from thence.autopilot.combining import average_of, combine_classifiers
from thence.batches.bags import BagOptions, bags_of
from thence.models.base import Classifier
from thence.models.registry import get_family
from thence.recipes.recipe import Recipe
from thence.tokens import Texts
from thence.training.data import TrainingData, part_of_train
from thence.training.dev_evaluation import evaluate_labels
from thence.training.fitting import train_classifier

FIRST_DOCUMENTS, FIRST_STRENGTH = 1000, 30.0
"""Train documents of the first classifier, which is there in a moment, and its strength."""
SAMPLED = 64
"""The features of every 64th document are computed beforehand, to see how long all take."""
SETTING_UP = 2.5
"""Multiples of the time for the features of all documents that pass before weights are learned."""


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

    def first(self) -> TrainedCandidate | None:
        """Return a linear classifier of the words of a few documents."""
        autopilot = self.autopilot
        options = get_family("linear").make_options({"ngrams": 1, "strength": FIRST_STRENGTH})
        recipe = replace(autopilot.recipe, model="linear", options=options)
        model = train_classifier(recipe, part_of_train(autopilot.data, FIRST_DOCUMENTS))
        return self._classified("linear, of a part", recipe, model)

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
        base = self.autopilot.recipe_of(candidate)
        recipe = replace(base, model=candidate.family, options=options)
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
        from thence.autopilot.networks import train_until, with_fastest  # Torch takes its time.

        epochs = get_family(recipe.model).epochs if steps is None else None
        recipe = with_fastest(with_training(recipe, epochs=epochs), self.autopilot.data, steps)
        trained = train_until(ends, self.autopilot, name, recipe)
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

    def combine(self, members: Sequence[TrainedCandidate], ends: float = math.inf) -> Ensemble:
        """Average the members that pay for their place."""
        data, size = self.autopilot.data, self.autopilot.vocabulary_size
        return combine_classifiers(members, data.dev_labels, size, data.classes, ends)

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
