"""Mixing the runs of classifiers: an ensemble, its weights learned on dev."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from thence.models.labels.base import Array
from thence.models.labels.ensemble import Ensemble, EnsembleOptions, Member, learn_pool, pooled
from thence.recipes.recipe import Recipe
from thence.runs.run import ClassifierRun
from thence.tokens import encode_texts
from thence.training.data import labelled
from thence.training.dev_evaluation import evaluate_labels


def ensemble_of(runs: Sequence[ClassifierRun]) -> tuple[Recipe, dict[str, Array], dict[str, float]]:
    """Return the recipe of an ensemble, its tensors, and how good it is on dev.

    Each run reads dev once.
    """
    first = runs[0]
    dev = labelled(first.documents("dev"))
    texts = encode_texts(first.tokenizer, dev)
    said = [run.classifier.classify(texts) for run in runs]
    recipe = replace(
        first.recipe,
        model="ensemble",
        options=EnsembleOptions(tuple(_member_of(run) for run in runs)),
    )
    ensemble = Ensemble(recipe.options, len(first.tokenizer.vocabulary), first.classes)
    ensemble.members = [run.classifier for run in runs]
    ensemble.weights = learn_pool(said, dev.labels).weights
    result = evaluate_labels(pooled(said, ensemble.weights), dev.labels)
    return recipe, ensemble.tensors(), {"dev_nats_per_document": result.nats, **result.metrics}


def _member_of(run: ClassifierRun) -> Member:
    options = asdict(run.recipe.options)
    return Member(
        run.recipe.model, {name: value for name, value in options.items() if value is not None}
    )
