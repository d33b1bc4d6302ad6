"""Neural caches and dynamic evaluation: models that go on learning while they score running text.

It needs torch.
"""

from collections.abc import Sequence
from dataclasses import replace

from thence.autopilot.candidates import TrainedCandidate, trained_candidate
from thence.autopilot.mixer_inputs import with_log_odds
from thence.deadline import DeadlineError, deadline
from thence.models.language.dynamic_evaluation import (
    choose_rule,
    gradient_sizes,
    score_dynamically,
    seconds_per_window,
    windows_to_learn,
)
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.neural_cache import NeuralCache, choose_theta
from thence.models.language.options import NeuralCacheOptions
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe
from thence.training.data import TrainingData
from thence.training.device import deterministic_mode

NEURAL_CACHE = 2000
"""Number of hidden states that a neural cache remembers."""
ADAPTING_FACTOR = 1.2
"""Time kept for dynamic evaluation, as a multiple of the measured estimate."""
MAX_ADAPTING_SHARE = 0.2
"""Largest share of the time, or of the steps, for dynamic evaluation of dev and for choosing its
learning rates."""
RATE_TARGETS = 4000
"""Number of dev targets that these learning rates are chosen on."""


def seconds_to_adapt(
    network: NeuralLanguageModel, recipe: Recipe, data: TrainingData, seconds: float | None
) -> float | None:
    """Return the seconds to keep for dynamic evaluation; None if it would take too long.

    Where steps are counted, a window counts as a training step, and no time is kept.
    """
    if not recipe.training.carry_context or network.context_length is not None:
        return None
    windows = windows_to_learn(network, data.dev, RATE_TARGETS)
    if seconds is None:
        affordable = windows <= MAX_ADAPTING_SHARE * (recipe.training.steps or 0)
        return 0.0 if affordable else None
    needed = ADAPTING_FACTOR * windows * seconds_per_window(network, data.dev)
    return needed if needed <= MAX_ADAPTING_SHARE * seconds else None


def with_dynamic_evaluation(
    one: TrainedCandidate,
    training: TrainingOptions,
    data: TrainingData,
    mixers: Sequence[TrainedCandidate],
    ends: float,
) -> TrainedCandidate:
    """Return a network with dynamic evaluation if that lowers its loss on dev, else unchanged.

    Args:
        one: The network with its scores of all of dev.
        training: The settings of its training.
        data: The tokenised text.
        mixers: Context-mixing models, for which its binary log-odds are computed in the same pass.
        ends: Deadline, by ``time.monotonic``, after which it is returned unchanged.
    """
    model, dev = one.model, data.dev
    try:
        with deadline(ends), deterministic_mode(training):
            sizes = gradient_sizes(model, data.train)
            made = replace(one, rule=choose_rule(model, dev, sizes, RATE_TARGETS))
            if mixers:
                made = with_log_odds(made, mixers, dev)
            else:
                made = made.with_scores(score_dynamically(model, dev, made.rule))
    except DeadlineError:
        return one
    return made if made.nats < one.nats else one


def neural_cache(one: TrainedCandidate, data: TrainingData) -> TrainedCandidate:
    """Return a neural cache of a network's hidden states, scored on running text."""
    theta = choose_theta(one.model, data.dev, NEURAL_CACHE)
    options = NeuralCacheOptions(NEURAL_CACHE, theta, of=0)
    cache = NeuralCache(options, one.model)
    scores = cache.score(data.dev, carry_context=True)
    more = {"carry_context": True, "network_of": one.name}
    return trained_candidate(f"cache of {one.name}", "neural-cache", options, cache, scores, **more)
