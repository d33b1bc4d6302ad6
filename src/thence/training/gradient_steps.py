"""Models that are trained by gradient steps: by torch, or by the compiled core without torch.

``setup.py`` builds networks of torch and their batches, and ``trainer.py`` has the loop of both.
Models that are fitted in one step are in ``fitting.py``.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import inf
from shlex import quote
from typing import Any, cast

from thence._core import library
from thence.atomic import WriteError
from thence.errors import RunError, SettingError
from thence.models.base import Classifier
from thence.models.registry import get_family
from thence.processes import number_of_processes
from thence.recipes.recipe import Recipe
from thence.runs.run import Run
from thence.training.callbacks import (
    Logs,
    ProgressFactory,
    SilentProgress,
    open_logger,
    silent_progress,
)
from thence.training.checkpoint import CHECKPOINT
from thence.training.data import TrainingData, train_weights
from thence.training.dev_evaluation import label_evaluator
from thence.training.finetuning import check_parent_unchanged, parent_run
from thence.training.learner import TrainingSetup
from thence.training.trainer import Trainer
from thence.training.world import World


def needs_torch(recipe: Recipe) -> bool:
    """Return whether a recipe must be trained by torch.

    The core trains families that support it (``Family.in_core``) by plain Adagrad, on the
    processor and in one process.
    """
    in_core, training = get_family(recipe.model).in_core(), recipe.training
    return not (
        library() is not None
        and number_of_processes() == 1
        and in_core is not None
        and in_core.fits(recipe.options)
        and training.optimizer == "adagrad"
        and training.average == "none"
        and training.clip in (None, inf)
        and training.accumulate == 1
        and training.device in ("auto", "cpu")
        and training.precision in ("auto", "float32")
        and training.lr != "auto"
    )


def resolve_training(recipe: Recipe, data: TrainingData) -> Recipe:
    """Return the recipe with threads, precision and learning rate chosen.

    Raises:
        SettingError: If this machine lacks the device, the threads or the precision of the recipe.
    """
    threads, processors = recipe.training.threads, os.cpu_count() or 1
    if threads is not None and threads > processors:
        raise SettingError(f"`threads` is {threads}, but this machine has {processors} processors.")
    if needs_torch(recipe):
        from thence.training import setup

        return setup.resolve_training(recipe, data)
    training = replace(recipe.training, threads=threads or 1, precision="float32")
    return replace(recipe, training=training)


def build_setup(recipe: Recipe, data: TrainingData, fresh: bool = True) -> TrainingSetup:
    """Build the model of a recipe, its batches, and its evaluator on dev.

    Args:
        recipe: The settings.
        data: The data.
        fresh: Whether training begins; else a checkpoint will replace the weights, so those of a
            parent run are not read.
    """
    if needs_torch(recipe):
        from thence.training import setup

        return setup.build_setup(recipe, data, fresh)
    family, training = get_family(recipe.model), recipe.training
    size = len(data.tokenizer.vocabulary)
    fit = family.in_core()(
        recipe.options, size, data.classes, data.train_texts, data.train_labels,
        train_weights(recipe, data), training.batch_size, training.seed, training.weight_decay,
    )  # fmt: skip
    if fresh and (parent := parent_run(recipe)) is not None:
        fit.start_from(parent.classifier.tensors())
    if data.vectors is not None:
        fit.load_vectors(data.vectors.matrix, data.vectors.found)
    classifier = family.classifier(recipe.options, size, data.classes, inference=True)
    evaluator = label_evaluator(cast(Classifier, fit), data.dev_texts, data.dev_labels)
    return TrainingSetup(
        classifier, fit.batches, evaluator, lambda options, world: fit, family.epochs
    )


def _deterministic_mode(recipe: Recipe, rank: int = 0) -> AbstractContextManager[None]:
    """Return ``device.deterministic_mode``, or a null context if torch is not needed."""
    if not needs_torch(recipe):
        return nullcontext()
    from thence.training.device import deterministic_mode

    return deterministic_mode(recipe.training, rank)


def train_network(
    run: Run,
    data: TrainingData,
    progress: ProgressFactory,
    world: World | None = None,
    logs: Logs = None,
) -> None:
    """Train the network of a run from its newest checkpoint, or from the start.

    Args:
        run: The run, whose folder this process has locked.
        data: The data.
        progress: Opens the display of progress.
        world: The processes that train together; None for this one alone.
        logs: A logger for each record of the metrics.

    Raises:
        RunError: If the run's config was edited, or its folder cannot be written.
        TrainingError: If the training diverges.
        Interrupted: If a signal asks to stop; a checkpoint was saved.
    """
    recipe, world = run.recipe, world or World()
    progress = progress if world.is_writer else silent_progress
    training = recipe.training
    if not isinstance(training.lr, float) or training.precision == "auto":
        raise RunError(
            f"The config of {run.folder} leaves `lr` or `precision` open, which a training settles "
            "before it begins: it was changed. Restore it from a copy or train again."
        )
    fresh = not (run.folder / CHECKPOINT).exists()
    if fresh and (parent := parent_run(recipe)) is not None:
        check_parent_unchanged(run, parent)
    with _deterministic_mode(recipe, world.rank):
        setup = build_setup(recipe, data, fresh)
        with progress(run.folder.name) as callback:
            trainer = Trainer(setup, training, run.folder, callback, run.identity, world)
            trainer.restore()
            _check_same_step(world, run, trainer.counters.step)
            with open_logger(logs, run, data.dev, trainer.counters.step) as log:
                try:
                    trainer.run(log)
                except WriteError as error:
                    way_out = "All up to the last checkpoint is kept; continue with: thence resume "
                    way_out += quote(str(run.folder))
                    raise WriteError(error.path, error.error, way_out) from error


def _check_same_step(world: World, run: Run, step: int) -> None:
    """Raise RunError if the processes have loaded checkpoints of different steps."""
    steps = world.gather(str(step))
    if len(set(steps)) > 1:
        raise RunError(
            f"The processes would continue with {run.folder} from different steps "
            f"({', '.join(steps)}): it is not the same folder on all machines. Put it on a file "
            "system that they share."
        )


def train_in_memory(recipe: Recipe, data: TrainingData) -> Any:
    """Train in memory; return the network or classifier with its best weights."""
    with _deterministic_mode(recipe):
        setup = build_setup(recipe, data)
        trainer = Trainer(setup, recipe.training, None, SilentProgress())
        trainer.run()
    setup.network.load_tensors(trainer.best_tensors())
    return setup.network
