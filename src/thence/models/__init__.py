"""Models: one file per family, for language and for labels, and the registry that names them."""

from thence.models.base import CountedModel, LanguageModel, State
from thence.models.labels.base import Classes, Classifier, FittedClassifier
from thence.models.registry import Family, get_family, register_model

__all__ = [
    "Classes",
    "Classifier",
    "CountedModel",
    "Family",
    "FittedClassifier",
    "LanguageModel",
    "State",
    "get_family",
    "register_model",
]
