"""Combining the models of several runs into one, with weights learned on dev.

Language models become a ``Mixture``, classifiers an ``Ensemble``: weighted averages of their
probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from thence.array_types import Float64
from thence.corpus.documents import as_labelled
from thence.errors import RunError
from thence.models.base import Array, Classes, Classifier, LanguageModel
from thence.models.labels import ensemble as classifiers
from thence.models.language.members import Member, MixtureOptions, Weights
from thence.models.language.mixture import Mixture
from thence.models.language.options import NeuralCacheOptions
from thence.models.registry import get_family
from thence.recipes.recipe import Recipe
from thence.runs.run import ClassifierRun, LanguageRun, Run
from thence.settings import PositiveInt, Settings
from thence.tokens import TokenStore, encode_texts
from thence.training.dev_evaluation import evaluate_labels

if TYPE_CHECKING:
    from thence.models.language.dynamic_evaluation import UpdateRule
    from thence.models.language.neural import NeuralLanguageModel


@dataclass(frozen=True)
class MixOptions(Settings):
    """Settings of a mixture of language models; see ``thence.mix``."""

    cache: PositiveInt | None = None
    """Length of a cache in symbols."""
    neural_cache: PositiveInt | None = None
    """Length of a neural cache in hidden states."""
    dynamic: bool = False
    """Dynamic evaluation: recurrent networks are trained on the text that they score."""
    weights: Weights | None = None
    """What the weights of the members depend on."""


def build_mixture(
    members: Sequence[Member],
    models: Sequence[LanguageModel],
    vocabulary_size: int,
    weights: Weights = "gated",
) -> Mixture:
    """Return a mixture of trained models; its weights are still to be learned."""
    mixture = Mixture(MixtureOptions(tuple(members), weights), vocabulary_size)
    for own, model in zip(mixture.models, models, strict=False):
        own.load_tensors(model.tensors())
    mixture.weights = mixture.equal_weights()
    return mixture


def dynamic_member(member: Member, rule: "UpdateRule") -> Member:
    """Return the member with dynamic evaluation by an update rule."""
    return replace(
        member,
        dynamic=rule.rate,
        dynamic_decay=rule.decay,
        dynamic_rule="sgd" if rule.sizes is None else "rms",
    )


def build_average(
    members: Sequence[classifiers.Member],
    models: Sequence[Classifier],
    weights: Float64[np.ndarray, " members"],
    vocabulary_size: int,
    classes: Classes,
    temperature: float = 1.0,
) -> classifiers.Ensemble:
    """Return the weighted average of some classifiers as an ``Ensemble``."""
    options = classifiers.EnsembleOptions(tuple(members), temperature)
    average = classifiers.Ensemble(options, vocabulary_size, classes)
    average.members, average.weights = list(models), weights
    return average


def settings_of(options: Any) -> dict[str, Any]:
    """Return an options dataclass as a dict, without the settings that are None."""
    return {name: value for name, value in asdict(options).items() if value is not None}


def mix_language_models(
    runs: Sequence[Run], options: MixOptions
) -> tuple[Recipe, dict[str, Array], dict[str, float]]:
    """Return the recipe of a mixture, its tensors, and its metrics on dev."""
    first = runs[0]
    dev = first.store("dev")
    members = [
        Member(run.recipe.model, settings_of(run.recipe.options), run.recipe.training.carry_context)
        for run in runs
    ]
    sizes: dict[int, Mapping[str, Array]] = {}
    if options.dynamic or options.neural_cache is not None:
        networks = _running_networks(runs)
        if options.dynamic:
            members, sizes = _dynamic_members(members, networks, first.store("train"), dev)
        if options.neural_cache is not None:
            members.append(_neural_cache(networks, dev, options.neural_cache))
    if options.cache is not None:
        members += [
            Member("cache", {"length": options.cache, "order": order}, carry_context=True)
            for order in (1, 2)
        ]
    models = [run.model for run in runs]
    weights = options.weights or "gated"
    mixture = build_mixture(members, models, len(first.tokenizer.vocabulary), weights)
    mixture.gradient_sizes.update(sizes)
    carries = any(member.carry_context for member in members)
    scores = mixture.member_scores(dev, carries)
    mixture.learn_weights(dev, carries, scores)
    loss = -float(np.mean(mixture.mixed(scores, dev, carries)))
    training = replace(first.recipe.training, carry_context=carries)
    recipe = replace(first.recipe, model="mixture", options=mixture.options, training=training)
    return recipe, mixture.tensors(), {"dev_nats_per_token": loss}


def _running_networks(runs: Sequence[Run]) -> dict[int, "NeuralLanguageModel"]:
    """Return the recurrent networks trained on running text, by the index of their run.

    Raises:
        RunError: If there is none.
    """
    sequences = [
        number for number, run in enumerate(runs) if get_family(run.recipe.model).reads_sequences
    ]
    if not sequences:
        raise RunError(
            "`neural_cache` and `dynamic` need a network that reads sequences (rnn, lstm or gru), "
            "and none of the runs is one."
        )
    running = [number for number in sequences if runs[number].recipe.training.carry_context]
    if not running:
        raise RunError(
            f"`neural_cache` and `dynamic` are for running text, but {runs[min(sequences)].folder} "
            "read each document by itself; train it with `carry_context`."
        )
    return {number: cast(LanguageRun, runs[number]).network for number in running}


def _dynamic_members(
    members: Sequence[Member],
    networks: Mapping[int, "NeuralLanguageModel"],
    train: TokenStore,
    dev: TokenStore,
) -> tuple[list[Member], dict[int, Mapping[str, Array]]]:
    """Return the members with dynamic evaluation of networks, and the sizes of their gradients."""
    from thence.models.language.dynamic_evaluation import choose_rule, gradient_sizes

    found, sizes = list(members), {}
    for number, model in networks.items():
        sizes[number] = gradient_sizes(model, train)
        found[number] = dynamic_member(members[number], choose_rule(model, dev, sizes[number]))
    return found, sizes


def _neural_cache(
    networks: Mapping[int, "NeuralLanguageModel"], dev: TokenStore, length: int
) -> Member:
    """Return a neural cache of the first network as a member; its theta is chosen on dev."""
    from thence.models.language.neural_cache import choose_theta

    number, model = next(iter(networks.items()))
    options = NeuralCacheOptions(length, choose_theta(model, dev, length), number)
    return Member("neural-cache", asdict(options), carry_context=True)


def average_classifiers(
    runs: Sequence[ClassifierRun],
) -> tuple[Recipe, dict[str, Array], dict[str, float]]:
    """Return the recipe of an average of classifiers, its tensors, and its metrics on dev."""
    first = runs[0]
    dev = as_labelled(first.documents("dev"))
    texts = encode_texts(first.tokenizer, dev)
    models = [run.classifier for run in runs]
    log_probs = [model.classify(texts) for model in models]
    pool = classifiers.learn_pool(log_probs, dev.labels)
    members = [
        classifiers.Member(run.recipe.model, settings_of(run.recipe.options)) for run in runs
    ]
    size = len(first.tokenizer.vocabulary)
    average = build_average(members, models, pool.weights, size, first.classes, pool.temperature)
    recipe = replace(first.recipe, model="ensemble", options=average.options)
    said = classifiers.pooled(log_probs, pool.weights, pool.temperature, first.classes.multilabel)
    result = evaluate_labels(said, dev.labels)
    return recipe, average.tensors(), {"dev_nats_per_document": result.nats, **result.metrics}
