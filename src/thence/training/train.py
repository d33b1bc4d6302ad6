"""The job from a text to a run: read, split, tokenise, train or count, save."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from thence.atomic import NewFolder, clear_leftovers, is_taken, locked, new_folder
from thence.corpus import Instead, Source, load_splits
from thence.corpus.loading import NOTHING
from thence.errors import SettingError, ThenceError, TrainingError
from thence.models.base import CountedModel
from thence.models.labels.base import Classifier, FittedClassifier
from thence.models.registry import (
    CLASSIFIERS,
    DEFAULT_CLASSIFIER,
    DEFAULT_MODEL,
    LANGUAGE_MODELS,
    get_family,
    is_classifier,
)
from thence.processes import is_first_process, may_be_restarted
from thence.recipes.recipe import FROM_RUN, Recipe, make_recipe, read_settings
from thence.runs import open_run
from thence.runs.files import Array, check_ordinary
from thence.runs.looks_at_test import TEST, facts_of_test, inherited_looks
from thence.runs.metrics import MetricsFile
from thence.runs.provenance import FROM
from thence.runs.run import RUNS, Run, create_run, find_run, text_hashes
from thence.runs.sources import (
    named_sources,
    readable_sources,
    stem_of,
    take_from_memory,
)
from thence.runs.weights import save_model
from thence.training.callbacks import Logs, StopTraining, check_logs, opened
from thence.training.data import TrainingData, coverage, load_data, sample_weights, vectors_of
from thence.training.dev_evaluation import evaluate_labels
from thence.training.distributed_setup import (
    agreed,
    begun_before,
    check_shareable,
    launches,
    processes,
    resolved_paths,
    same_run,
    shared_run,
)
from thence.training.finetuning import source_runs, with_language_model
from thence.training.progress import ProgressFactory, silent_progress
from thence.training.training_on import (
    continue_from,
    parent_provenance,
    parent_run,
    settings_from_run,
)

if TYPE_CHECKING:
    from thence.training.distributed import World
    from thence.training.lr_finder import LearningRateCurve


def train(
    text: Source | None = None,
    model: str | None = None,
    *,
    output: str | Path | None = None,
    config: str | Path | None = None,
    progress: ProgressFactory = silent_progress,
    logs: Logs = None,
    cluster: str | None = None,
    keep_text: bool = True,
    from_run: Run | str | Path | None = None,
    **settings: Any,
) -> Run:
    """Train a model on a text.

    Args:
        text: A file, a folder, ``-`` for standard input, or the name of a bundled or downloaded
            text (``given-names``); or the texts themselves, each a document: a list, a generator,
            a column of a table, or ``Documents``. So may ``dev`` and ``test`` be.
        model: Name of the family: ``mlp`` unless the recipe says otherwise, or, where a
            ``label`` is named, ``averaging``.
        output: The run folder to make; by default ``runs/TEXT-NAME``.
        config: A recipe in TOML whose settings come before the ones given here.
        progress: Opens what is told of each step; none by default.
        logs: ``tensorboard``, or a function that is called with each record of ``metrics.jsonl``.
        cluster: Where to count an ``ngram`` model: a Dask scheduler's address, or ``local:2`` for
            two workers here; the text may then be a pattern or a URL such as ``s3://bucket/folder``.
        keep_text: Keep texts that cannot be read again (in memory, standard input, a pipe) in the
            run; else it has their hashes alone, and resuming or reporting needs them given again.
        from_run: A run of a network to train on: a new run begins with its best weights, and has
            its tokens, its text and its settings where no others are given.
        **settings: The flags of ``thence train``, with underscores.

    Returns:
        The finished run.

    Raises:
        ThenceError: If the text, a setting or the output cannot be used.
    """
    given = read_settings(Path(config)) if config is not None else {}
    given |= settings
    if text is not None:
        given["text"] = text
    if model is not None:
        given["model"] = model
    if (start := from_run or given.get(FROM_RUN)) is not None:
        given = settings_from_run(open_run(start), given)
    if "labels" in given:
        raise SettingError(
            "A language model has no labels. Train a classifier on lists of texts and labels with "
            "thence.TextClassifier, or name the column of a table, label='COLUMN'."
        )
    held = take_from_memory(given)
    text = given.get("text")
    model = given.get("model", DEFAULT_CLASSIFIER if "label" in given else DEFAULT_MODEL)
    if text is None:
        raise SettingError("There is no text to train on; name a file or a bundled text.")
    rest = {name: value for name, value in given.items() if name not in ("text", "model")}
    recipe = make_recipe(text, str(model), rest)
    return train_recipe(recipe, output, progress, logs, cluster, held, keep_text)


def train_recipe(
    recipe: Recipe,
    output: str | Path | None = None,
    progress: ProgressFactory = silent_progress,
    logs: Logs = None,
    cluster: str | None = None,
    held: Mapping[str, Any] = NOTHING,
    keep_text: bool = True,
) -> Run:
    """Train what a recipe says; see ``train``.

    Args:
        recipe: What to train; it calls texts in memory by the names of ``IN_MEMORY``.
        output: The run folder to make.
        progress: Opens what is told of each step.
        logs: Who else is told.
        cluster: Where to count.
        held: The texts in memory, by the setting that names them: ``text``, ``dev`` or ``test``.
        keep_text: Keep texts that cannot be read again in the run.
    """
    check_logs(logs)
    _refuse_mixed(recipe.model)
    if cluster is not None:
        from thence.cluster import count_on_cluster

        folder = (
            Path(output) if output is not None else default_run_folder(recipe.text, recipe.model)
        )
        return count_on_cluster(recipe, folder, cluster, progress, logs)
    if may_be_restarted() and output is None:
        raise SettingError(
            "With --max-restarts, name the run folder with --output, to go on with it."
        )
    with processes() as world:
        started_by = launches(world)
        with agreed(world):
            recipe = resolve_source_runs(recipe)
            folder = (
                Path(output)
                if output is not None
                else default_run_folder(recipe.text, recipe.model)
            )
        begun = begun_before(folder, started_by, world)
        if begun is not None:
            return _go_on(begun, progress, world, logs)
        # The first process holds the folder's name from here on, and in the end the folder.
        with ExitStack() as stack:
            with agreed(world):
                check_shareable(recipe, world)
                new = stack.enter_context(new_folder(folder)) if is_first_process() else None
                sources = stack.enter_context(readable_sources(recipe, held, keep_text))
                data = load_data(recipe, sources.instead)
            with agreed(world):
                if new is not None:
                    recipe = _resolve(recipe, data, sources.instead)
                    more = data_provenance(recipe, data)
                    looks = inherited_looks(source_runs(recipe), data.splits.test)
                    if (parent := parent_run(recipe)) is not None:
                        more[FROM] = parent_provenance(parent)
                    if started_by:
                        more["launches"] = sorted(started_by)
                    begin = partial(
                        create_run,
                        recipe=recipe,
                        tokenizer=data.tokenizer,
                        hashes=text_hashes(data.splits),
                        sources=sources,
                        more=more,
                        looks=looks,
                    )
                    _put_in_place(new, begin, data)
            with _undone(folder, ThenceError):
                run = shared_run(folder, data, world)
            if not run.sources.keep:
                run.give_splits(data.splits)
            if not _is_trained(run):
                _log_what_was_made(run, data, logs)
                return run
            with _undone(folder, TrainingError, SettingError):
                _train(run, data, progress, world, logs)
    return run


def _put_in_place(new: NewFolder, begin: Callable[[Path], Run], data: TrainingData) -> None:
    """Put a run in its place: one that is going to be trained as it begins, others when done."""
    run = begin(new.path)
    if _is_trained(run):
        new.put_in_place()
        return
    done = _made_at_once(run.recipe, data)
    new.fill(lambda folder: save_fitted(begin(folder), *done))


def resolve_source_runs(recipe: Recipe) -> Recipe:
    """Return a recipe with what the run says that it starts from, if it starts from one.

    Raises:
        SettingError: If it asks for something else than that run has.
        RunError: If that is no run to start from.
    """
    parent = parent_run(recipe)
    return with_language_model(recipe) if parent is None else continue_from(recipe, parent)


def _refuse_mixed(model: str) -> None:
    if get_family(model).method == "combine":
        raise SettingError(
            f"The model '{model}' is not trained on a text but made of runs: thence mix RUN RUN -o "
            "RUN."
        )


@contextmanager
def _undone(folder: Path, *errors: type[ThenceError]) -> Iterator[None]:
    """Remove a run folder after an error where there is nothing to go on with."""
    try:
        yield
    except errors:
        if is_first_process() and not (folder / "last").exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def find_learning_rate(
    recipe: Recipe,
    low: float = 1e-3,
    high: float = 1.0,
    steps: int | None = None,
    text: Source | None = None,
) -> "LearningRateCurve":
    """Run the learning-rate finder on a recipe's network and text; nothing is kept.

    Args:
        recipe: The network and the text.
        low: The first rate.
        high: The last rate.
        steps: How many rates.
        text: A text in place of the recipe's: its path or name, or the texts themselves.

    Raises:
        SettingError: If the model is counted, or the range cannot be used.
    """
    if get_family(recipe.model).method != "train":
        raise SettingError(f"The model '{recipe.model}' is not trained: it has no learning rate.")
    from thence.training.setup import lr_curve

    given = {"text": recipe.text if text is None else text}
    held = take_from_memory(given)
    recipe = resolve_source_runs(replace(recipe, text=str(given["text"])))
    with readable_sources(recipe, held) as sources:
        data = load_data(recipe, sources.instead)
        return lr_curve(recipe, data, low, high, steps)


def resume(
    folder: Run | str | Path,
    progress: ProgressFactory = silent_progress,
    logs: Logs = None,
    *,
    text: Source | None = None,
    dev: Source | None = None,
    test: Source | None = None,
) -> Run:
    """Go on with a training that was stopped; a finished one is left as it is.

    On the CPU the result is the same, bit for bit, as if it had never been stopped.

    Args:
        folder: The run or its folder.
        progress: Opens what is told of each step; none by default.
        logs: Who else is told, as in ``train``; ``tensorboard`` gets the whole training.
        text: The text again, as a path or in memory, where the run has only its hash.
        dev: The same for a dev text of its own.
        test: The same for test.

    Raises:
        ThenceError: If the run or its text cannot be used.
    """
    check_logs(logs)
    with processes() as world:
        run = same_run(folder.folder if isinstance(folder, Run) else find_run(folder), world)
        if isinstance(folder, Run) and not folder.sources.keep and folder.has_text:
            run.give_splits(folder.splits)
        given = {"text": text, "dev": dev, "test": test}
        if given := {role: source for role, source in given.items() if source is not None}:
            provide_text(run, given)
        if logs is None and _is_over(run):
            return run
        return _go_on(run, progress, world, logs)


def _is_over(run: Run) -> bool:
    """Return whether there is nothing to go on with, and all that there is can be used.

    Raises:
        RunError: If the weights or the checkpoint of a finished run are damaged.
    """
    if not (run.finished and run.metrics()):
        return False
    if _is_trained(run):
        from thence.training.checkpoint import read_checkpoint

        read_checkpoint(run.folder / "last" / "checkpoint.safetensors", run.identity)
    run.load()
    return True


def provide_text(run: Run, given: Mapping[str, Source]) -> None:
    """Give a run its text again, where it has only the hash of it.

    Args:
        run: The run.
        given: The text, and dev and test where they are of their own, by these names.

    Raises:
        TextError: If it is not what the run was trained on.
        SettingError: If the run names no such text.
    """
    named = named_sources(run.recipe)
    for role in given:
        if role not in named:
            raise SettingError(f"The run {run.folder} has no {role} text of its own; leave it out.")
    settings: dict[str, Any] = {role: given.get(role, name) for role, name in named.items()}
    held = take_from_memory(settings)
    splitting = replace(run.recipe.splitting, dev=settings.get("dev"), test=settings.get("test"))
    recipe = replace(run.recipe, text=str(settings["text"]), splitting=splitting)
    kept = {name: path for name, path in run.sources.instead.items() if name in settings.values()}
    with readable_sources(recipe, held, known=kept) as sources:
        splits = load_splits(
            recipe.text,
            recipe.reading,
            recipe.splitting,
            labelling=recipe.labelling,
            instead=sources.instead,
        )
    run.give_splits(splits)


def _go_on(run: Run, progress: ProgressFactory, world: "World | None", logs: Logs) -> Run:
    mixed = get_family(run.recipe.model).method == "combine"
    if mixed or run.counted is not None:  # Made whole, and never half.
        return run
    with ExitStack() as held:
        with agreed(world):
            if is_first_process():
                held.enter_context(locked(run.folder))
                clear_leftovers(run.folder)
            vectors = getattr(run.recipe.options, "vectors", None)
            if vectors is not None:
                check_ordinary(Path(vectors))
            data = TrainingData(run.splits, run.tokenizer, run.store("train"), run.store("dev"))
            if not (run.folder / "last").exists():  # Nothing yet that has the vectors in it.
                data = replace(data, vectors=vectors_of(run.recipe, run.tokenizer))
        if _is_trained(run):
            _train(run, data, progress, world, logs)
        elif not run.metrics() and is_first_process():  # Of thence 0.1, whose process was killed.
            save_fitted(run, *_made_at_once(run.recipe, data))
            _log_what_was_made(run, data, logs)
    return run


def default_run_folder(text: str, name: str) -> Path:
    """Return ``runs/TEXT-NAME``, with a number where that is taken or just being made."""
    stem = stem_of(text)
    names = (f"{stem}-{name}{number}" for number in ["", *(f"-{n}" for n in range(2, 10**6))])
    return next(path for name in names if not is_taken(path := RUNS / name))


def _resolve(recipe: Recipe, data: TrainingData, instead: Instead) -> Recipe:
    """Return the recipe with full paths and with everything chosen that was left open."""
    recipe = resolved_paths(recipe, instead)
    if data.vectors is not None:
        options = replace(recipe.options, embedding_size=data.vectors.dimension)
        recipe = replace(recipe, options=options)
    if get_family(recipe.model).method == "fit":
        return recipe
    from thence.training.setup import resolve_training

    return resolve_training(recipe, data)


def data_provenance(recipe: Recipe, data: TrainingData) -> dict[str, Any]:
    """Return what a run says of its test split, and that of a classifier of labels and vectors."""
    about: dict[str, Any] = {TEST: facts_of_test(data.splits.test)}
    if not is_classifier(recipe.model):
        return about
    labels, vectors = data.train_labels, coverage(data)
    about |= {"labels": list(labels.names), "several": labels.multilabel}
    return about if vectors is None else {**about, "vectors": vectors}


def _train(
    run: Run,
    data: TrainingData,
    progress: ProgressFactory,
    world: "World | None",
    logs: Logs,
) -> None:
    from thence.training.setup import train_network

    train_network(run, data, progress, world, logs)


def _is_trained(run: Run) -> bool:
    """Whether the run goes through the training loop, and is not made in one step or of others."""
    return get_family(run.recipe.model).method == "train"


def _log_what_was_made(run: Run, data: TrainingData, logs: Logs) -> None:
    """Tell a logger the one record of a run that was made in one step."""
    before_it = -1
    with opened(logs, run, data.dev, before_it) as log, suppress(StopTraining):
        log(run.metrics()[-1])


Made = tuple[Mapping[str, Array], Mapping[str, Any]]
"""The tensors of a model that is made in one step, and the line of its metrics."""


def _made_at_once(recipe: Recipe, data: TrainingData) -> Made:
    """Count or fit the model of a recipe in memory."""
    started = time.monotonic()
    made = _fitted_labels if is_classifier(recipe.model) else _counted
    tensors, losses = made(recipe, data)
    return tensors, fitted_metrics(data.train.num_targets, losses, started)


def _counted(recipe: Recipe, data: TrainingData) -> tuple[Mapping[str, Array], Mapping[str, float]]:
    carry_context = recipe.training.carry_context
    model = cast(
        CountedModel,
        LANGUAGE_MODELS[recipe.model].create(recipe.options, len(data.tokenizer.vocabulary)),
    )
    judged = data.dev if data.dev.num_documents else None
    fitted = model.fit(data.train, carry_context, judged)
    if fitted is None:
        fitted = float(np.sum(model.score(data.train, carry_context)))
    losses = {"train_nats_per_token": -fitted / data.train.num_targets}
    if judged is not None:
        losses["dev_nats_per_token"] = -float(np.mean(model.score(judged, carry_context)))
    return model.tensors(), losses


def _fitted_labels(
    recipe: Recipe, data: TrainingData
) -> tuple[Mapping[str, Array], Mapping[str, float]]:
    from thence.training.setup import threads

    with threads(recipe.training.threads):
        classifier = _fitted(recipe, data)
        train = evaluate_labels(classifier.classify(data.train_texts), data.train_labels)
        losses = {"train_nats_per_document": train.nats}
        if data.dev.num_documents:
            result = evaluate_labels(classifier.classify(data.dev_texts), data.dev_labels)
            losses |= {"dev_nats_per_document": result.nats, **result.metrics}
    return classifier.tensors(), losses


def _fitted(
    recipe: Recipe, data: TrainingData, should_stop: Callable[[], bool] = lambda: False
) -> FittedClassifier:
    create = CLASSIFIERS[recipe.model].create_classifier
    made = create(recipe.options, len(data.tokenizer.vocabulary), data.classes)
    classifier, labels = cast(FittedClassifier, made), data.train_labels
    dev = (data.dev_texts, data.dev_labels) if data.dev.num_documents else None
    weighs = recipe.labelling is not None and recipe.labelling.class_weights
    weights = sample_weights(labels, weighs, data.weights)
    classifier.fit(data.train_texts, labels, weights, dev, should_stop)
    return classifier


def train_classifier(
    recipe: Recipe, data: TrainingData, should_stop: Callable[[], bool] = lambda: False
) -> Classifier:
    """Train a classifier in memory; nothing is written.

    Args:
        recipe: How.
        data: The text.
        should_stop: Asks one that is fitted now and then whether to end with what it has learned.

    Raises:
        SettingError: If a setting does not fit this machine.
        TrainingError: If the loss is not a finite number, or absurdly large.
    """
    from thence.training.setup import resolve_training, threads, train_in_memory

    _refuse_mixed(recipe.model)
    if get_family(recipe.model).method == "fit":
        with threads(recipe.training.threads):
            return _fitted(recipe, data, should_stop)
    return cast(Classifier, train_in_memory(resolve_training(recipe, data), data))


def fitted_metrics(tokens: int, losses: Mapping[str, float], started: float) -> dict[str, Any]:
    """Return the line of metrics of a model that was made in one step.

    Args:
        tokens: Targets that were read.
        losses: By name; infinite ones become null.
        started: When, by ``time.monotonic``.
    """
    finite = {name: loss if np.isfinite(loss) else None for name, loss in losses.items()}
    seconds = round(time.monotonic() - started, 3)
    return {"step": 0, "seconds": seconds, "tokens": tokens, **finite}


def save_fitted(
    run: Run, tensors: Mapping[str, Array], line: Mapping[str, Any], **about: Any
) -> None:
    """Write what was made in one step: the weights, then the line of metrics.

    Args:
        run: Its folder holds what ``create_run`` writes.
        tensors: Of the model.
        line: Of the metrics.
        **about: What the file of weights says beside run and step.
    """
    metrics = MetricsFile(run.folder / "metrics.jsonl")
    metrics.truncate(0)
    about = {"run": run.identity, "step": 0, **about}
    save_model(run.folder / "model.safetensors", tensors, about)
    metrics.append(line)
