"""The models of several runs as one, with weights learned on dev.

Language models become a ``Mixture``, classifiers an ``Ensemble``: probabilities side by side.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thence.errors import RunError
from thence.models.base import Array
from thence.models.labels import ensemble as classifiers
from thence.models.mixture import Member, Mixture, MixtureOptions, Weights
from thence.recipes.recipe import Recipe
from thence.runs.run import ClassifierRun, Run
from thence.tokens import TokenStore, encode_texts
from thence.training.data import labelled
from thence.training.dev_evaluation import evaluate_labels

if TYPE_CHECKING:
    from thence.models.language.neural import NeuralLanguageModel


def mixture_of(
    runs: Sequence[Run],
    cache: int | None = None,
    neural_cache: int | None = None,
    dynamic: bool = False,
    weights: Weights = "gated",
) -> tuple[Recipe, dict[str, Array], dict[str, float]]:
    """Return the recipe of a mixture, its tensors, and how good it is on dev; see ``mix``."""
    first = runs[0]
    dev = first.store("dev")
    members = [
        Member(run.recipe.model, _settings(run.recipe), run.recipe.training.carry_context)
        for run in runs
    ]
    if dynamic or neural_cache is not None:
        members = _adapt(members, _running_networks(runs), dev, neural_cache, dynamic)
    if cache is not None:
        members += [
            Member("cache", {"length": cache, "order": order}, carry_context=True)
            for order in (1, 2)
        ]
    options = MixtureOptions(tuple(members), weights)
    carries = any(member.carry_context for member in members)
    training = replace(first.recipe.training, carry_context=carries)
    recipe = replace(first.recipe, model="mixture", options=options, training=training)
    model = Mixture(options, len(first.tokenizer.vocabulary))
    for part, run in zip(model.models, runs, strict=False):
        part.load_tensors(run.model.tensors())
    scores = model.member_scores(dev, carries)
    model.learn_weights(dev, carries, scores)
    loss = -float(np.mean(model.mixed(scores, dev, carries)))
    return recipe, model.tensors(), {"dev_nats_per_token": loss}


def _running_networks(runs: Sequence[Run]) -> dict[int, "NeuralLanguageModel"]:
    """Return by their number the runs' networks that read running text as a sequence.

    Raises:
        RunError: If there is none.
    """
    from thence.models.language.neural import NeuralLanguageModel

    models = dict(enumerate(run.model for run in runs))
    sequences = {
        number: model
        for number, model in models.items()
        if isinstance(model, NeuralLanguageModel) and model.network.context_length is None
    }
    if not sequences:
        raise RunError(
            "`neural_cache` and `dynamic` need a network that reads sequences (rnn, lstm or gru), "
            "and none of the runs is one."
        )
    running = {n: m for n, m in sequences.items() if runs[n].recipe.training.carry_context}
    if not running:
        raise RunError(
            f"`neural_cache` and `dynamic` are for running text, but {runs[min(sequences)].folder} "
            "read each document by itself; train it with `carry_context`."
        )
    return running


def _adapt(
    members: list[Member],
    networks: dict[int, "NeuralLanguageModel"],
    dev: TokenStore,
    neural_cache: int | None,
    dynamic: bool,
) -> list[Member]:
    """Return the members with networks that go on learning, and with a neural cache of the first.

    Args:
        members: Those of the runs.
        networks: The models among them that read running text, by number.
        dev: Chooses the rates and theta.
        neural_cache: Places that the cache remembers; None: no cache.
        dynamic: Whether the networks go on learning.
    """
    from thence.models.language.dynamic_evaluation import choose_rate
    from thence.models.language.neural_cache import NeuralCacheOptions, choose_theta

    members = list(members)
    if dynamic:
        for number, model in networks.items():
            members[number] = replace(members[number], dynamic=choose_rate(model, dev))
    if neural_cache is not None:
        number, model = next(iter(networks.items()))
        options = NeuralCacheOptions(neural_cache, 0.0, number)  # Refuses a bad length.
        options = replace(options, theta=choose_theta(model, dev, neural_cache))
        members.append(Member("neural-cache", asdict(options), carry_context=True))
    return members


def ensemble_of(runs: Sequence[ClassifierRun]) -> tuple[Recipe, dict[str, Array], dict[str, float]]:
    """Return the recipe of an average of classifiers, its tensors, and how good it is on dev."""
    first = runs[0]
    dev = labelled(first.documents("dev"))
    texts = encode_texts(first.tokenizer, dev)
    said = [run.classifier.classify(texts) for run in runs]
    options = classifiers.EnsembleOptions(
        tuple(classifiers.Member(run.recipe.model, _settings(run.recipe)) for run in runs)
    )
    recipe = replace(first.recipe, model="ensemble", options=options)
    model = classifiers.Ensemble(options, len(first.tokenizer.vocabulary), first.classes)
    model.members = [run.classifier for run in runs]
    model.weights = classifiers.learn_pool(said, dev.labels).weights
    result = evaluate_labels(classifiers.pooled(said, model.weights), dev.labels)
    return recipe, model.tensors(), {"dev_nats_per_document": result.nats, **result.metrics}


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of a model, without those that are None."""
    return {name: value for name, value in asdict(recipe.options).items() if value is not None}
