"""Training one network in a given time, as large as the time allows.

A network that reads D tokens in its training does best with about D / r weights: a larger one sees
too few tokens, a smaller one has too little capacity (J. Hoffmann et al. 2022, "Training
compute-optimal large language models": r = 20 for unlimited text and long trainings). A small text
is read many times over; then more than a few weights per token overfit, and dropout rises with the
number of weights and of passes. The sizes themselves are those of the family (``Family.size``).
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thence.autopilot.adapting import seconds_to_adapt
from thence.autopilot.autopilot import MIN_TRAINING, Autopilot
from thence.autopilot.candidates import ScheduledCandidate
from thence.autopilot.pace import SAFETY
from thence.autopilot.training import TrainingEnded, with_training
from thence.deadline import DeadlineError
from thence.models.candidates import Size, TextKind
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
from thence.training.setup import fastest, timed, typical_batch
from thence.training.trainer import TIME_MARGIN, Trainer

HIDDEN_SIZES = (64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 1024)
"""Hidden sizes that are considered."""
TOKENS_PER_WEIGHT: Mapping[TextKind, float] = {"names": 6.0, "characters": 10.0, "words": 5.0}
"""r, chosen by trainings of a minute on names, a megabyte of plays and the Penn Treebank."""
MOST_PASSES: Mapping[TextKind, float] = {"names": 12.0}
"""About how often one network reads the train text at most; with time for more, several networks of
other seeds are trained, each in a part of the time (docs/experiments.md)."""
LEAST_STEPS = 500
"""Time is not divided into trainings of fewer steps than this: in a small text many passes are few
steps, and a network that made few steps has learned little (docs/experiments.md)."""
LEAST_TRAINING = 2 * MIN_TRAINING
"""Nor into trainings of fewer seconds than this, which would not be started."""
WEIGHTS_PER_TOKEN = 4.0
"""Most weights per token of the train text, against overfitting."""
DROPOUTS = ((2.0, 0.0), (6.0, 0.1), (15.0, 0.2), (35.0, 0.3), (math.inf, 0.4))
"""Pairs of a bound and a dropout rate: the rate of the first bound that is at least the passes over
the train text times the weights per token of it."""
DECAY, MOST_DECAY = 4.0, 0.25
"""The weight decay is ``DECAY`` divided by the learning rate and by the number of steps, and at
most ``MOST_DECAY``. The mean rate of the schedule is about half the highest, so without gradients
weights would shrink by exp(-2) in a training, however long it is. That the decay should shrink with
the number of steps is found by X. Wang and L. Aitchison 2024, "How to set AdamW's weight decay as
you scale model and dataset size"; docs/experiments.md has the values that did best here."""
FIRST_GUESS = 128
"""The hidden size whose training step is timed first."""
MIN_DEV_TARGETS = 5000
"""Least number of dev targets for the evaluations during a training."""
EVALUATION_SHARE = 0.005
"""Largest share of the time for each of the ten evaluations during a training."""
CLASSIFYING_SHARE = 0.03
"""Least share of a classifier's time that is not for training, but for classifying dev. One that
averages embeddings needs no more; of one that reads sequences, the time is measured."""
CLASSIFIED = 64
"""About how many documents of dev a classifier classifies to measure its speed."""
MAX_CLASSIFYING_SHARE = 0.5
"""No training of a classifier if classifying dev would take more than this share of the time."""
SCORING_SHARE, MIN_SCORED = 0.1, 20_000
"""A network scores as much of dev as takes this share of its time, and at least ``MIN_SCORED``
targets."""
CACHE_FACTOR = 1.0
"""Time kept for a neural cache, as a multiple of that for scoring dev."""
MAX_CACHE_SHARE = 0.04
"""No neural cache if scoring dev takes more than this share of the time."""
MIN_LIMIT = 0.05
"""Least seconds of training, even with no time left: a step or two."""
MIN_TRAINING_SHARE = 0.3
"""Least share of the time for the training itself, however long scoring dev takes."""


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        recipe: Its recipe.
        model: The network with its best weights.
        curve: The learning curve: seconds of training, and nats per token on a part of dev.
        with_cache: Whether there is time for a neural cache.
        learns: Whether there is time for dynamic evaluation.
        dev: The part of dev that a language model has time to score.
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
) -> tuple[Recipe, float | None]:
    """Return the recipe of the largest network that is worth training, and the seconds for it.

    With a time budget, a training step of a medium size is timed, and then one of the chosen size.
    A family without sizes is trained with the candidate's options.

    Args:
        base: The recipe with the text, how it is read, and the seed, threads and device.
        data: The tokenised text.
        candidate: The family, and perhaps some of its options.
        kind: What is modelled.
        seconds: Time for the training; None where steps are counted.
        steps: Number of training steps; None where time is counted.

    Returns:
        The recipe, and the seconds for the training: all, or a part (``trainings_in``).
    """
    family = get_family(candidate.family)
    if family.size is None:
        options = family.options_class()(**candidate.options)
        recipe = with_training(replace(base, model=family.name, options=options))
        return with_fastest(recipe, data, steps), seconds
    tokens = data.train.num_targets
    sizes = {hidden: family.sized(kind, hidden, candidate.options) for hidden in HIDDEN_SIZES}

    def recipe_of(size: Size, passes: float) -> Recipe:
        return _recipe_of(replace(base, model=family.name), size, passes, tokens)

    def tokens_read(size: Size) -> tuple[TrainingOptions, float, dict[int, float]]:
        """Return the fastest settings, tokens per step, and tokens in the time by hidden size."""
        recipe, step, read = timed(recipe_of(size, 1.0), data)
        speed, work = read / step, _work(size, data)
        reads = {
            hidden: (seconds or 0.0) * speed * work / _work(other, data)
            for hidden, other in sizes.items()
        }
        return recipe.training, read, reads

    guess = sizes[FIRST_GUESS]
    if seconds is None:
        assert steps is not None
        read = steps * typical_batch(build_setup(recipe_of(guess, 1.0), data).batches).tokens
        size = largest_size(kind, sizes, dict.fromkeys(HIDDEN_SIZES, read), tokens)
        recipe = with_decay(recipe_of(size, read / tokens), steps)
        return with_fastest(recipe, data, steps), None
    fastest, per_step, reads = tokens_read(guess)
    size = largest_size(kind, sizes, reads, tokens)
    if size != guess:  # Time again: the fastest settings of a small network may be slow here.
        fastest, per_step, reads = tokens_read(size)
        size = largest_size(kind, sizes, reads, tokens)
    trainings = trainings_in(seconds, reads[size.hidden], tokens, per_step, kind)
    if trainings > 1:
        reads = {hidden: read / trainings for hidden, read in reads.items()}
        size = largest_size(kind, sizes, reads, tokens)
    read = reads[size.hidden]
    recipe = with_decay(recipe_of(size, read / tokens), read / per_step)
    training = replace(recipe.training, threads=fastest.threads, precision=fastest.precision)
    return replace(recipe, training=training), seconds / trainings


