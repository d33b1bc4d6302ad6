"""The strategy for classifiers: which are trained, and how they are combined.

With few documents a dev split is too small to select models by. Then linear classifiers are judged
by cross-validation on train and dev together, all of them are averaged, and no network is trained.
With more documents everything is judged on dev, and at the end the linear classifiers of the result
are fitted again to train and dev together, with the settings chosen on dev. Networks that are
trained again from another seed learn from both splits as well, and share the weight of the first.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from thence.array_types import Float
from thence.autopilot.autopilot import Autopilot
from thence.autopilot.averaging import (
    average_few,
    average_of,
    combine_classifiers,
    sharing_weights,
    temperature_of,
)
from thence.autopilot.candidates import (
    Ensemble,
    ScheduledCandidate,
    TrainedCandidate,
    schedule,
)
from thence.autopilot.titles import label_title
from thence.autopilot.training import reported_settings, with_training
from thence.batches.bags import BagOptions, bags_of
from thence.corpus import Labels
from thence.deadline import DeadlineError, deadline
from thence.models.base import Classifier, Refits
from thence.models.labels.linear import Linear, LinearOptions
from thence.models.registry import get_family
from thence.recipes.recipe import Recipe
from thence.tokens import Texts
from thence.training.data import (
    TrainingData,
    part_of_train,
    train_weights,
    with_dev_in_train,
    with_words_of_dev,
)
from thence.training.dev_evaluation import evaluate_labels
from thence.training.fitting import train_classifier

FIRST_DOCUMENTS, FIRST_STRENGTH = 1000, 30.0
"""Train documents of the first classifier, which is fitted in a moment, and its regularisation
strength (``LinearOptions.strength``), which is not searched for."""
OF_A_PART = "linear, of a part"
"""Its name, if there are more documents than it is fitted to."""
FEW_DOCUMENTS = 2000
"""Up to this many documents in train and dev together, classifiers are judged by cross-validation.
With more, a dev split of a tenth is large enough, and fitting five times would take long."""
FOLDS = 5
"""Folds of the cross-validation."""
SAMPLED, MIN_SAMPLED = 64, 100
"""To estimate the time for all documents, the features of every 64th document are computed, but of
at least 100 documents."""
REPETITIONS = 3
"""Repetitions of this measurement; the shortest counts, since the first also imports modules."""
FIT_FACTOR, SETUP_FACTOR, LATENT = 4.0, 2.0, 20.0
"""Estimates in multiples of the time to compute all features: of a linear fit, until one was
measured, of the set-up of a network, and of finding latent dimensions."""
TIMING_SHARE = 0.3
"""A network whose first steps take more than this share of its time is not trained: there would be
too few of them."""
EPOCH_FACTOR = 3.0
"""A network whose loss on dev falls is trained again from the start with this factor of epochs."""
LEAST_WEIGHT_AGAIN = 0.05
"""A network is trained again only while each of its trainings has at least this weight: a run that
carries many of small weights takes more space and time, and predicts the same."""
FIRST_SHARE = 0.7
"""The first fit stops early after this share of the time left: a second classifier gains more than
the last iterations of the solver."""
REFIT_FACTOR = 0.7
"""Time kept for refitting a classifier on train and dev, as a multiple of the first fit. Below 1,
since a refit neither searches for the strength nor classifies dev."""
MAX_REFIT_SHARE = 0.5
"""No refit if it would take more than this share of the time left: another classifier gains
more."""


@dataclass
class LabelStrategy:
    """Linear classifiers, word averaging, then networks, and a weighted average of the useful ones.

    Attributes:
        autopilot: The search, with its budget and text.
        refit: Whether classifiers are fitted again on train and dev, once they are chosen.
    """

    autopilot: Autopilot
    refit: bool = True
    unit: ClassVar[Literal["document"]] = "document"
    tolerance: ClassVar[float] = math.inf  # An average of more members is always preferred.
    _fitting: dict[str, float] = field(default_factory=dict, init=False)
    _per_feature: float = field(default=0.0, init=False)
    _networks: dict[str, Recipe] = field(default_factory=dict, init=False)
    _kept: Mapping[str, TrainedCandidate] = field(default_factory=dict, init=False)
    _weights: Mapping[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self._few:  # Classifiers learn from dev too, so its words are in the vocabulary.
            self.autopilot.data = with_words_of_dev(self.autopilot.recipe, self.autopilot.data)

    @property
    def description(self) -> str:
        """A description of the text for the report, such as its kind and size."""
        data = self.autopilot.data
        documents, labels = data.train.num_documents, data.train_labels
        number = "any number of" if labels.multilabel else "one of"
        found = f"{documents:,} train documents, {number} {data.classes.num_classes:,} labels each"
        return found + (f", {len(data.unlabelled):,} without labels" if data.unlabelled else "")

    def first(self) -> TrainedCandidate | None:
        """Return a linear classifier of single words, fitted to a few documents."""
        options = {"ngrams": 1, "strength": FIRST_STRENGTH}
        recipe = self._recipe(self.autopilot.recipe, "linear", options)
        if self._few:
            return self._fit("linear of words", recipe, timed=False)[0]
        model = train_classifier(recipe, part_of_train(self.autopilot.data, FIRST_DOCUMENTS))
        return self._classified(OF_A_PART, recipe, model)

    @cached_property
    def _all(self) -> TrainingData:
        """The data with dev appended to train."""
        return with_dev_in_train(self.autopilot.data)

    @cached_property
    def _few(self) -> bool:
        """Whether documents are so few that classifiers are judged by cross-validation."""
        data = self.autopilot.data
        few = data.train.num_documents + data.dev.num_documents <= FEW_DOCUMENTS
        return self.refit and few and bool(_linear(schedule("labels", math.inf, "fit")))

    @property
    def _judged(self) -> Labels:
        """The labels of the documents that classifiers are judged on."""
        return self._all.train_labels if self._few else self.autopilot.data.dev_labels

    def count(self) -> Iterator[TrainedCandidate]:
        """Yield nothing: all classifiers are trained, none is counted."""
        return iter(())

    def schedule(self, seconds: float) -> tuple[ScheduledCandidate, ...]:
        """Return the classifiers that are worth training in ``seconds``, in order."""
        found = schedule("labels", seconds, "fit", "train")
        if self.autopilot.data.unlabelled is None:
            found = tuple(one for one in found if not one.unlabelled)
        if self._few:
            return _linear(found)
        return tuple(one for one in found if one.options.get("loss") != "centroid")

    def combining_seconds(self, members: Sequence[TrainedCandidate]) -> float:
        """Return the expected seconds to combine the members and one more, and to refit them."""
        combining = self.autopilot.pace.expected("averaging", len(members) + 1)
        return combining + self._refitting_seconds(members)

    def _refitting_seconds(self, members: Sequence[TrainedCandidate]) -> float:
        if self._few or not self.refit:
            return 0.0
        seconds = REFIT_FACTOR * sum(self._fitting.get(one.name, 0.0) for one in members)
        return seconds if seconds < MAX_REFIT_SHARE * self.autopilot.left() else 0.0

    def train(
        self, candidate: ScheduledCandidate, seconds: float | None, steps: int | None
    ) -> list[TrainedCandidate]:
        """Train a classifier; return nothing if there is too little time."""
        family = get_family(candidate.family)
        recipe = self._recipe(
            self.autopilot.recipe_of(candidate), candidate.family, candidate.options
        )
        title = label_title(candidate.family, candidate.options)
        name = self.autopilot.unused_name(title)
        if family.method == "fit":
            return self._fit(name, recipe, timed=seconds is not None)
        needed = 0.0
        if seconds is not None and family.bags:
            needed = SETUP_FACTOR * self._seconds_for_features(recipe.options.bags)[0]
        if self.autopilot.left() < needed:
            return []
        if candidate.seed and self.refit:
            # Trained again and again, all of them would share this weight.
            if self._weights.get(title, 0.0) / (1 + candidate.seed) < LEAST_WEIGHT_AGAIN:
                return []
            return self._train_with_dev(name, title, recipe.training.seed, seconds)
        return self._train_network(name, recipe, seconds, steps)

    def _seconds_for_features(self, options: BagOptions) -> tuple[float, float]:
        """Return estimates for all documents: seconds to compute their features, and how many."""
        data = self.autopilot.data
        total = data.train.num_documents
        chosen = np.arange(0, total, max(1, min(SAMPLED, total // MIN_SAMPLED)))
        train, documents = data.train.take(chosen), data.splits.train.take(chosen)
        taken = []
        for _ in range(REPETITIONS):
            began = time.perf_counter()
            bags = bags_of(Texts(train, documents, data.tokenizer), options).distinct()
            taken.append(time.perf_counter() - began)
        return min(taken) * total / len(chosen), len(bags.features) * total / len(chosen)

    def _seconds_to_fit(self, recipe: Recipe) -> tuple[float, float]:
        """Return estimates for all documents: seconds of a fit, and the number of features.

        For a classifier that reads no bags of features, a fit to a part is timed, which classifies
        all of dev too, and features are not counted.
        """
        data, options = self.autopilot.data, recipe.options
        if not isinstance(options, LinearOptions):
            part = part_of_train(data, max(FIRST_DOCUMENTS, data.train.num_documents // SAMPLED))
            began = time.perf_counter()
            train_classifier(recipe, part)
            seconds, dev = time.perf_counter() - began, data.dev.num_targets
            return seconds * (data.train.num_targets + dev) / (part.train.num_targets + dev), 0.0
        seconds, features = self._seconds_for_features(options.bags)
        if options.latent_dimensions is not None and data.unlabelled is not None:
            more = len(data.unlabelled) / data.train.num_documents
            return LATENT * seconds * (1 + more), features
        return (
            self._per_feature * features if self._per_feature else FIT_FACTOR * seconds
        ), features

    def _recipe(self, base: Recipe, family: str, settings: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a classifier; with few documents a linear one is cross-validated."""
        more = {"cv": FOLDS} if self._few and family == "linear" else {}
        options = get_family(family).make_options({**settings, **more})
        return replace(base, model=family, options=options)

    def _train_network(
        self, name: str, recipe: Recipe, seconds: float | None, steps: int | None
    ) -> list[TrainedCandidate]:
        """Train a network, then again with more epochs as long as the loss on dev falls.

        Each training starts from the beginning, since a schedule whose learning rate falls to zero
        is worth more than continuing a training that has ended.
        """
        ends = self.autopilot.budget.after(seconds)
        from thence.autopilot.networks import train_until, with_fastest  # Imports torch.

        epochs = get_family(recipe.model).epochs if steps is None else None
        with deadline(time.monotonic() + TIMING_SHARE * (math.inf if seconds is None else seconds)):
            recipe = with_fastest(with_training(recipe, epochs=epochs), self.autopilot.data, steps)
        best: TrainedCandidate | None = None
        while True:
            began = self.autopilot.budget.spent()
            trained = train_until(ends, self.autopilot, name, recipe)
            if trained is None:
                break
            more = {"training": reported_settings(trained.recipe), "curve": trained.curve}
            made = self._classified(name, trained.recipe, trained.model, **more)
            likelier = best is None or made.nats < best.nats
            if likelier:
                best, self._networks[name] = made, trained.recipe
            now = self.autopilot.budget.spent()
            if epochs is None or not likelier or now + EPOCH_FACTOR * (now - began) > ends:
                break
            epochs *= EPOCH_FACTOR
            recipe = replace(recipe, training=replace(recipe.training, epochs=epochs))
        return [] if best is None else [best]

    def _train_with_dev(
        self, name: str, first: str, seed: int, seconds: float | None
    ) -> list[TrainedCandidate]:
        """Train a network with the recipe of an earlier one, another seed, on train and dev.

        It has the scores of the earlier one.
        """
        from thence.autopilot.networks import train_until

        recipe, ends = self._networks[first], self.autopilot.budget.after(seconds)
        recipe = replace(recipe, training=replace(recipe.training, seed=seed))
        trained = train_until(ends, self.autopilot, name, recipe, data=self._all)
        if trained is None:
            return []
        again = replace(self._kept[first], name=name, model=trained.model, judged_as=first)
        return [replace(again, training=reported_settings(trained.recipe), curve=())]

    def _fit(self, name: str, recipe: Recipe, timed: bool) -> list[TrainedCandidate]:
        """Fit a linear classifier; return nothing if it is not the first and time is too short.

        A fit takes as long as it needs, whatever the candidate's share of the time. If the first
        one would take too long, it is fitted to as many documents as there is time for.
        """
        data = self._all if self._few else self.autopilot.data
        needed, features = self._seconds_to_fit(recipe) if timed else (0.0, 0.0)
        again = needed + sum(self._fitting.values())  # Of all refits.
        left = self.autopilot.left()
        if self._fitting:  # The first fit matters more than its refit.
            left -= REFIT_FACTOR * self.refit * again
        if timed and needed > left and not self._few:  # With few documents all are tried.
            if self._fitting:
                return []
            data = part_of_train(
                data, max(FIRST_DOCUMENTS, int(left / needed * data.train.num_documents))
            )
        began = time.monotonic()
        ends = began + FIRST_SHARE * left if timed and not self._fitting else math.inf
        model = train_classifier(
            recipe, data, lambda: self._time_is_up() or time.monotonic() > ends
        )
        self._fitting[name] = time.monotonic() - began
        if timed and features:
            share = data.train.num_documents / self.autopilot.data.train.num_documents
            rate = self._fitting[name] / max(features * share, 1.0)
            # The lowest rate so far: small fits spend most of their time on fixed overhead.
            self._per_feature = min(self._per_feature or rate, rate)
        if not self._few:
            return [self._classified(name, recipe, model)]
        if timed and self._time_is_up():  # Stopped early; with equal weights it would do harm.
            return []
        assert isinstance(model, Linear) and model.cross_validated is not None
        return [self._judge(name, recipe, model, model.cross_validated)]

    def _time_is_up(self) -> bool:
        return self.autopilot.stop_event.is_set() or self.autopilot.left() < 0

    def _classified(
        self, name: str, recipe: Recipe, model: Classifier, **more: Any
    ) -> TrainedCandidate:
        scores = model.classify(self.autopilot.data.dev_texts)
        return self._judge(name, recipe, model, scores, **more)

    def _judge(
        self,
        name: str,
        recipe: Recipe,
        model: Classifier,
        scores: Float[np.ndarray, "documents classes"],
        **more: Any,
    ) -> TrainedCandidate:
        result = evaluate_labels(scores, self._judged)
        family, accuracy = recipe.model, result.metrics["dev_accuracy"]
        options = recipe.options
        return TrainedCandidate(name, family, options, model, scores, result.nats, accuracy, **more)

    def combine(self, members: Sequence[TrainedCandidate], ends: float = math.inf) -> Ensemble:
        """Return the weighted average of the useful members."""
        data, size = self.autopilot.data, self.autopilot.vocabulary_size
        if self._few:
            return average_few(members, self._judged, size, data.classes)
        began = time.monotonic()
        judged = [one for one in members if one.judged_as is None]
        if len(judged) > 1:  # A better one of the same features is among the others.
            judged = [one for one in judged if one.name != OF_A_PART]
        made = combine_classifiers(judged, self._judged, size, data.classes, ends)
        self.autopilot.pace.measured("averaging", time.monotonic() - began, len(members))
        self._kept = {one.name: one for one in made.members}
        names = [one.name for one in made.members]
        self._weights = dict(zip(names, made.weights, strict=True))
        others = [one for one in members if one.judged_as in self._kept]
        return sharing_weights(made, others, size, data.classes) if others else made

    def as_combined(self, one: Ensemble) -> Ensemble:
        """Return a single classifier as an average of one member."""
        return self._with_members(replace(one, family="ensemble"), one.members)

    def finish(self, best: Ensemble) -> Ensemble:
        """Return the result with classifiers refitted on train and dev, as far as there is time.

        With few documents they were fitted to both from the start.
        """
        if self._few or not self.refit or self.autopilot.stop_event.is_set():
            return replace(best, refit=self._few)
        members = list(best.members)
        with suppress(DeadlineError), deadline(self.autopilot.ends()):
            weights = train_weights(self.autopilot.recipe, self._all)
            texts, labels = self._all.train_texts, self._all.train_labels
            for at in np.argsort(best.weights)[::-1]:  # The time may not be enough for all.
                one = members[at]
                is_soon = self._fitting.get(one.name, 0.0) <= self.autopilot.left()
                if isinstance(one.model, Refits) and is_soon:
                    members[at] = replace(one, model=one.model.refitted(texts, labels, weights))
        if all(one is other for one, other in zip(members, best.members, strict=True)):
            return best
        return replace(self._with_members(best, members), refit=True)

    def _with_members(self, one: Ensemble, members: Sequence[TrainedCandidate]) -> Ensemble:
        """Return the ensemble with its members replaced, weights unchanged."""
        data, size = self.autopilot.data, self.autopilot.vocabulary_size
        if one.family != "ensemble":
            return replace(one, members=tuple(members), model=members[0].model)
        temperature = temperature_of(one.model)
        model = average_of(members, np.array(one.weights), size, data.classes, temperature)
        return replace(one, members=tuple(members), model=model, options=model.options)


def _linear(candidates: Sequence[ScheduledCandidate]) -> tuple[ScheduledCandidate, ...]:
    return tuple(one for one in candidates if one.family == "linear")
