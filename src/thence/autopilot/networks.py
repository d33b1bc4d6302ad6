"""Training one network in a given time, as large as the time allows.

A network that reads D tokens while it is trained does best with about D / r weights: a larger one
would see too few tokens, a smaller one could hold more (J. Hoffmann et al. 2022, "Training
compute-optimal large language models": r = 20 for unlimited text and long trainings). A small text
is read many times over; there weights beyond a few per token overfit, and the more weights and
passes there are, the higher the dropout. The sizes themselves are those of the family.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thence.autopilot.autopilot import MIN_TRAINING, Autopilot, TrainingEnded, with_training
from thence.autopilot.candidates import ScheduledCandidate, TrainedCandidate
from thence.autopilot.joining import asked
from thence.autopilot.pace import SAFETY
from thence.deadline import DeadlineError, deadline
from thence.models.candidates import Size, TextKind
from thence.models.language.dynamic_evaluation import (
    choose_rule,
    gradient_sizes,
    score_dynamically,
    seconds_per_window,
    windows_to_learn,
)
from thence.models.language.neural import NeuralLanguageModel
from thence.models.registry import get_family
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe
from thence.tokens import TokenStore
from thence.training.callbacks import ProgressCallback
from thence.training.data import TrainingData
from thence.training.dev_evaluation import DevEvaluator, language_evaluator
from thence.training.device import deterministic_mode
from thence.training.gradient_steps import build_setup
from thence.training.setup import fastest, timed
from thence.training.trainer import TIME_MARGIN, Trainer

HIDDEN_SIZES = (64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 1024)
"""Units of a hidden layer in the sizes that are considered."""
TOKENS_PER_WEIGHT: Mapping[TextKind, float] = {"names": 6.0, "characters": 10.0, "words": 5.0}
"""r, as it did best here on names, a megabyte of plays and the Penn Treebank, in a minute each."""
WEIGHTS_PER_TOKEN = 4.0
"""Weights at most for each token of the train text."""
DROPOUTS = ((2.0, 0.0), (6.0, 0.1), (15.0, 0.2), (35.0, 0.3), (math.inf, 0.4))
"""Dropout rates: each up to so many passes over the train text times weights per token of it."""
FIRST_GUESS = 128
"""The hidden size whose step is timed first."""
MIN_DEV_TARGETS = 5000
"""Targets of dev that a network is evaluated on while it is trained, at least."""
EVALUATION_SHARE = 0.005
"""Share of the time that each of the ten evaluations on dev may take."""
CLASSIFYING_SHARE = 0.03
"""Share of the time that is kept for classifying dev at the end."""
SCORING_SHARE, MIN_SCORED = 0.1, 20_000
"""A network scores as much of dev as takes this share of its time, but at least so many targets."""
CACHING = 1.0
"""Time kept for a cache of hidden states, in multiples of that kept for scoring."""
LEARNING = 1.2
"""Time kept for dynamic evaluation, in multiples of what was timed."""
MAX_CACHE_SHARE = 0.04
"""Share of the time that scoring dev may take if there is to be a cache of hidden states."""
MAX_LEARNING_SHARE = 0.2
"""Share of the time, or of the steps, that dynamic evaluation may take: learning from dev as it is
scored, and choosing the rates for it."""
LEARNING_TARGETS = 4000
"""Targets of dev that these rates are chosen on."""
MIN_LIMIT = 0.05
"""Seconds of training at least, where no time is left: a step or two."""
MIN_TRAINING_SHARE = 0.3
"""Share of the time that a network is trained for, however long it takes to score dev."""


@dataclass(frozen=True)
class Trained:
    """A network that was trained.

    Attributes:
        recipe: What it is.
        model: With its best weights.
        curve: Seconds since the training began, and nats per token on a part of dev.
        with_cache: Whether there is time for a cache of its hidden states.
        learns: Whether there is time for it to learn from the text that it scores.
        dev: Of a language model, as much of dev as it has time to score.
        scoring: Seconds to keep for that.
    """

    recipe: Recipe
    model: Any
    curve: tuple[tuple[float, float], ...]
    with_cache: bool
    learns: bool
    dev: TokenStore
    scoring: float


def choose_recipe(
    base: Recipe,
    data: TrainingData,
    candidate: ScheduledCandidate,
    kind: TextKind,
    seconds: float | None,
    steps: int | None,
) -> Recipe:
    """Return the recipe of the largest network worth training in the time, or for the steps.

    Where time counts, a step of a network of middling size is timed, and one of the chosen size. A
    family that has no sizes is trained with the options of the candidate.

    Args:
        base: Has the text, how it is read, and the seed, threads and device.
        data: The text.
        candidate: The family, and perhaps some of its options.
        kind: What is modelled.
        seconds: To train it in; None where steps count.
        steps: To train it for.
    """
    family = get_family(candidate.family)
    if family.size is None:
        options = family.options_class()(**candidate.options)
        recipe = with_training(replace(base, model=family.name, options=options))
        return with_fastest(recipe, data, steps)
    tokens = data.train.num_targets
    sizes = {hidden: family.sized(kind, hidden, candidate.options) for hidden in HIDDEN_SIZES}

    def recipe_of(size: Size, passes: float) -> Recipe:
        return _recipe_of(replace(base, model=family.name), size, passes, tokens)

    def tokens_read(size: Size) -> tuple[TrainingOptions, dict[int, float]]:
        """Return the fastest settings, and what a network of each size reads in the time."""
        recipe, step, read = timed(recipe_of(size, 1.0), data)
        speed, work = read / step, _work(size, data)
        return recipe.training, {
            hidden: (seconds or 0.0) * speed * work / _work(other, data)
            for hidden, other in sizes.items()
        }

    guess = sizes[FIRST_GUESS]
    if seconds is None:
        assert steps is not None
        read = steps * build_setup(recipe_of(guess, 1.0), data).batches.at(0).tokens
        size = largest_size(kind, sizes, dict.fromkeys(HIDDEN_SIZES, read), tokens)
        return with_fastest(recipe_of(size, read / tokens), data, steps)
    fastest, reads = tokens_read(guess)
    size = largest_size(kind, sizes, reads, tokens)
    if size != guess:  # Once more: what is fast for a small step need not be so for a large one.
        fastest, reads = tokens_read(size)
        size = largest_size(kind, sizes, reads, tokens)
    recipe = recipe_of(size, reads[size.hidden] / tokens)
    training = replace(recipe.training, threads=fastest.threads, precision=fastest.precision)
    return replace(recipe, training=training)


def with_fastest(recipe: Recipe, data: TrainingData, steps: int | None) -> Recipe:
    """Return a recipe for some steps, or for a time with the threads and precision fastest here."""
    chosen = fastest(recipe, data) if steps is None else {"steps": steps, "precision": "float32"}
    return replace(recipe, training=replace(recipe.training, **chosen))


def largest_size(
    kind: TextKind, sizes: Mapping[int, Size], tokens_at: Mapping[int, float], train_tokens: int
) -> Size:
    """Return the largest size that reads enough tokens for its weights.

    Args:
        kind: What is modelled.
        sizes: Those of a family by hidden size, rising.
        tokens_at: How many tokens are read in the time, by hidden size.
        train_tokens: Tokens of the train text.
    """
    best, *larger = sizes.values()
    for size in (best, *larger):
        if size.weights * TOKENS_PER_WEIGHT[kind] > tokens_at[size.hidden]:
            break
        if size.weights > WEIGHTS_PER_TOKEN * train_tokens:
            break
        best = size
    return best


def _work(size: Size, data: TrainingData) -> int:
    """Return about how many weights each token goes through, those of the output layer included."""
    return size.weights + size.hidden * min(len(data.tokenizer.vocabulary), 1000)


def options_of(size: Size, passes: float, train_tokens: int) -> dict[str, Any]:
    """Return the settings of a model of a size.

    Args:
        size: Of the network.
        passes: Over the train text, from which the dropout follows.
        train_tokens: Tokens of the train text.
    """
    seen = passes * size.weights / train_tokens
    dropout = next(rate for most, rate in DROPOUTS if seen <= most)
    return {**size.options, **{name: dropout * times for name, times in size.dropouts.items()}}


def _recipe_of(base: Recipe, size: Size, passes: float, train_tokens: int) -> Recipe:
    """Return the recipe of a size; ``base`` has the family and all that is not of the size."""
    training = dict(size.training)
    if (window := training.get("window")) is not None:  # A short text makes no long streams.
        training["batch_size"] = max(4, min(training["batch_size"], train_tokens // (4 * window)))
    made = get_family(base.model).options_class()(**options_of(size, passes, train_tokens))
    return with_training(replace(base, options=made), **training)


def train_until(
    ends: float,
    autopilot: Autopilot,
    name: str,
    recipe: Recipe,
    with_cache: bool = False,
    with_decisions: bool = False,
    data: TrainingData | None = None,
) -> Trained | None:
    """Train a network until a given time of the budget; return None if too little time is left.

    Args:
        ends: When it has to be ready, in seconds of the budget.
        autopilot: The search.
        name: What to call it.
        recipe: With threads and precision chosen, and the steps where they count.
        with_cache: Whether a cache of its hidden states is wanted, if there is time.
        with_decisions: Whether dev is read once more, for what it says of each decision.
        data: What to train it on; None: the text of the search.
    """
    seconds = None if math.isinf(ends) else ends - autopilot.budget.spent()
    if seconds is not None and seconds < MIN_TRAINING:
        return None
    with autopilot.listening(name) as listener:
        chosen = data or autopilot.data
        return train(recipe, chosen, seconds, listener, with_cache, with_decisions)


def train(
    recipe: Recipe,
    data: TrainingData,
    seconds: float | None,
    listener: ProgressCallback,
    with_cache: bool = False,
    with_decisions: bool = False,
) -> Trained | None:
    """Train a network; None where it was ended before its first evaluation.

    Args:
        recipe: With threads and precision chosen, and the steps where they count.
        data: The text.
        seconds: To train it and to score dev in; None where steps count.
        listener: Hears of each step; may end the training by ``TrainingEnded``.
        with_cache: Whether a cache of its hidden states is wanted, if there is time.
        with_decisions: Whether dev is read once more, for what it says of each decision.
    """
    curve: list[tuple[float, float]] = []
    began, learns = time.monotonic(), False

    def on_evaluation(line: Mapping[str, Any]) -> None:
        curve.append((line["seconds"], line[f"dev_nats_per_{setup.dev_evaluator.unit}"]))

    with deterministic_mode(recipe.training):
        setup = build_setup(recipe, data)
        network = setup.network
        if isinstance(network, NeuralLanguageModel):
            dev, scoring = _scored_part(network, data.dev, recipe, seconds)
            per_target = scoring / max(dev.num_targets, 1)
            evaluator = _evaluator(recipe, data, network, seconds, per_target)
            setup = replace(setup, dev_evaluator=evaluator)
            with_cache = with_cache and scoring < MAX_CACHE_SHARE * (seconds or math.inf)
            reserve = scoring * (1 + CACHING * with_cache + with_decisions)
            learning = _learning_time(network, recipe, data, seconds)
            learns = learning is not None
            reserve += learning or 0.0
        else:
            dev, scoring = data.dev, 0.0
            reserve = CLASSIFYING_SHARE * (seconds or 0.0)
        if seconds is not None:
            left = seconds - (time.monotonic() - began)  # Making and timing it took a moment.
            limit = max(left - reserve, MIN_TRAINING_SHARE * left, MIN_LIMIT) / TIME_MARGIN
            recipe = replace(recipe, training=replace(recipe.training, time=f"{limit:.4f}s"))
        trainer = Trainer(setup, recipe.training, None, listener)
        try:
            trainer.run(on_evaluation)
        except (TrainingEnded, DeadlineError):
            if not curve:
                return None
        network.load_tensors(trainer.best_tensors())
    return Trained(recipe, network, tuple(curve), with_cache, learns, dev, scoring)


def _learning_time(
    network: NeuralLanguageModel, recipe: Recipe, data: TrainingData, seconds: float | None
) -> float | None:
    """Return the seconds to keep for dynamic evaluation; None where it takes too much of the time.

    Where steps count, a window is taken to last as long as a step, and no time is kept.
    """
    if not recipe.training.carry_context or network.context_length is not None:
        return None
    windows = windows_to_learn(network, data.dev, LEARNING_TARGETS)
    if seconds is None:
        affordable = windows <= MAX_LEARNING_SHARE * (recipe.training.steps or 0)
        return 0.0 if affordable else None
    needed = LEARNING * windows * seconds_per_window(network, data.dev)
    return needed if needed <= MAX_LEARNING_SHARE * seconds else None


def learning(
    one: TrainedCandidate,
    trained: Trained,
    data: TrainingData,
    mixers: Sequence[TrainedCandidate],
    ends: float,
) -> TrainedCandidate:
    """Return a network with dynamic evaluation, if that lowers its loss on dev; else unchanged.

    Args:
        one: The network, with its scores of all of dev.
        trained: The same, as it was trained.
        data: The text.
        mixers: Models that would ask what it says of each decision; that comes by the same reading.
        ends: When to give up, by ``time.monotonic``; it is returned as it is then.
    """
    model, dev = trained.model, data.dev
    try:
        with deadline(ends), deterministic_mode(trained.recipe.training):
            sizes = gradient_sizes(model, data.train)
            made = replace(one, rule=choose_rule(model, dev, sizes, LEARNING_TARGETS))
            if mixers:
                made = asked(made, mixers, dev)
            else:
                scores = score_dynamically(model, dev, made.rule)
                made = replace(made, scores=scores, nats=-float(np.mean(scores, dtype=np.float64)))
    except DeadlineError:
        return one
    return made if made.nats < one.nats else one


def _evaluator(
    recipe: Recipe,
    data: TrainingData,
    network: NeuralLanguageModel,
    seconds: float | None,
    per_target: float,
) -> DevEvaluator:
    """Return an evaluator on as much of dev as takes little time."""
    targets = data.dev.num_targets // 10
    if seconds is not None:
        targets = int(EVALUATION_SHARE * seconds / max(per_target, 1e-9))
    dev = data.dev.beginning(max(MIN_DEV_TARGETS, targets))
    carries = recipe.training.carry_context
    return language_evaluator(network, dev, carries, network.vocabulary_size)


def _scored_part(
    network: NeuralLanguageModel, dev: TokenStore, recipe: Recipe, seconds: float | None
) -> tuple[TokenStore, float]:
    """Return as much of dev as a network scores in its share of the time, and how long to keep."""
    if seconds is None:
        return dev, 0.0
    scoring = SAFETY * network.seconds_to_score(dev, recipe.training.carry_context)
    share = SCORING_SHARE * seconds / max(scoring, 1e-9)
    if share < 1:
        whole = dev.num_targets
        dev = dev.beginning(max(int(share * whole), MIN_SCORED))
        scoring *= dev.num_targets / whole
    return dev, scoring