def with_decay(recipe: Recipe, steps: float) -> Recipe:
    """Return the recipe with the weight decay that fits its learning rate and number of steps."""
    assert isinstance(recipe.training.lr, float)
    decay = min(MOST_DECAY, DECAY / (recipe.training.lr * steps))
    return replace(recipe, training=replace(recipe.training, weight_decay=decay))


def trainings_in(
    seconds: float, read: float, train_tokens: int, per_step: float, kind: TextKind
) -> int:
    """Return by how many networks the time is shared.

    Each makes about ``MOST_PASSES`` passes, and at least ``LEAST_STEPS`` steps in at least
    ``LEAST_TRAINING`` seconds.

    Args:
        seconds: The time.
        read: Tokens that one network would read in all of the time.
        train_tokens: Tokens in the train text.
        per_step: Tokens that a training step reads.
        kind: What is modelled.
    """
    passes = MOST_PASSES.get(kind, math.inf)
    per_second = read / max(seconds, 1e-9)
    least = max(LEAST_STEPS * per_step, LEAST_TRAINING * per_second)
    return equal_parts(read, max(passes * train_tokens, least))


def equal_parts(whole: float, part: float) -> int:
    """Return into how many parts of about the given size a whole divides; at least 1."""
    return max(1, round(whole / part))


def with_fastest(recipe: Recipe, data: TrainingData, steps: int | None) -> Recipe:
    """Return the recipe with a number of steps, or with the threads and precision fastest here.

    Where steps are counted, float32 keeps the result the same on every machine.
    """
    chosen = fastest(recipe, data) if steps is None else {"steps": steps, "precision": "float32"}
    return replace(recipe, training=replace(recipe.training, **chosen))


