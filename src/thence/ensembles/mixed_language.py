"""Mixing the runs of language models: their probabilities side by side, with weights from dev."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from thence.errors import RunError
from thence.models.base import Array
from thence.models.mixture import Member, Mixture, MixtureOptions, Weights
from thence.recipes.recipe import Recipe
from thence.runs.run import Run
from thence.tokens import TokenStore

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
    members = [_member_of(run) for run in runs]
    if dynamic or neural_cache is not None:
        members = _adapt(members, _running_networks(runs), dev, neural_cache, dynamic)
    if cache is not None:
        members += [
            Member("cache", {"length": cache, "order": order}, carry_context=True)
            for order in (1, 2)
        ]
    recipe = _recipe(first.recipe, MixtureOptions(tuple(members), weights))
    model = Mixture(recipe.options, len(first.tokenizer.vocabulary))
    for part, run in zip(model.models, runs, strict=False):
        part.load_tensors(run.model.tensors())
    carries = recipe.training.carry_context
    scores = model.member_scores(dev, carries)
    model.learn_weights(dev, carries, scores)
    loss = -float(np.mean(model.mixed(scores, dev, carries)))
    return recipe, model.tensors(), {"dev_nats_per_token": loss}


def _member_of(run: Run) -> Member:
    options = asdict(run.recipe.options)
    given = {name: value for name, value in options.items() if value is not None}
    return Member(run.recipe.model, given, run.recipe.training.carry_context)


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


def _recipe(first: Recipe, options: MixtureOptions) -> Recipe:
    carries = any(member.carry_context for member in options.members)
    training = replace(first.training, carry_context=carries)
    return replace(first, model="mixture", options=options, training=training)
