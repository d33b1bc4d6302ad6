"""A classifier of thence as an estimator of scikit-learn."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from safetensors.numpy import load, save
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from thence.array_types import Float32, Float64
from thence.corpus import (
    Documents,
    LabelledDocuments,
    LabelledSplits,
    LabelOptions,
    Labels,
    ReadingOptions,
)
from thence.corpus.splits import SplitOptions, shuffled, strata, stratify
from thence.errors import SettingError, nearest
from thence.models.base import Array, Classes, Classifier
from thence.models.registry import families, get_family, is_known
from thence.recipes import Recipe, make_recipe
from thence.recipes.recipe import flat_settings
from thence.runs import ClassifierRun, Run
from thence.sklearn.inputs import Targets, documents_of, has_label_sets, targets_of, weights_of
from thence.tokens import Tokenizer, encode_texts, tokenizer_from_json
from thence.training.data import tokenize
from thence.training.finetuning import resolve_source_runs
from thence.training.fitting import train_classifier


@dataclass(frozen=True)
class FittedClassifier:
    """A trained classifier with its tokenizer and recipe.

    Attributes:
        recipe: The settings that it was trained with.
        tokenizer: Turns texts into ids.
        classifier: Turns ids into log-probabilities.
    """

    recipe: Recipe
    tokenizer: Tokenizer
    classifier: Classifier

    def log_probs(self, documents: Documents) -> Float64[np.ndarray, "documents classes"]:
        """Return the log-probability of each label; of single labels they are normalised."""
        texts = encode_texts(self.tokenizer, documents)
        found = self.classifier.classify(texts).astype(np.float64)
        if self.classifier.classes.multilabel:
            return found
        # They are normalised in float32; normalise them to float64's precision.
        return found - np.logaddexp.reduce(found, axis=1, keepdims=True)

    def to_state(self) -> dict[str, Any]:
        """Return the classifier as plain data for pickling; see ``from_state``."""
        tensors = self.classifier.tensors()
        return {
            "recipe": self.recipe.to_toml(),
            "tokenizer": self.tokenizer.to_json(),
            "classes": (self.classifier.classes.num_classes, self.classifier.classes.multilabel),
            "tensors": save(
                {name: np.asarray(value, order="C") for name, value in tensors.items()}
            ),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "FittedClassifier":
        """Return the classifier that ``to_state`` saved."""
        settings = flat_settings(tomllib.loads(state["recipe"]))
        text, model = settings.pop("text"), settings.pop("model")
        recipe = make_recipe(text, model, settings)
        tokenizer = tokenizer_from_json(state["tokenizer"], "the tokenizer of the pickle")
        size, classes = len(tokenizer.vocabulary), Classes(*state["classes"])
        classifier = get_family(model).classifier(recipe.options, size, classes)
        classifier.load_tensors(load(state["tensors"]))
        return cls(recipe, tokenizer, classifier)


FILE_SETTINGS = {
    field.name for kind in (ReadingOptions, SplitOptions, LabelOptions) for field in fields(kind)
}
"""Settings of reading, splitting and labelling files, which are refused for texts in memory."""


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Text classifier.

    It trains like ``thence train``, in memory: no file is written. The texts are a list, a tuple,
    an array or a series. The labels are one per text; for several labels per text, a matrix of 0
    and 1, or a tuple of labels per text.

    Args:
        model: Name of the family of classifiers.
        epochs: Passes over the texts; None: by the model and the number of texts.
        lr: Highest learning rate; None: the model's default.
        ngrams: Order of the longest n-grams that are features; None: the model's default.
        embedding_size: Size of embeddings; None: the model's default.
        tokens: The kind of tokens: ``words``, ``characters``, ``bytes`` or ``subwords``.
        dev: Share of the texts held out, stratified by label, to choose the best weights and
            settings that are left open. If there are too few texts, all are trained on.
        class_weight: ``balanced`` for the same total weight of each label, or a dict with the
            weight of each; None: 1 each.
        random_state: Seed. On one machine the same seed gives the same classifier; for large
            networks ``threads`` must be the same too.
        settings: Further flags of ``thence train`` with underscores, such as
            ``{"hidden_sizes": [32], "dropout": 0.3}``.

    Attributes:
        classes_: The labels, sorted, in their original type; for a matrix, the column numbers.
    """

    def __init__(
        self,
        model: str = "averaging",
        *,
        epochs: float | None = None,
        lr: float | None = None,
        ngrams: int | None = None,
        embedding_size: int | None = None,
        tokens: str = "words",
        dev: float = 0.1,
        class_weight: Mapping[Any, float] | str | None = None,
        random_state: Any = 42,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.lr = lr
        self.ngrams = ngrams
        self.embedding_size = embedding_size
        self.tokens = tokens
        self.dev = dev
        self.class_weight = class_weight
        self.random_state = random_state
        self.settings = settings

    @classmethod
    def from_run(cls, run: Run | str | Path) -> Self:
        """Return the fitted classifier of a run; ``fit`` would train it by the run's recipe again.

        Raises:
            ThenceError: If it is not a usable run of a classifier.
        """
        run = ClassifierRun(run)
        recipe = run.recipe
        balanced = recipe.labelling is not None and recipe.labelling.class_weights
        estimator = cls(
            recipe.model,
            tokens=recipe.tokens.tokens,
            class_weight="balanced" if balanced else None,
            random_state=recipe.training.seed,
            settings=_changed(recipe),
        )
        estimator.classes_ = np.array(run.label_names)
        estimator._form = "sets" if run.classes.multilabel else "one"
        estimator._fitted = FittedClassifier(recipe, run.tokenizer, run.classifier)
        return estimator

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on labelled texts, from new weights.

        Args:
            X: The texts.
            y: Their labels.
            sample_weight: Weight of each text; texts of weight 0 are left out.

        Raises:
            ValueError: If the texts, the labels or the weights are invalid.
            TypeError: If they are of a wrong type.
            ThenceError: If a setting is invalid, or the training fails.
        """
        recipe = self._recipe()
        documents, targets = documents_of(X), targets_of(y)
        check_consistent_length(documents, targets.labels)
        weights = weights_of(sample_weight, self.class_weight, targets)
        labelled = LabelledDocuments.of(documents, targets.labels)
        splits, weights = self._split(labelled, weights, recipe.training.seed)
        _check_labels(targets, splits.train.labels)
        prepared = tokenize(recipe, splits, weights)
        classifier = train_classifier(recipe, prepared)
        self.classes_, self._form = targets.classes, targets.form
        self._fitted = FittedClassifier(recipe, prepared.tokenizer, classifier)
        return self

    def _recipe(self) -> Recipe:
        """Return the recipe of the parameters; SettingError if one is invalid or given twice."""
        if not is_known(self.model) or get_family(self.model).task != "labels":
            names = list(families("labels"))
            raise SettingError(
                f"There is no classifier {self.model!r}; choose one of {', '.join(names)}."
                + nearest(str(self.model), names)
            )
        own = {name: getattr(self, name) for name in ("epochs", "lr", "ngrams", "embedding_size")}
        given = {name: value for name, value in own.items() if value is not None}
        given |= {"tokens": self.tokens, "seed": self._seed()}
        given |= {"class_weights": self.class_weight == "balanced"}
        further = dict(self.settings or {})
        if twice := given.keys() & further.keys():
            raise SettingError(
                f"The setting '{min(twice)}' has a parameter of TextClassifier; leave it out of "
                "settings."
            )
        if senseless := FILE_SETTINGS & further.keys():
            raise SettingError(
                f"The setting '{min(senseless)}' is for files of text; fit is given the texts."
            )
        # With "auto" the training would measure speeds, so it could differ from run to run.
        given = {"precision": "float32", **given, **further}
        # Parameter grids made with NumPy have its scalars.
        plain = {name: v.item() if isinstance(v, np.generic) else v for name, v in given.items()}
        return resolve_source_runs(make_recipe("X", self.model, plain))

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(1 << 31))

    def _split(
        self, documents: LabelledDocuments, weights: Float32[np.ndarray, " documents"], seed: int
    ) -> tuple[LabelledSplits, Float32[np.ndarray, " train"]]:
        """Hold out dev; return the splits (without weight 0) and the weights of train."""
        if not isinstance(self.dev, Real) or not 0 <= self.dev < 1:
            raise SettingError(f"dev is {self.dev!r}; it must be a share from 0 to below 1.")
        counting = np.flatnonzero(weights)
        documents, weights = documents.take(counting), weights[counting]
        order, bounds = np.arange(len(documents)), (0, len(documents), len(documents))
        if self.dev:
            share = 100 * float(self.dev)
            groups = strata(documents.labels)
            order, bounds = stratify(
                shuffled(len(documents), seed), groups, (100 - share, share, 0)
            )
        train, dev, test = np.split(order, bounds[1:3])
        splits = LabelledSplits(*(documents.take(part) for part in (train, dev, test)))
        return splits, weights[train]

    def predict(self, X: Any) -> Any:
        """Return the most probable label of each text; if several, all of probability >= 0.5.

        Several labels have the form that they had in ``fit``: a matrix, or a list of tuples.
        """
        log_probs = self._log_probs(X)
        if self._form == "one":
            return self.classes_[log_probs.argmax(1)]
        is_label = np.exp(log_probs) >= 0.5
        if self._form == "matrix":
            return is_label.astype(np.int64)
        return [tuple(self.classes_[row].tolist()) for row in is_label]

    def predict_proba(self, X: Any) -> Float64[np.ndarray, "documents classes"]:
        """Return the probability of each label for each text."""
        return cast(Array, np.exp(self._log_probs(X)))

    def predict_log_proba(self, X: Any) -> Float64[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each text."""
        return self._log_probs(X)

    def decision_function(self, X: Any) -> Array:
        """Return the log-odds of the second of two labels, or of each label if multilabel.

        For more than two single labels, return the log-probabilities.
        """
        log_probs = self._log_probs(X)
        if self._form != "one":
            certain = -np.finfo(np.float64).tiny
            odds: Array = log_probs - np.log(-np.expm1(np.minimum(log_probs, certain)))
            return odds
        return log_probs[:, 1] - log_probs[:, 0] if len(self.classes_) == 2 else log_probs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy: the share of texts whose label, or whole set of labels, is right."""
        if not has_label_sets(y):
            return float(super().score(X, y, sample_weight))
        check_consistent_length(X, y, sample_weight)
        right = [
            set(found) == set(labels) for found, labels in zip(self.predict(X), y, strict=True)
        ]
        return float(np.average(right, weights=sample_weight))

    def _log_probs(self, X: Any) -> Float64[np.ndarray, "documents classes"]:
        check_is_fitted(self)
        return self._fitted.log_probs(documents_of(X))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_fitted" in state:
            state["_fitted"] = state["_fitted"].to_state()
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        fitted = {}
        if "_fitted" in state:
            fitted = {"_fitted": FittedClassifier.from_state(state["_fitted"])}
        super().__setstate__({**state, **fitted})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.string = True, True
        tags.input_tags.two_d_array = False
        tags.classifier_tags.multi_label = True
        return tags


def _check_labels(targets: Targets, train: Labels) -> None:
    """Raise ValueError if the train split has too few classes (two, or one if multilabel)."""
    present = int(np.count_nonzero(train.counts()))
    if present < (1 if train.multilabel else 2):
        found = "none has a label" if train.multilabel else "all are of one class"
        raise ValueError(
            f"There is nothing to distinguish: of the {len(train)} texts that count, {found}. Give "
            "texts of at least two classes."
        )


def _changed(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of a recipe that differ from the defaults, for ``settings``."""
    default = make_recipe(recipe.text, recipe.model, {})
    return {
        field.name: value
        for group in ("options", "tokens", "training")
        for field in fields(getattr(recipe, group))
        if (value := getattr(getattr(recipe, group), field.name))
        != getattr(getattr(default, group), field.name)
        and field.name not in ("tokens", "seed")
    }