def largest_size(
    kind: TextKind, sizes: Mapping[int, Size], tokens_at: Mapping[int, float], train_tokens: int
) -> Size:
    """Return the largest size that reads enough tokens for its number of weights.

    Args:
        kind: What is modelled.
        sizes: The sizes of a family by hidden size, in ascending order.
        tokens_at: Tokens read in the time, by hidden size.
        train_tokens: Tokens in the train text.
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
    """Return about how many multiplications a token takes, with at most 1,000 output rows."""
    return size.weights + size.hidden * min(len(data.tokenizer.vocabulary), 1000)


def options_of(size: Size, passes: float, train_tokens: int) -> dict[str, Any]:
    """Return the model settings of a size, with dropout by ``DROPOUTS``.

    Args:
        size: The size of the network.
        passes: Number of passes over the train text.
        train_tokens: Tokens in the train text.
    """
    seen = passes * size.weights / train_tokens
    dropout = next(rate for most, rate in DROPOUTS if seen <= most)
    return {**size.options, **{name: dropout * times for name, times in size.dropouts.items()}}


def _recipe_of(base: Recipe, size: Size, passes: float, train_tokens: int) -> Recipe:
    """Return the recipe ``base`` with the model and training settings of a size."""
    training = dict(size.training)
    if (window := training.get("window")) is not None:  # A short text has no long streams.
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
        ends: Deadline, in seconds since the start of the budget.
        autopilot: The search.
        name: Its name in the result.
        recipe: The recipe, with threads, precision and, where they are counted, steps.
        with_cache: Whether a neural cache is wanted, if there is time.
        with_decisions: Whether dev will be read once more for binary log-odds.
        data: The data to train on; by default that of the search.
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
    """Train a network; return None if it was ended before its first evaluation.

    None, too, if classifying dev would take most of the time.

    Args:
        recipe: The recipe, with threads, precision and, where they are counted, steps.
        data: The tokenised text.
        seconds: Time for training and for scoring dev; None where steps are counted.
        listener: Progress callback; may end the training by raising ``TrainingEnded``.
        with_cache: Whether a neural cache is wanted, if there is time.
        with_decisions: Whether dev will be read once more for binary log-odds.
    """
    curve: list[tuple[float, float]] = []
    began, learns = time.monotonic(), False

    def on_evaluation(line: Mapping[str, Any]) -> None:
        curve.append((line["seconds"], line[f"dev_nats_per_{setup.dev_evaluator.unit}"]))

    with deterministic_mode(recipe.training):
        setup = build_setup(recipe, data)
        network = setup.network
        scores_tokens = isinstance(network, NeuralLanguageModel)
        if isinstance(network, NeuralLanguageModel):
            dev, scoring = _scored_part(network, data.dev, recipe, seconds)
            per_target = scoring / max(dev.num_targets, 1)
            evaluator = _evaluator(recipe, data, network, seconds, per_target)
            setup = replace(setup, dev_evaluator=evaluator)
            with_cache = with_cache and scoring < MAX_CACHE_SHARE * (seconds or math.inf)
            reserve = scoring * (1 + CACHE_FACTOR * with_cache + with_decisions)
            adapting = seconds_to_adapt(network, recipe, data, seconds)
            learns = adapting is not None
            reserve += adapting or 0.0
        else:
            dev, scoring = data.dev, 0.0
            # The training ends with an evaluation, and dev is classified once more for the result.
            reserve = CLASSIFYING_SHARE * (seconds or 0.0)
            if seconds is not None and get_family(recipe.model).reads_sequences:
                reserve = max(reserve, 2 * SAFETY * _seconds_to_classify(network, data))
        if seconds is not None:
            left = seconds - (time.monotonic() - began)  # Building and timing took some.
            if not scores_tokens and reserve > MAX_CLASSIFYING_SHARE * left:
                return None
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


def _seconds_to_classify(network: Any, data: TrainingData) -> float:
    """Return about how long a classifier takes for dev, from the faster of two small samples."""
    texts = data.dev_texts
    if not len(texts):
        return 0.0
    chosen, taken = np.arange(0, len(texts), max(1, len(texts) // CLASSIFIED)), []
    for _ in range(2):
        began = time.monotonic()
        network.classify(texts.take(chosen))
        taken.append(time.monotonic() - began)
    return min(taken) * len(texts) / len(chosen)


def _evaluator(
    recipe: Recipe,
    data: TrainingData,
    network: NeuralLanguageModel,
    seconds: float | None,
    per_target: float,
) -> DevEvaluator:
    """Return an evaluator on the beginning of dev, as much as takes little time."""
    targets = data.dev.num_targets // 10
    if seconds is not None:
        targets = int(EVALUATION_SHARE * seconds / max(per_target, 1e-9))
    dev = data.dev.beginning(max(MIN_DEV_TARGETS, targets))
    carries = recipe.training.carry_context
    return language_evaluator(network, dev, carries, network.vocabulary_size)


def _scored_part(
    network: NeuralLanguageModel, dev: TokenStore, recipe: Recipe, seconds: float | None
) -> tuple[TokenStore, float]:
    """Return the beginning of dev that there is time to score, and the seconds to keep for it."""
    if seconds is None:
        return dev, 0.0
    scoring = SAFETY * network.seconds_to_score(dev, recipe.training.carry_context)
    share = SCORING_SHARE * seconds / max(scoring, 1e-9)
    if share < 1:
        whole = dev.num_targets
        dev = dev.beginning(max(int(share * whole), MIN_SCORED))
        scoring *= dev.num_targets / whole
    return dev, scoring
