"""Building a network's training: the network, its batches, and the choice of threads and precision.

It needs torch. ``trainer.py`` has the loop itself.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch

from thence.allocator import keep_freed_memory
from thence.batches import Batch, Batches, Padded, Streams, window_batches
from thence.batches.batch import Step
from thence.batches.labelled import LabelledBatch
from thence.deadline import check_deadline
from thence.models.base import Classifier
from thence.models.language.neural import NeuralLanguageModel
from thence.models.memory_guard import make_trainable
from thence.models.registry import get_family, is_classifier
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe
from thence.tokens import TokenStore
from thence.training.data import TrainingData, train_weights
from thence.training.dev_evaluation import label_evaluator, language_evaluator
from thence.training.device import (
    autocast,
    check_precision,
    choose_device,
    deterministic_mode,
    has_fast_bfloat16,
    num_threads,
)
from thence.training.finetuning import encoder_run, parent_run, starts_from_encoder
from thence.training.learner import TrainingSetup
from thence.training.lr_finder import LearningRateCurve, lr_range_test
from thence.training.network_learner import NetworkLearner
from thence.training.optimizers import Optimizer

SMALL_STEP_FLOPS = 3e9
"""Floating-point operations per step up to which one thread is used, without timing: more threads
gain little, and are many times slower as soon as other programs run on the machine."""
TINY_STEP_FLOPS = 5e8
"""The same limit for the autopilot, which has a fixed time: a GRU's step of 1e9 operations is 1.4
times as fast in bfloat16."""
TIMED_STEPS = 4
"""Steps per timing, of which the first is a warm-up."""
TYPICAL_OF = 9
"""Batches of which the one of median size is timed. Batches of documents differ in size: those of
names by a factor of 6."""
LARGE_VOCABULARY = 256
"""With more symbols than this, the biases of the output layer start from the frequencies of the
train text, which a network would need many steps to learn."""


def build_setup(recipe: Recipe, data: TrainingData, fresh: bool = True) -> TrainingSetup:
    """Build the network of a recipe, its batches, and its evaluator on dev.

    Args:
        recipe: The settings.
        data: The data.
        fresh: Whether training begins; else a checkpoint will replace the weights, so those of a
            parent run are not read.
    """
    if is_classifier(recipe.model):
        return _build_classifier_setup(recipe, data, fresh)
    vocabulary_size = len(data.tokenizer.vocabulary)
    network = new_network(recipe, vocabulary_size, data.train)
    if fresh and (parent := parent_run(recipe)) is not None:
        network.load_tensors(parent.model.tensors())
    carry_context = recipe.training.carry_context
    limit = recipe.training.seconds
    evaluator = language_evaluator(network, data.dev, carry_context, vocabulary_size, limit)
    batches = network_batches(recipe, network, data.train)
    return TrainingSetup(network, batches, evaluator, partial(NetworkLearner, network))


def _build_classifier_setup(recipe: Recipe, data: TrainingData, fresh: bool) -> TrainingSetup:
    """Build a classifier, its batches and its evaluator; see ``build_setup``."""
    training, family = recipe.training, get_family(recipe.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        classifier = _new_classifier(recipe, data)
        parent = parent_run(recipe)
        if fresh and parent is not None:
            classifier.load_tensors(parent.classifier.tensors())
        elif fresh and starts_from_encoder(recipe):
            classifier.load_encoder(encoder_run(recipe).network)
        batches = classifier.batches(
            data.train_texts,
            data.train_labels,
            train_weights(recipe, data),
            cast(int, training.batch_size),
            training.seed,
        )
        if data.vectors is not None:
            classifier.load_vectors(data.vectors.matrix, data.vectors.found)
    evaluator = label_evaluator(cast(Classifier, classifier), data.dev_texts, data.dev_labels)
    network = classifier.to(choose_device(training.device))
    learner = partial(NetworkLearner, network)
    return TrainingSetup(network, batches, evaluator, learner, family.epochs)


def _new_classifier(recipe: Recipe, data: TrainingData) -> Any:
    """Return an untrained classifier, initialised by torch's current random generator."""
    family, size = get_family(recipe.model), len(data.tokenizer.vocabulary)
    return make_trainable(
        lambda: family.classifier(recipe.options, size, data.classes), recipe.model
    )


