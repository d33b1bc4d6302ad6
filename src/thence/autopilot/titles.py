"""Display names of the models in the result of ``thence best``, from their family and settings."""

from collections.abc import Mapping
from typing import Any


def language_title(family: str, settings: Mapping[str, Any]) -> str:
    """Return the name of a language model: its family and the values of the given settings."""
    return " ".join([family, *map(str, settings.values())])


def label_title(family: str, settings: Mapping[str, Any]) -> str:
    """Return the name of a classifier: its family and what its settings mean."""
    named = ", ".join(filter(None, (_setting(*pair) for pair in settings.items())))
    return f"{family}: {named}" if named else family


def _setting(name: str, value: Any) -> str:
    """Return a setting in words; nothing for one that tells no candidates apart."""
    match name, value:
        case "weighting", "tfidf":
            return "TF-IDF"
        case "loss", "squared_hinge":
            return "hinge loss"
        case "loss", "centroid":
            return "centroids"
        case "naive_bayes", 0.0:
            return "no naive Bayes"
        case "ngrams", _:
            return "single words" if value == 1 else f"up to {value} words"
        case "character_ngrams", _:
            return "characters"
        case "latent_dimensions", _:
            return f"{value} latent dimensions"
        case (("min_ngram_count" | "adversarial" | "max_length" | "prune"), _):
            return ""
    return f"{name.replace('_', ' ')} {value}"
