"""What a fitted estimator holds, and its form in a pickle: bytes and texts, no code of ours."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from thence.array_types import Float64
from thence.corpus import Documents
from thence.models.base import Classes, Classifier
from thence.models.registry import get_family
from thence.recipes import Recipe, make_recipe
from thence.recipes.recipe import flat_settings
from thence.tokens import Tokenizer, encode_texts, tokenizer_from_json


@dataclass(frozen=True)
class Fitted:
    """A classifier with all that it needs to read texts.

    Attributes:
        recipe: How it was trained.
        tokenizer: Text to ids.
        classifier: Ids to log-probabilities.
    """

    recipe: Recipe
    tokenizer: Tokenizer
    classifier: Classifier

    def log_probs(self, documents: Documents) -> Float64[np.ndarray, "documents classes"]:
        """Return the log-probability of each label; with one each, their exponentials add to 1."""
        texts = encode_texts(self.tokenizer, documents)
        found = self.classifier.classify(texts).astype(np.float64)
        if self.classifier.classes.multilabel:
            return found
        # What added up to 1 in single precision does so in double.
        return found - np.logaddexp.reduce(found, axis=1, keepdims=True)

    def to_state(self) -> dict[str, Any]:
        """Return what ``from_state`` makes the same of."""
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
    def from_state(cls, state: Mapping[str, Any]) -> "Fitted":
        """Make again what gave the state."""
        settings = flat_settings(tomllib.loads(state["recipe"]))
        text, model = settings.pop("text"), settings.pop("model")
        recipe = make_recipe(text, model, settings)
        tokenizer = tokenizer_from_json(state["tokenizer"], "the tokenizer of the pickle")
        size, classes = len(tokenizer.vocabulary), Classes(*state["classes"])
        classifier = get_family(model).classifier(recipe.options, size, classes)
        classifier.load_tensors(load(state["tensors"]))
        return cls(recipe, tokenizer, classifier)
