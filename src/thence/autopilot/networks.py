"""Training one network in a given time, as large as the time allows."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from thence.autopilot.autopilot import TrainingEnded, with_training
from thence.autopilot.candidates import Candidate, Kind
from thence.autopilot.sizes import HIDDEN_SIZES, Size, largest_size
from thence.models.language.neural import NeuralLanguageModel
from thence.models.registry import get_family
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe
from thence.tokens import TokenStore
from thence.training.data import TrainingData
from thence.training.dev_evaluation import DevEvaluator, language_evaluator
from thence.training.device import deterministic_mode
from thence.training.progress import ProgressCallback
from thence.training.setup import build_setup, timed
from thence.training.trainer import TIME_MARGIN, Trainer

FIRST_GUESS = 128
"""The hidden size whose step is timed first."""
TIMED_TARGETS = 2000
"""About how many targets of dev are scored to see how long that takes."""
MIN_DEV_TARGETS = 5000
"""Targets of dev that a network is evaluated on while it is trained, at least."""
EVALUATION_SHARE = 0.005
"""Share of the time that each of the ten evaluations on dev may take."""
CLASSIFYING_SHARE = 0.03
"""Share of the time that is kept for classifying dev at the end."""
SCORING, CACHING = 1.2, 1.2
"""Time kept for scoring dev and for a cache of hidden states, in multiples of a timed scoring."""
MAX_CACHE_SHARE = 0.04
"""Share of the time that scoring dev may take if there is to be a cache of hidden states."""
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
    """

    recipe: Recipe
    model: Any
    curve: tuple[tuple[float, float], ...]
    with_cache: bool


def choose_recipe(
    base: Recipe,
    data: TrainingData,
    candidate: Candidate,
    kind: Kind,
    seconds: float | None,
    steps: int | None,
) -> Recipe:
    """Return the recipe of the largest network worth training in the time, or for the steps.

    Where time counts, a step of a network of middling size is timed, and one of the chosen size.

    Args:
        base: Has the text, how it is read, and the seed, threads and device.
        data: The text.
        candidate: The family, and perhaps the number of layers.
        kind: What is modelled.
        seconds: To train it in; None where steps count.
        steps: To train it for.
    """
    tokens, layers = data.train.num_targets, candidate.options.get("layers", 1)
    guess = Size(candidate.family, kind, FIRST_GUESS, layers)
    if seconds is None:
        assert steps is not None
        batches = build_setup(_recipe_of(base, guess, 1.0, tokens), data).batches
        read = steps * batches.at(0).tokens
        size = largest_size(guess, dict.fromkeys(HIDDEN_SIZES, read), tokens)
        recipe = _recipe_of(base, size, read / tokens, tokens)
        return replace(recipe, training=replace(recipe.training, steps=steps, precision="float32"))
    fastest, reads = _tokens_read(base, data, guess, seconds)
    size = largest_size(guess, reads, tokens)
    if size != guess:  # Once more: what is fast for a small step need not be so for a large one.
        fastest, reads = _tokens_read(base, data, size, seconds)
        size = largest_size(size, reads, tokens)
    recipe = _recipe_of(base, size, reads[size.hidden] / tokens, tokens)
    training = replace(recipe.training, threads=fastest.threads, precision=fastest.precision)
    return replace(recipe, training=training)


def _tokens_read(
    base: Recipe, data: TrainingData, size: Size, seconds: float
) -> tuple[TrainingOptions, dict[int, float]]:
    """Time a few steps of a network of some size.

    Returns:
        The training with the threads and precision that are fastest, and how many tokens a network
        of each hidden size reads in the time.
    """
    recipe, step, read = timed(_recipe_of(base, size, 1.0, data.train.num_targets), data)
    speed, work = read / step, size.weights + _output_weights(size, data)
    sizes = (replace(size, hidden=hidden) for hidden in HIDDEN_SIZES)
    works = {one.hidden: one.weights + _output_weights(one, data) for one in sizes}
    reads = {hidden: seconds * speed * work / other for hidden, other in works.items()}
    return recipe.training, reads


def _output_weights(size: Size, data: TrainingData) -> int:
    """Return about how many weights of the output layer each token goes through."""
    return size.hidden * min(len(data.tokenizer.vocabulary), 1000)


def _recipe_of(base: Recipe, size: Size, passes: float, train_tokens: int) -> Recipe:
    """Return the recipe of a size.

    Args:
        base: Has the text, how it is read, and the seed, threads and device.
        size: Of the network.
        passes: Over the train text.
        train_tokens: Tokens of the train text.
    """
    training = size.training()
    rows, window = training["batch_size"], training.get("window")
    if window is not None:  # A short text makes no long streams.
        rows = max(4, min(rows, train_tokens // (4 * window)))
    made: Any = get_family(size.model).options_class()(**size.options(passes, train_tokens))
    recipe = replace(base, model=size.model, options=made)
    return with_training(recipe, **{**training, "batch_size": rows})


def train(
    recipe: Recipe,
    data: TrainingData,
    seconds: float | None,
    listener: ProgressCallback,
    with_cache: bool = False,
) -> Trained | None:
    """Train a network; None where it was ended before its first evaluation.

    Args:
        recipe: With threads and precision chosen, and the steps where they count.
        data: The text.
        seconds: To train it and to score dev in; None where steps count.
        listener: Hears of each step; may end the training by ``TrainingEnded``.
        with_cache: Whether a cache of its hidden states is wanted, if there is time.
    """
    curve: list[tuple[float, float]] = []

    def on_evaluation(line: Mapping[str, Any]) -> None:
        curve.append((line["seconds"], line[f"dev_nats_per_{setup.dev_evaluator.unit}"]))

    with deterministic_mode(recipe.training):
        setup = build_setup(recipe, data)
        network = setup.network
        if isinstance(network, NeuralLanguageModel):
            per_target = _seconds_per_target(network, data.dev, recipe.training.carry_context)
            evaluator = _evaluator(recipe, data, network, seconds, per_target)
            setup = replace(setup, dev_evaluator=evaluator)
            scoring = per_target * data.dev.num_targets
            with_cache = with_cache and scoring < MAX_CACHE_SHARE * (seconds or math.inf)
            reserve = scoring * (SCORING + CACHING * with_cache)
        else:
            reserve = CLASSIFYING_SHARE * (seconds or 0.0)
        if seconds is not None:
            limit = max(seconds - reserve, MIN_TRAINING_SHARE * seconds) / TIME_MARGIN
            recipe = replace(recipe, training=replace(recipe.training, time=f"{limit:.4f}s"))
        trainer = Trainer(setup, recipe.training, None, listener)
        try:
            trainer.run(on_evaluation)
        except TrainingEnded:
            if not curve:
                return None
        network.load_tensors(trainer.best_tensors())
    return Trained(recipe, network, tuple(curve), with_cache)


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


def _seconds_per_target(network: NeuralLanguageModel, dev: TokenStore, carries: bool) -> float:
    """Return the seconds that scoring one target takes, measured."""
    part = dev.beginning(TIMED_TARGETS)
    began = time.perf_counter()
    network.score(part, carries)
    return (time.perf_counter() - began) / max(part.num_targets, 1)
