"""Models: one file per family, for language and for labels, and the registry that names them."""

from thence.models import families as families  # Fills the registry.
from thence.models.base import (
    Classes,
    Classifier,
    CountedModel,
    FittedClassifier,
    LanguageModel,
    State,
)
from thence.models.candidates import Candidate, Size
from thence.models.registry import Family, get_family, register_model

__all__ = [
    "Candidate",
    "Classes",
    "Classifier",
    "CountedModel",
    "Family",
    "FittedClassifier",
    "LanguageModel",
    "Size",
    "State",
    "get_family",
    "register_model",
]
