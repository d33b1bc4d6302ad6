"""Training networks: what is chosen for them, and the run of the loop. Needs torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import torch

from thence.batches import Batches, training_batches
from thence.errors import SettingError
from thence.models import family
from thence.models.neural import NeuralLanguageModel
from thence.tokens import TokenStore
from thence.training.files import locked
from thence.training.learning_rate_finder import LearningRateCurve, find_learning_rate
from thence.training.loop import Trainer, total_steps
from thence.training.optimizers import make_optimizer
from thence.training.options import Device, TrainingOptions
from thence.training.progress import ProgressMaker
from thence.training.recipe import Recipe
from thence.training.run import Run

SMALL_STEP = 3e9
"""Floating-point operations of a step up to which one thread is used: more gain little there, and
are many times slower as soon as anything else runs on the machine."""


def resolve_training(recipe: Recipe, vocabulary_size: int, train_store: TokenStore) -> Recipe:
    """Return the recipe with the threads and the learning rate chosen."""
    training = recipe.training
    choose_device(training.device)  # Refuses an absent device before anything is written.
    processors = os.cpu_count() or 1
    if training.threads is not None and training.threads > processors:
        raise SettingError(
            f"--threads is {training.threads}, but this machine has {processors} processors."
        )
    if training.threads is None:
        model = new_network(recipe, vocabulary_size)
        work = 6 * model.num_parameters() * training.batch_size
        training = replace(training, threads=1 if work < SMALL_STEP else torch.get_num_threads())
    if training.lr == "auto":
        curve = sweep(replace(recipe, training=training), vocabulary_size, train_store)
        training = replace(training, lr=float(f"{curve.suggestion:.2g}"))
    return replace(recipe, training=training)


def train_network(
    run: Run, train_store: TokenStore, dev: TokenStore, progress: ProgressMaker
) -> None:
    """Train the network of a run from its newest checkpoint, or from the start."""
    recipe = run.recipe
    with locked(run.folder), deterministic(recipe.training):
        model = new_network(recipe, len(run.tokenizer.vocabulary))
        batches = network_batches(recipe, model, train_store)
        steps = total_steps(recipe.training, batches)
        with progress(steps, run.folder.name) as told:
            trainer = Trainer(model, batches, dev, recipe.training, run.folder, told, run.identity)
            trainer.restore()
            trainer.run()


def new_network(recipe: Recipe, vocabulary_size: int) -> NeuralLanguageModel:
    """Make the untrained network of a recipe on its device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = family(recipe.model).create(recipe.options, vocabulary_size)
    return cast(NeuralLanguageModel, model).to(choose_device(recipe.training.device))


def network_batches(recipe: Recipe, model: NeuralLanguageModel, store: TokenStore) -> Batches:
    """Cut the train tokens for a network."""
    training = recipe.training
    return training_batches(
        store,
        model.network.context_length,
        model.vocabulary_size,
        training.batch_size,
        training.seed,
        training.carry_context,
    )


def sweep(
    recipe: Recipe,
    vocabulary_size: int,
    train_store: TokenStore,
    low: float = 1e-3,
    high: float = 1.0,
    steps: int = 300,
) -> LearningRateCurve:
    """Run the learning-rate finder on a network that is thrown away after."""
    with deterministic(recipe.training):
        model = new_network(recipe, vocabulary_size)
        batches = network_batches(recipe, model, train_store)
        optimizer = make_optimizer(model, recipe.training)
        return find_learning_rate(model, batches, optimizer, low, high, steps)


def choose_device(name: Device) -> torch.device:
    """Return the device of that name; ``auto`` is a GPU where there is one.

    Raises:
        SettingError: If there is no such device here.
    """
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if present[kind]))
    if not present[name]:
        raise SettingError(f"--device is {name}, which this machine lacks; use --device auto.")
    return torch.device(name)


@contextmanager
def deterministic(options: TrainingOptions) -> Iterator[None]:
    """Seed torch and fix its threads for a while; the caller's own state is untouched."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        torch.set_num_threads(options.threads or threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
