"""Training networks: what is chosen for them, and the run of the loop. Needs torch."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from shlex import quote
from typing import Any, cast

import numpy as np
import torch

from thence.atomic import WriteError, cannot_write
from thence.batches import Batch, Batches, Padded, Step, Streams, window_batches
from thence.batches.labelled import LabelledBatch
from thence.errors import RunError, SettingError
from thence.models.labels.base import Classifier
from thence.models.language.neural import NeuralLanguageModel
from thence.models.memory_guard import make_trainable
from thence.models.registry import get_family, is_classifier
from thence.recipes.recipe import Recipe
from thence.runs.run import Run
from thence.tokens import TokenStore
from thence.training.callbacks import Logs, opened
from thence.training.data import TrainingData, train_weights
from thence.training.dev_evaluation import (
    DevEvaluator,
    Trainable,
    label_evaluator,
    language_evaluator,
)
from thence.training.device import (
    autocast,
    check_precision,
    choose_device,
    deterministic_mode,
    has_fast_bfloat16,
    num_threads,
)
from thence.training.distributed import World
from thence.training.finetuning import (
    check_parent_unchanged,
    load_encoder,
    parent_run,
    starts_from_encoder,
)
from thence.training.lr_finder import LearningRateCurve, lr_range_test
from thence.training.optimizers import make_optimizer
from thence.training.progress import ProgressFactory, SilentProgress, silent_progress
from thence.training.trainer import DEFAULT_EPOCHS, LAST, Trainer

SMALL_STEP = 3e9
"""Floating-point operations of a step up to which one thread is used: more gain little there, and
are many times slower as soon as anything else runs on the machine."""
TINY_STEP = 5e8
"""The same where a time is to be used well: a GRU of 1e9 is 1.4 times as fast in bfloat16."""
TIMED_STEPS = 4
LARGE_VOCABULARY = 256
"""More symbols than this take many steps to learn which of them are frequent."""


@dataclass(frozen=True)
class TrainingSetup:
    """A network with all that its training needs.

    Attributes:
        network: Untrained, on its device.
        batches: What each step reads.
        dev_evaluator: How it is judged on dev.
        usual_epochs: Passes over the train split where nothing else is asked for.
    """

    network: Trainable
    batches: Batches
    dev_evaluator: DevEvaluator
    usual_epochs: float = DEFAULT_EPOCHS


def build_setup(recipe: Recipe, data: TrainingData, begins: bool = True) -> TrainingSetup:
    """Make the untrained network of a recipe, cut its batches, and say how it is judged.

    Args:
        recipe: What to train.
        data: On what.
        begins: Whether its weights will count, and not be replaced by those of a checkpoint.
    """
    if is_classifier(recipe.model):
        return _build_classifier_setup(recipe, data, begins)
    vocabulary_size = len(data.tokenizer.vocabulary)
    model = new_network(recipe, vocabulary_size, data.train)
    if begins and (parent := parent_run(recipe)) is not None:
        model.load_tensors(parent.model.tensors())
    judge = language_evaluator(model, data.dev, recipe.training.carry_context, vocabulary_size)
    return TrainingSetup(model, network_batches(recipe, model, data.train), judge)


def _build_classifier_setup(recipe: Recipe, data: TrainingData, begins: bool) -> TrainingSetup:
    training, labels = recipe.training, data.train_labels
    line = get_family(recipe.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        vocabulary_size = len(data.tokenizer.vocabulary)
        options, classes = recipe.options, data.classes
        classifier: Any = make_trainable(
            lambda: line.classifier(options, vocabulary_size, classes), recipe.model
        )
        parent = parent_run(recipe)
        if begins and parent is not None:
            classifier.load_tensors(parent.classifier.tensors())
        elif begins and starts_from_encoder(recipe):
            load_encoder(classifier, recipe)
        batches = classifier.batches(
            data.train_texts,
            labels,
            train_weights(recipe, data),
            cast(int, training.batch_size),
            training.seed,
        )
        if data.vectors is not None:
            classifier.load_vectors(data.vectors.matrix, data.vectors.found)
    judge = label_evaluator(cast(Classifier, classifier), data.dev_texts, data.dev_labels)
    network = classifier.to(choose_device(training.device))
    return TrainingSetup(network, batches, judge, line.epochs)


def resolve_training(recipe: Recipe, data: TrainingData) -> Recipe:
    """Return the recipe with the threads and the learning rate chosen."""
    training = recipe.training
    device = choose_device(training.device)  # Refuses an absent one before anything is written.
    if training.precision != "auto":
        check_precision(training.precision, device)
    processors = os.cpu_count() or 1
    if training.threads is not None and training.threads > processors:
        raise SettingError(
            f"--threads is {training.threads}, but this machine has {processors} processors."
        )
    training = replace(training, **fastest(recipe, data))
    recipe = replace(recipe, training=training)
    if training.lr == "auto":
        curve = lr_curve(recipe, data)
        training = replace(training, lr=float(f"{curve.suggestion:.2g}"))
    return replace(recipe, training=training)


def fastest(recipe: Recipe, data: TrainingData, small_step: float | None = None) -> dict[str, Any]:
    """Return the threads and the precision with which a step is fastest, where they are open.

    Small networks get one thread in single precision unmeasured. For others a few steps are
    timed: in both precisions with all threads, then with one.

    Args:
        recipe: Has the network.
        data: The text.
        small_step: Floating-point operations of a step up to which a network is small.
    """
    small_step = SMALL_STEP if small_step is None else small_step
    training = recipe.training
    open_threads, open_precision = training.threads is None, training.precision == "auto"
    all_threads = torch.get_num_threads()
    chosen = {
        "threads": all_threads if open_threads else training.threads,
        "precision": "float32" if open_precision else training.precision,
    }
    # Averaging is sums of rows: all is memory, nothing products of matrices.
    if not (open_threads or open_precision) or recipe.model == "averaging":
        _refuse_too_large(recipe, data)
        return chosen
    setup = build_setup(recipe, data)
    model, batches = setup.network, setup.batches
    if 6 * model.num_parameters() * _cells(batches.at(0)) < small_step:
        return {**chosen, "threads": 1 if open_threads else training.threads}
    candidates = [dict(chosen)]
    if open_precision and has_fast_bfloat16(model.device):
        candidates.append({**chosen, "precision": "bfloat16"})
    best = min(candidates, key=lambda settings: _time_steps(model, batches, settings))
    if open_threads and all_threads > 1:
        alone = {**best, "threads": 1}
        best = min((best, alone), key=lambda settings: _time_steps(model, batches, settings))
    return best


def timed(recipe: Recipe, data: TrainingData) -> tuple[Recipe, float, float]:
    """Return a recipe with threads and precision chosen, and how fast it is trained.

    Returns:
        The recipe, the seconds of a step, and how many tokens a step reads.
    """
    training = replace(recipe.training, **fastest(recipe, data, TINY_STEP))
    recipe = replace(recipe, training=training)
    with torch.random.fork_rng():
        setup = build_setup(recipe, data)
        settings = {"threads": training.threads, "precision": training.precision}
        seconds = _time_steps(setup.network, setup.batches, settings)
    return recipe, seconds, setup.batches.at(0).tokens


def _refuse_too_large(recipe: Recipe, data: TrainingData) -> None:
    """Refuse a network for which there is not enough memory, before anything is written."""
    size = len(data.tokenizer.vocabulary)
    with torch.random.fork_rng(devices=[]):
        if is_classifier(recipe.model):
            line, classes = get_family(recipe.model), data.classes
            make_trainable(lambda: line.classifier(recipe.options, size, classes), recipe.model)
        else:
            new_network(recipe, size)


def _cells(batch: Step) -> int:
    """Return how many ids a step reads, padding included."""
    assert isinstance(batch, Batch | LabelledBatch)
    return batch.ids.size


def _time_steps(model: Trainable, batches: Batches, settings: Mapping[str, Any]) -> float:
    """Return the shortest time of a few steps on one batch; the weights are left as they are."""
    model.train()
    times, batch = [], batches.at(0)  # Batches of documents differ in size.
    with num_threads(settings["threads"]), autocast(settings["precision"], model.device):
        state = None
        for _ in range(TIMED_STEPS):
            began = time.perf_counter()
            loss, state = model.batch_loss(batch, state)
            loss.backward()  # type: ignore[no-untyped-call]
            model.zero_grad()
            times.append(time.perf_counter() - began)
    return min(times[1:])  # The first step sets things up.


def train_network(
    run: Run,
    data: TrainingData,
    progress: ProgressFactory,
    world: World | None = None,
    logs: Logs = None,
) -> None:
    """Train the network of a run, whose folder is held, from its newest checkpoint or the start."""
    recipe, world = run.recipe, world or World()
    progress = progress if world.is_writer else silent_progress
    training = recipe.training
    if not isinstance(training.lr, float) or training.precision == "auto":
        raise RunError(
            f"The config of {run.folder} leaves --lr or --precision open, which a training settles "
            "before it begins: it was changed. Restore it from a copy or train again."
        )
    begins = not (run.folder / LAST).exists()
    if begins and (parent := parent_run(recipe)) is not None:
        check_parent_unchanged(run, parent)
    with deterministic_mode(recipe.training, world.rank):
        setup = build_setup(recipe, data, begins)
        with progress(run.folder.name) as told:
            trainer = Trainer(
                setup.network,
                setup.batches,
                setup.dev_evaluator,
                recipe.training,
                run.folder,
                told,
                run.identity,
                world,
                setup.usual_epochs,
            )
            trainer.restore()
            _check_same_step(world, run, trainer.counters.step)
            with opened(logs, run, data.dev, trainer.counters.step) as log:
                try:
                    trainer.run(log)
                except WriteError as error:
                    way_out = "All up to the last checkpoint is kept; go on with: thence resume "
                    way_out += quote(str(run.folder))
                    raise cannot_write(error.path, error.error, way_out) from error


def _check_same_step(world: World, run: Run, step: int) -> None:
    """See that all processes go on from the same checkpoint.

    Raises:
        RunError: If the folder of the run is a copy on some machine.
    """
    steps = world.gather(str(step))
    if len(set(steps)) > 1:
        raise RunError(
            f"The processes would go on with {run.folder} from different steps "
            f"({', '.join(steps)}): it is not the same folder on all machines. Put it on a file "
            "system that they share."
        )


def train_in_memory(recipe: Recipe, data: TrainingData) -> Trainable:
    """Return a network with its best weights; nothing is written.

    Args:
        recipe: With threads and learning rate chosen; see ``resolve_training``.
        data: What to train on.
    """
    with deterministic_mode(recipe.training):
        setup = build_setup(recipe, data)
        network, batches, judge = setup.network, setup.batches, setup.dev_evaluator
        epochs = setup.usual_epochs
        trainer = Trainer(
            network, batches, judge, recipe.training, None, SilentProgress(), usual_epochs=epochs
        )
        trainer.run()
    network.load_tensors(trainer.best_tensors())
    return network


def new_network(
    recipe: Recipe, vocabulary_size: int, train_store: TokenStore | None = None
) -> NeuralLanguageModel:
    """Make the untrained network of a recipe on its device.

    With a large vocabulary it begins with the frequencies of the train text, if that is given.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        family, options = get_family(recipe.model), recipe.options
        model = make_trainable(
            lambda: family.language_model(options, vocabulary_size), recipe.model
        )
    network = cast(NeuralLanguageModel, model)
    if train_store is not None and vocabulary_size > LARGE_VOCABULARY:
        counts = np.bincount(train_store.targets, minlength=vocabulary_size)
        network.output_layer.start_from(torch.from_numpy(counts).float())
    return network.to(choose_device(recipe.training.device))


def network_batches(recipe: Recipe, model: NeuralLanguageModel, store: TokenStore) -> Batches:
    """Cut the train tokens for a network."""
    training = recipe.training
    rows = cast(int, training.batch_size)
    if model.network.context_length is not None:
        return window_batches(
            store,
            model.network.context_length,
            model.vocabulary_size,
            rows,
            training.seed,
            training.carry_context,
        )
    if training.carry_context:
        return Streams(store, rows, training.window, training.seed, training.vary_windows)
    return Padded(store, rows, training.window, training.seed)


def lr_curve(
    recipe: Recipe,
    data: TrainingData,
    low: float = 1e-3,
    high: float = 1.0,
    steps: int | None = None,
) -> LearningRateCurve:
    """Run the learning-rate finder on a network that is thrown away after."""
    training = recipe.training
    if training.precision == "auto" or training.threads is None:
        training = replace(training, **fastest(recipe, data))
        recipe = replace(recipe, training=training)
    device = choose_device(training.device)
    with deterministic_mode(training), autocast(training.precision, device):
        setup = build_setup(recipe, data)
        optimizer = make_optimizer(setup.network, recipe.training)
        return lr_range_test(setup.network, setup.batches, optimizer, low, high, steps)
