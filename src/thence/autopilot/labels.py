"""The road to a classifier: word averaging, a linear one, then networks, and their average."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from thence.autopilot.candidates import label_ladder
from thence.autopilot.parts import Blend, Part, Rung
from thence.autopilot.pooling import ensemble_of, pool
from thence.autopilot.search import LEAST, Search, told, with_training
from thence.batches.bags import BagOptions, bags_of
from thence.models.labels.base import Classifier
from thence.models.registry import CLASSIFIERS
from thence.recipes.recipe import Recipe
from thence.tokens import Texts
from thence.training.data import TrainingData
from thence.training.dev_evaluation import evaluate_labels
from thence.training.train import train_classifier

SHARE_TIMED = 64
"""The features of one of so many documents are found beforehand, to see how long that takes."""
SETTING_UP = 2.5
"""Times the seconds for the features of all documents that pass before weights can be learned."""


@dataclass(frozen=True)
class Labelling:
    """What is tried for labels, and how it is put together.

    Attributes:
        search: The search that goes this road.
    """

    search: Search
    mixed = "ensemble"

    def described(self) -> str:
        """Return what the text is like, in words."""
        prepared = self.search.prepared
        documents, labels = prepared.train.num_documents, prepared.train_labels
        kind = "any number of" if labels.multilabel else "one of"
        return f"{documents:,} train documents, {kind} {prepared.classes.num_classes:,} labels each"

    def at_once(self) -> Iterator[Part]:
        """Yield nothing: every classifier takes its time."""
        return iter(())

    def rungs(self, seconds: float) -> tuple[Rung, ...]:
        """Return what is worth training in so many seconds."""
        return label_ladder(seconds)

    def ending(self, parts: Sequence[Part]) -> float:
        """Return the seconds that putting the parts and one more together takes."""
        return 2e-6 * (len(parts) + 1) * parts[0].scores.size

    def train(self, rung: Rung, seconds: float | None, steps: int | None) -> list[Part]:
        """Train a classifier; nothing where there is too little time."""
        name = self.search.name_for(rung.model)
        options = CLASSIFIERS[rung.model].options_class()(**rung.options)
        recipe = replace(self.search.recipe, model=rung.model, options=options)
        bags: BagOptions | None = getattr(options, "bags", None)
        if seconds is not None and bags is not None:
            needed = SETTING_UP * _seconds_for_features(bags, self.search.prepared)
            if self.search.left() < needed:
                return []
        if CLASSIFIERS[rung.model].method == "fit":
            part = self._fitted(name, recipe, seconds)
        else:
            part = self._trained(name, recipe, seconds, steps)
        return [] if part is None else [part]

    def _trained(
        self, name: str, recipe: Recipe, seconds: float | None, steps: int | None
    ) -> Part | None:
        search, prepared = self.search, self.search.prepared
        began = search.budget.spent()
        from thence.autopilot.networks import train  # Torch takes its time to load.
        from thence.training.setup import fastest

        family = CLASSIFIERS[recipe.model]
        if steps is None:
            recipe = with_training(recipe, epochs=family.epochs)
            training = replace(recipe.training, **fastest(recipe, prepared))
            recipe = replace(recipe, training=training)
        else:
            recipe = with_training(recipe, steps=steps, precision="float32")
        if seconds is not None:
            seconds -= search.budget.spent() - began
            if seconds < LEAST:
                return None
        with search.listening(name) as listener:
            trained = train(recipe, prepared, seconds, listener)
        if trained is None:
            return None
        return self._part(name, trained.recipe, trained.model, trained.curve)

    def _fitted(self, name: str, recipe: Recipe, seconds: float | None) -> Part | None:
        """Fit a linear classifier, which ends with what it has learned once its time is up."""
        search, prepared = self.search, self.search.prepared
        ends = math.inf if seconds is None else search.budget.spent() + seconds

        def should_stop() -> bool:
            return search.wish.is_set() or search.budget.spent() > ends

        return self._part(name, recipe, train_classifier(recipe, prepared, should_stop))

    def _part(
        self,
        name: str,
        recipe: Recipe,
        model: Classifier,
        curve: Sequence[tuple[float, float]] = (),
    ) -> Part:
        dev = self.search.prepared
        scores = model.classify(dev.dev_texts)
        result = evaluate_labels(scores, dev.dev_labels)
        options = {key: value for key, value in asdict(recipe.options).items() if value is not None}
        accuracy = result.metrics["dev_accuracy"]
        training = told(recipe) if curve else {}
        return Part(
            name,
            recipe.model,
            options,
            model,
            scores,
            result.nats,
            accuracy,
            False,
            training,
            curve,
        )

    def blend(self, parts: Sequence[Part], seconds: float = math.inf) -> Blend:
        """Average the parts that pay for their place."""
        prepared = self.search.prepared
        size = len(prepared.tokenizer.vocabulary)
        return pool(parts, prepared.dev_labels, size, prepared.classes)

    def losses(self, made: Blend) -> dict[str, float]:
        """Return what the metrics say of what came out."""
        assert made.accuracy is not None
        return {"dev_nats_per_document": made.nats, "dev_accuracy": made.accuracy}

    def single(self, made: Blend) -> Blend:
        """Return a trained classifier as an ensemble of one; a fitted one as it is."""
        if CLASSIFIERS[made.parts[0].family].method == "fit":
            return made
        prepared = self.search.prepared
        size = len(prepared.tokenizer.vocabulary)
        ensemble = ensemble_of(made.parts, np.ones(1), size, prepared.classes)
        return replace(made, model=ensemble, options=ensemble.options)

    def options(self, part: Part) -> object:
        """Return the settings of a part that is written by itself."""
        return CLASSIFIERS[part.family].options_class()(**part.options)


def _seconds_for_features(options: BagOptions, prepared: TrainingData) -> float:
    """Return about how many seconds it takes to find the features of all train documents."""
    chosen = np.arange(0, prepared.train.num_documents, SHARE_TIMED)
    train, documents = prepared.train.take(chosen), prepared.splits.train.take(chosen)
    began = time.perf_counter()
    bags_of(Texts(train, documents, prepared.tokenizer), options).distinct()
    return (time.perf_counter() - began) * prepared.train.num_documents / max(len(chosen), 1)
