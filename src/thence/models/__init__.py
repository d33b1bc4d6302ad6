"""Models: one file per family, for language and for labels, and the registry that names them."""

from thence.models.base import CountedModel, LanguageModel, State
from thence.models.labels.base import Classes, Classifier, FittedClassifier

__all__ = [
    "Classes",
    "Classifier",
    "CountedModel",
    "FittedClassifier",
    "LanguageModel",
    "State",
]