def new_network(
    recipe: Recipe, vocabulary_size: int, train: TokenStore | None = None
) -> NeuralLanguageModel:
    """Return the untrained language model of a recipe on its device.

    Args:
        recipe: The settings.
        vocabulary_size: Number of token ids (V).
        train: The train split, whose token frequencies initialise the biases of a large output
            layer; None to leave them zero.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        family, size = get_family(recipe.model), vocabulary_size
        model = make_trainable(lambda: family.language_model(recipe.options, size), recipe.model)
    network = cast(NeuralLanguageModel, model)
    if train is not None and vocabulary_size > LARGE_VOCABULARY:
        counts = np.bincount(train.targets, minlength=vocabulary_size)
        network.output_layer.init_bias(torch.from_numpy(counts).float())
    return network.to(choose_device(recipe.training.device))


def network_batches(recipe: Recipe, network: NeuralLanguageModel, store: TokenStore) -> Batches:
    """Return the batches of the train tokens in the form that a network reads.

    Networks with a fixed context read windows; the others read running text in parallel streams, or
    whole documents padded to the same length.
    """
    training = recipe.training
    rows = cast(int, training.batch_size)
    if network.network.context_length is not None:
        return window_batches(
            store,
            network.network.context_length,
            network.vocabulary_size,
            rows,
            training.seed,
            training.carry_context,
            training.whole_contexts,
        )
    if training.carry_context:
        return Streams(store, rows, training.window, training.seed, training.vary_windows)
    return Padded(store, rows, training.window, training.seed)


def resolve_training(recipe: Recipe, data: TrainingData) -> Recipe:
    """Return the recipe with threads, precision and learning rate chosen.

    Raises:
        SettingError: If this machine lacks the device, the threads or the precision of the recipe.
    """
    training = recipe.training
    device = choose_device(training.device)
    if training.precision != "auto":
        check_precision(training.precision, device)
    recipe = replace(recipe, training=replace(training, **fastest(recipe, data)))
    if training.lr == "auto":
        suggestion = lr_curve(recipe, data).suggestion
        recipe = replace(recipe, training=replace(recipe.training, lr=float(f"{suggestion:.2g}")))
    return recipe


def fastest(
    recipe: Recipe, data: TrainingData, small_step: float = SMALL_STEP_FLOPS
) -> dict[str, Any]:
    """Return ``threads`` and ``precision`` with the fastest steps, unless the recipe has them.

    Small networks get one thread and float32 without timing. For others a few steps are timed: in
    both precisions with all threads, then with one.

    Args:
        recipe: The settings.
        data: The data.
        small_step: Floating-point operations per step up to which a network is small.
    """
    training = recipe.training
    open_threads, open_precision = training.threads is None, training.precision == "auto"
    all_threads = torch.get_num_threads()
    chosen = {
        "threads": all_threads if open_threads else training.threads,
        "precision": "float32" if open_precision else training.precision,
    }
    # Word averaging sums rows: it is bound by memory, and has no matrix products to speed up.
    if not (open_threads or open_precision) or get_family(recipe.model).bags:
        _refuse_too_large(recipe, data)
        return chosen
    setup = build_setup(recipe, data)
    batch = typical_batch(setup.batches)
    assert isinstance(batch, Batch | LabelledBatch)
    # 6 operations per weight and id (padding included): forward, gradient of the input and gradient
    # of the weight, each a multiplication and an addition.
    if 6 * setup.network.num_parameters() * batch.ids.size < small_step:
        return {**chosen, "threads": 1 if open_threads else training.threads}
    candidates = [dict(chosen)]
    if open_precision and has_fast_bfloat16(setup.network.device):
        candidates.append({**chosen, "precision": "bfloat16"})
    best = min(candidates, key=lambda settings: _time_steps(setup, training, settings))
    if open_threads and all_threads > 1:
        alone = {**best, "threads": 1}
        best = min((best, alone), key=lambda settings: _time_steps(setup, training, settings))
    return best


def timed(recipe: Recipe, data: TrainingData) -> tuple[Recipe, float, float]:
    """Return a recipe with threads and precision chosen, and its measured speed.

    Returns:
        The recipe, the seconds per step, and the tokens per step.
    """
    training = replace(recipe.training, **fastest(recipe, data, TINY_STEP_FLOPS))
    recipe = replace(recipe, training=training)
    with torch.random.fork_rng():
        setup = build_setup(recipe, data)
        settings = {"threads": training.threads, "precision": training.precision}
        seconds = _time_steps(setup, training, settings)
    return recipe, seconds, typical_batch(setup.batches).tokens


def typical_batch(batches: Batches) -> Step:
    """Return the batch of median size among the first ``TYPICAL_OF``."""
    first = [batches.at(step) for step in range(min(TYPICAL_OF, batches.steps_per_epoch))]
    return sorted(first, key=lambda batch: batch.tokens)[len(first) // 2]


def _refuse_too_large(recipe: Recipe, data: TrainingData) -> None:
    """Raise an error if there is not enough memory for the network, before anything is written."""
    with torch.random.fork_rng(devices=[]):
        if is_classifier(recipe.model):
            _new_classifier(recipe, data)
        else:
            new_network(recipe, len(data.tokenizer.vocabulary))


def _time_steps(
    setup: TrainingSetup, training: TrainingOptions, settings: Mapping[str, Any]
) -> float:
    """Return the seconds of the fastest of a few steps; the weights do not change."""
    network, times = setup.network, []
    optimizer = Optimizer(network, training)
    network.train()
    batch = typical_batch(setup.batches)
    precision = autocast(settings["precision"], network.device)
    with keep_freed_memory(), num_threads(settings["threads"]), precision:
        state = None
        for _ in range(TIMED_STEPS):
            check_deadline()
            began = time.perf_counter()
            loss, state = network.batch_loss(batch, state)
            torch.autograd.backward(loss)
            optimizer.step(0.0)  # At rate 0 it only clears the gradients, in the usual time.
            times.append(time.perf_counter() - began)
    return min(times[1:])


def lr_curve(
    recipe: Recipe,
    data: TrainingData,
    low: float = 1e-3,
    high: float = 1.0,
    steps: int | None = None,
) -> LearningRateCurve:
    """Run the learning-rate finder on a temporary network; see ``lr_range_test``."""
    training = recipe.training
    if training.precision == "auto" or training.threads is None:
        training = replace(training, **fastest(recipe, data))
        recipe = replace(recipe, training=training)
    device = choose_device(training.device)
    with deterministic_mode(training), autocast(training.precision, device):
        setup = build_setup(recipe, data)
        optimizer = Optimizer(setup.network, recipe.training)
        return lr_range_test(setup.network, setup.batches, optimizer, low, high, steps)
