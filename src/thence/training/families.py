"""Every family by name: language models and classifiers."""

from thence.classifiers import CLASSIFIERS, ClassifierFamily
from thence.errors import SettingError, nearest
from thence.models import FAMILIES, Family
from thence.synonyms import MODELS

EVERY: dict[str, Family | ClassifierFamily] = {**FAMILIES, **CLASSIFIERS}
DEFAULT_MODEL, DEFAULT_CLASSIFIER = "mlp", "averaging"


def family_of(name: str) -> Family | ClassifierFamily:
    """Return the family of that name.

    Raises:
        SettingError: If there is none; lists the names and suggests the nearest.
    """
    if name not in EVERY:
        elsewhere = MODELS.get(name.lower().replace("_", "-"))
        hint = nearest(name, EVERY) if elsewhere is None else f" Here it is {elsewhere}."
        raise SettingError(f"There is no model '{name}'; choose one of {', '.join(EVERY)}.{hint}")
    return EVERY[name]


def is_classifier(name: str) -> bool:
    """Return whether a model tells labels apart."""
    return name in CLASSIFIERS
