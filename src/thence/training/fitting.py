"""Models that are fitted in one step: n-grams, and classifiers fitted to all data at once.

They have no training loop, no checkpoint and one line of metrics. Networks are trained in
``setup.py`` and ``trainer.py``.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from thence.atomic import new_folder
from thence.corpus import Documents
from thence.corpus.blocks import find_files, is_url
from thence.models.base import Classifier, CountedModel, FittedClassifier
from thence.models.ngram import NGram
from thence.models.registry import get_family, is_classifier
from thence.recipes.recipe import Recipe
from thence.runs.create import create_run
from thence.runs.files import Array
from thence.runs.looks_at_test import TEST, Fingerprint
from thence.runs.metrics import append_json_line, truncate
from thence.runs.provenance import CLUSTER
from thence.runs.run import Run
from thence.runs.sources import read_dev_and_test
from thence.runs.weights import save_model
from thence.tokens import TokenStore
from thence.training.callbacks import (
    Logs,
    ProgressFactory,
    StopTraining,
    open_logger,
    silent_progress,
)
from thence.training.data import TrainingData, train_weights, warn_of_symbols
from thence.training.dev_evaluation import evaluate_labels
from thence.training.new_run import refuse_combined, resolve_paths

Losses = Mapping[str, float]
"""Losses on train and dev by their names in ``metrics.jsonl``."""


@dataclass(frozen=True)
class FittedModel:
    """A model that was fitted in one step.

    Attributes:
        tensors: Its parameters by name.
        metrics: Its line of ``metrics.jsonl``.
        known: Properties of its run that need not be computed again; see ``Run.remember``.
    """

    tensors: Mapping[str, Array]
    metrics: Mapping[str, Any]
    known: Mapping[str, Any] = field(default_factory=dict)


def fit(recipe: Recipe, data: TrainingData) -> FittedModel:
    """Fit the model of a recipe in memory."""
    started = time.monotonic()
    fit_task = _fit_classifier if is_classifier(recipe.model) else _fit_language_model
    model, losses = fit_task(recipe, data)
    metrics = fitted_metrics(data.train.num_targets, losses, started)
    return FittedModel(model.tensors(), metrics, {"num_parameters": model.num_parameters()})


def _fit_language_model(recipe: Recipe, data: TrainingData) -> tuple[CountedModel, Losses]:
    """Return a fitted language model and its losses."""
    carry_context = recipe.training.carry_context
    family, size = get_family(recipe.model), len(data.tokenizer.vocabulary)
    model = cast(CountedModel, family.language_model(recipe.options, size))
    dev = data.dev if data.dev.num_documents else None
    # Most ways of counting compute the log-probability of the train text; else it is scored.
    log_prob = model.fit(data.train, carry_context, dev)
    if log_prob is None:
        log_prob = _log_prob(model, data.train, carry_context)
    losses = {"train_nats_per_token": -log_prob / data.train.num_targets}
    if dev is not None:
        losses["dev_nats_per_token"] = -_log_prob(model, dev, carry_context) / dev.num_targets
    return model, losses


def _log_prob(model: CountedModel, store: TokenStore, carry_context: bool) -> float:
    """Return the log-probability of a store, in nats."""
    if isinstance(model, NGram):  # It can score in bounded memory.
        return model.log_prob(store, carry_context)
    return float(np.sum(model.score(store, carry_context)))


def _fit_classifier(recipe: Recipe, data: TrainingData) -> tuple[FittedClassifier, Losses]:
    """Return a fitted classifier and its losses."""
    classifier = _fitted_classifier(recipe, data, lambda: False)
    train = evaluate_labels(classifier.classify(data.train_texts), data.train_labels)
    losses = {"train_nats_per_document": train.nats}
    if data.dev.num_documents:
        dev = evaluate_labels(classifier.classify(data.dev_texts), data.dev_labels)
        losses |= {"dev_nats_per_document": dev.nats, **dev.metrics}
    return classifier, losses


def _fitted_classifier(
    recipe: Recipe, data: TrainingData, should_stop: Callable[[], bool]
) -> FittedClassifier:
    """Return a classifier fitted to the train split, with dev for open settings."""
    family, size = get_family(recipe.model), len(data.tokenizer.vocabulary)
    classifier = cast(FittedClassifier, family.classifier(recipe.options, size, data.classes))
    dev = (data.dev_texts, data.dev_labels) if data.dev.num_documents else None
    weights = train_weights(recipe, data)
    more = {"unlabelled": data.unlabelled} if family.unlabelled else {}
    classifier.fit(data.train_texts, data.train_labels, weights, dev, should_stop, **more)
    return classifier


def train_classifier(
    recipe: Recipe, data: TrainingData, should_stop: Callable[[], bool] = lambda: False
) -> Classifier:
    """Train or fit a classifier in memory; nothing is written.

    Args:
        recipe: The model and its settings.
        data: The labelled text.
        should_stop: Called during the fitting of a classifier (not of networks); True ends it with
            the weights so far.

    Raises:
        SettingError: If a setting does not fit this machine.
        TrainingError: If the loss is not finite, or absurdly large.
    """
    refuse_combined(recipe.model)
    if get_family(recipe.model).method == "fit":
        return _fitted_classifier(recipe, data, should_stop)
    from thence.training.gradient_steps import resolve_training, train_in_memory

    return cast(Classifier, train_in_memory(resolve_training(recipe, data), data))


def fit_on_cluster(
    recipe: Recipe,
    folder: Path,
    address: str,
    progress: ProgressFactory = silent_progress,
    logs: Logs = None,
    **blocks: int,
) -> Run:
    """Count an n-gram model on a Dask cluster; see ``train``.

    Args:
        recipe: The settings; the text is a folder, a file, a pattern or a URL.
        folder: The run folder to make.
        address: A scheduler's address, or ``local:2`` for two workers on this machine.
        progress: Shows how many tasks are done.
        logs: A logger for the single record of metrics.
        **blocks: ``smallest_block`` of ``count_on_cluster``.
    """
    from thence.cluster import check_recipe, connect, count_on_cluster

    check_recipe(recipe)
    with new_folder(folder) as new:
        started = time.monotonic()
        recipe = resolve_paths(recipe)
        if not is_url(recipe.text):  # A pattern such as ``texts/*.txt`` is not a path that exists.
            recipe = replace(recipe, text=str(Path(recipe.text).absolute()))
        held_out = read_dev_and_test(recipe)
        files = find_files(recipe.text)
        with connect(address) as client, progress(new.target.name) as callback:
            counts = count_on_cluster(
                client,
                recipe,
                files,
                held_out["dev"],
                on_task=lambda done, fraction: callback.on_step(done, 0.0, fraction),
                on_symbols=lambda symbols: warn_of_symbols(recipe, symbols),
                **blocks,
            )
        losses = {"train_nats_per_token": -counts.train_log_prob / counts.tokens}
        if counts.dev is not None:
            scores = counts.model.score(counts.dev, recipe.training.carry_context)
            losses["dev_nats_per_token"] = -float(np.mean(scores))
        text = {
            "files": len(files),
            "documents": counts.documents,
            "tokens": counts.tokens,
            "bytes": counts.num_bytes,
        }
        more = {CLUSTER: text, TEST: asdict(Fingerprint.of(held_out["test"]))}
        hashes = {name: part.content_hash() for name, part in held_out.items()}
        hashes = {"train": counts.train_hash, **hashes}
        metrics = fitted_metrics(counts.tokens, losses, started)

        def write(folder: Path) -> None:
            run = create_run(folder, recipe, counts.tokenizer, hashes, more=more)
            save_fitted(run, FittedModel(counts.model.tensors(), metrics))

        new.fill(write)
        run = Run(new.target)
        log_fitted(run, counts.dev or counts.tokenizer.encode(Documents.from_strings([])), logs)
        return run


def fitted_metrics(tokens: int, losses: Losses, started: float) -> dict[str, Any]:
    """Return the line of metrics of a model that was fitted in one step.

    Args:
        tokens: Number of targets that were read.
        losses: Losses by their names in ``metrics.jsonl``; non-finite ones become None.
        started: Time of ``time.monotonic`` when the work began.
    """
    finite = {name: loss if np.isfinite(loss) else None for name, loss in losses.items()}
    seconds = round(time.monotonic() - started, 3)
    return {"step": 0, "seconds": seconds, "tokens": tokens, **finite}


def save_fitted(run: Run, fitted: FittedModel, **about: Any) -> None:
    """Write a model that was fitted in one step: its weights, then its line of metrics.

    Args:
        run: A run made by ``create_run``.
        fitted: The model.
        **about: Metadata of the file of weights, beside the run and the step.
    """
    metrics = run.folder / "metrics.jsonl"
    truncate(metrics, 0)
    about = {"run": run.identity, "step": 0, **about}
    save_model(run.folder / "model.safetensors", fitted.tensors, about)
    append_json_line(metrics, fitted.metrics)


def log_fitted(run: Run, dev: TokenStore, logs: Logs) -> None:
    """Call a logger with the single record of a run that was fitted in one step."""
    with open_logger(logs, run, dev, step=-1) as log, suppress(StopTraining):
        log(run.metrics()[-1])
