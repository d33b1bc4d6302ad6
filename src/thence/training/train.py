"""From a text to a run: ``train`` and ``resume``.

The path of a text through the modules: ``recipes`` checks the settings, ``runs.sources`` makes it
readable more than once, ``data.py`` reads, splits and tokenizes it, ``new_run.py`` writes the run's
config, and ``setup.py`` (networks) or ``fitting.py`` (n-grams) trains on it.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thence.atomic import clear_leftovers, new_folder
from thence.corpus import Source, load_splits
from thence.corpus.loading import EMPTY
from thence.errors import SettingError, ThenceError, TrainingError
from thence.locks import locked
from thence.models.registry import DEFAULT_CLASSIFIER, DEFAULT_MODEL, get_family
from thence.processes import is_first_process, may_be_restarted
from thence.recipes.recipe import FROM_RUN, Recipe, make_recipe, read_settings
from thence.runs import open_run
from thence.runs.files import check_ordinary, find_run
from thence.runs.run import Run
from thence.runs.sources import named_sources, readable_sources, take_from_memory
from thence.settings import as_in_file
from thence.training.callbacks import Logs, ProgressFactory, check_logs, silent_progress
from thence.training.data import TrainingData, load_data
from thence.training.distributed_setup import (
    begun_before,
    check_shareable,
    fail_together,
    launch_ids,
    processes,
    same_run,
    shared_run,
)
from thence.training.finetuning import resolve_source_runs, settings_from_run
from thence.training.new_run import (
    new_run_writer,
    refuse_combined,
    resolve_recipe,
    run_folder,
)
from thence.training.word_vectors import load_word_vectors

if TYPE_CHECKING:
    from thence.training.lr_finder import LearningRateCurve
    from thence.training.world import World


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
        model: Name of the model family; by default that of the recipe, else ``averaging`` if a
            ``label`` is named, else ``mlp``.
        output: The run folder to make; by default ``runs/TEXT-NAME``.
        config: A recipe in TOML; settings given here override those of the recipe.
        progress: Opens a display of progress; none by default.
        logs: ``tensorboard``, or a function that is called with each record of ``metrics.jsonl``.
        cluster: Where to count an ``ngram`` model: a Dask scheduler's address, or ``local:2`` for
            two workers here; the text may then be a pattern or a URL such as ``s3://bucket/folder``.
        keep_text: Keep a copy of texts that cannot be read again (in memory, standard input, a
            pipe) in the run; else it has their hashes alone, and resuming or reporting needs the
            texts again.
        from_run: A run of a network to fine-tune: the new run starts from its best weights, with
            its tokens and, where no others are given, its text and its settings.
        **settings: The flags of ``thence train``, with underscores.

    Returns:
        The finished run.

    Raises:
        ThenceError: If the text, a setting or the output cannot be used.
    """
    given = _merge_settings(text, model, config, from_run, settings)
    in_memory = take_from_memory(given)
    return train_recipe(_recipe(given), output, progress, logs, cluster, in_memory, keep_text)


def recipe_from(
    text: str | Path | None = None,
    model: str | None = None,
    *,
    config: str | Path | None = None,
    from_run: Run | str | Path | None = None,
    **settings: Any,
) -> Recipe:
    """Return the recipe that ``train`` would follow with the same arguments.

    Args:
        text: A file, a folder, ``-`` for standard input, or the name of a bundled or downloaded
            text.
        model: Name of the model family; by default that of the recipe, else ``averaging`` if a
            ``label`` is named, else ``mlp``.
        config: A recipe in TOML; settings given here override those of the recipe.
        from_run: A run of a network to fine-tune: the new run starts from its best weights, with
            its tokens and, where no others are given, its text and its settings.
        **settings: The flags of ``thence train``, with underscores.

    Raises:
        ThenceError: If the text, a setting or the run cannot be used.
    """
    return _recipe(_merge_settings(text, model, config, from_run, settings))


def _merge_settings(
    text: Source | None,
    model: str | None,
    config: str | Path | None,
    from_run: Run | str | Path | None,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return all settings by name: those given override the recipe's, these the parent run's."""
    given = {} if config is None else read_settings(Path(config))
    start = from_run or given.get(FROM_RUN)
    if config is not None:
        of_run = None if start is None else open_run(start).recipe.model
        _check_config(Path(config), given, model or given.get("model", of_run))
    given |= settings
    named = {"text": text, "model": model}
    given |= {name: value for name, value in named.items() if value is not None}
    if start is not None:
        given = settings_from_run(open_run(start), given)
    if "labels" in given:
        raise SettingError(
            "A language model has no labels. Train a classifier on lists of texts and labels with "
            "thence.TextClassifier, or name the column of a table, label='COLUMN'."
        )
    if given.get("text") is None:
        raise SettingError(
            "There is no text to train on: name a file, a folder, - for standard input, or a "
            "bundled text such as given-names (thence data list)."
        )
    return given


def _check_config(path: Path, given: Mapping[str, Any], model: str | None) -> None:
    """Check the settings of a recipe file alone, so that an error message can name the file."""
    try:
        _recipe({**given, "text": given.get("text", ""), "model": model or default_model(given)})
    except SettingError as error:
        raise SettingError(f"{path}: {as_in_file(error)}") from error


def _recipe(given: Mapping[str, Any]) -> Recipe:
    settings = dict(given)
    text, model = settings.pop("text"), settings.pop("model", None)
    return make_recipe(text, str(model or default_model(given)), settings)


def default_model(settings: Mapping[str, Any]) -> str:
    """Return the model of a training if none is named."""
    return DEFAULT_CLASSIFIER if "label" in settings else DEFAULT_MODEL


def train_recipe(
    recipe: Recipe,
    output: str | Path | None = None,
    progress: ProgressFactory = silent_progress,
    logs: Logs = None,
    cluster: str | None = None,
    in_memory: Mapping[str, Any] = EMPTY,
    keep_text: bool = True,
) -> Run:
    """Train a model by a recipe; see ``train``.

    Args:
        recipe: The settings; texts in memory have the names of ``IN_MEMORY`` in it.
        output: The run folder to make; by default ``runs/TEXT-NAME``.
        progress: Opens the display of progress.
        logs: A logger for each record of the metrics.
        cluster: Where to count an ``ngram`` model: a Dask scheduler's address, or ``local:2`` for
            two workers here.
        in_memory: The texts in memory by the setting that names them: ``text``, ``dev``, ``test``.
        keep_text: Keep a copy of texts that cannot be read again in the run.
    """
    from thence.training.fitting import fit, fit_on_cluster, log_fitted, save_fitted
    from thence.training.gradient_steps import train_network

    check_logs(logs)
    refuse_combined(recipe.model)
    if cluster is not None:
        folder = run_folder(recipe.text, recipe.model, output)
        return fit_on_cluster(recipe, folder, cluster, progress, logs)
    if may_be_restarted() and output is None:
        raise SettingError(
            "With --max-restarts, name the run folder with `output`, to continue it."
        )
    known: dict[str, Any] = {}
    with processes() as world:
        launched_by = launch_ids(world)
        with fail_together(world):
            recipe = resolve_source_runs(recipe)
            folder = run_folder(recipe.text, recipe.model, output)
        if (begun := begun_before(folder, launched_by, world)) is not None:
            return _continue(begun, progress, world, logs)
        # From here on the first process has the folder's name locked, and later the folder.
        with ExitStack() as stack:
            with fail_together(world):
                check_shareable(recipe, world)
                new = stack.enter_context(new_folder(folder)) if is_first_process() else None
                sources = stack.enter_context(readable_sources(recipe, in_memory, keep_text))
                data = load_data(recipe, sources.replacements)
            with fail_together(world):
                if new is not None:
                    recipe = resolve_recipe(recipe, data, sources.replacements)
                    write = new_run_writer(recipe, data, sources, launched_by)
                    run = write(new.path)
                    if _is_network(run):  # The folder appears now: a killed training is resumed.
                        new.put_in_place()
                    else:  # The folder appears when it is complete.
                        fitted = fit(run.recipe, data)
                        known |= fitted.known
                        new.fill(lambda path: save_fitted(write(path), fitted))
            with _removed_on(folder, ThenceError):
                run = shared_run(folder, data, world)
            kept = {"splits": data.splits, "tokenizer": data.tokenizer, "_train_store": data.train}
            run.set_cached(**known, **kept)
            if not _is_network(run):
                log_fitted(run, data.dev, logs)
                return run
            with _removed_on(folder, TrainingError, SettingError):
                train_network(run, data, progress, world, logs)
    return run


def _is_network(run: Run) -> bool:
    """Return whether a run is trained by gradient steps, not fitted at once or combined."""
    return get_family(run.recipe.model).method == "train"


@contextmanager
def _removed_on(folder: Path, *errors: type[ThenceError]) -> Iterator[None]:
    """Context manager: on these errors remove a run folder that has no checkpoint to resume."""
    try:
        yield
    except errors:
        if is_first_process() and not (folder / "last").exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def resume(
    folder: Run | str | Path,
    progress: ProgressFactory = silent_progress,
    logs: Logs = None,
    *,
    text: Source | None = None,
    dev: Source | None = None,
    test: Source | None = None,
) -> Run:
    """Resume a training that was stopped; a finished one is left as it is.

    On the CPU the result is the same, bit for bit, as if it had never been stopped.

    Args:
        folder: The run or its folder.
        progress: Opens a display of progress; none by default.
        logs: As in ``train``; ``tensorboard`` gets the records of the whole training.
        text: The text again, as a path or in memory, if the run has kept only its hash.
        dev: The same for a separate dev text.
        test: The same for a separate test text.

    Raises:
        ThenceError: If the run or its text cannot be used.
    """
    check_logs(logs)
    with processes() as world:
        run = same_run(folder.folder if isinstance(folder, Run) else find_run(folder), world)
        if isinstance(folder, Run) and not folder.sources.keep and folder.has_text:
            run.set_splits(folder.splits)
        given = {"text": text, "dev": dev, "test": test}
        if given := {role: source for role, source in given.items() if source is not None}:
            provide_text(run, given)
        if logs is None and _is_complete(run):
            return run
        return _continue(run, progress, world, logs)


def _is_complete(run: Run) -> bool:
    """Return whether a run is finished, after checking that its files can be used."""
    if not (run.finished and run.metrics()):
        return False
    if _is_network(run):
        from thence.training.checkpoint import CHECKPOINT, read_checkpoint

        read_checkpoint(run.folder / CHECKPOINT, run.identity)
    run.load()
    return True


def provide_text(run: Run, given: Mapping[str, Source]) -> None:
    """Give a run its text again, if it has kept only the hash of it.

    Args:
        run: The run.
        given: The ``text``, and ``dev`` and ``test`` if they are separate texts.

    Raises:
        TextError: If it is not the text that the run was trained on.
        SettingError: If the run has no such separate text.
    """
    named = named_sources(run.recipe)
    for role in given:
        if role not in named:
            raise SettingError(f"The run {run.folder} has no {role} text of its own; leave it out.")
    settings: dict[str, Any] = {role: given.get(role, name) for role, name in named.items()}
    in_memory = take_from_memory(settings)
    splitting = replace(run.recipe.splitting, dev=settings.get("dev"), test=settings.get("test"))
    recipe = replace(run.recipe, text=str(settings["text"]), splitting=splitting)
    kept = {
        name: path for name, path in run.sources.replacements.items() if name in settings.values()
    }
    with readable_sources(recipe, in_memory, known=kept) as sources:
        splits = load_splits(
            recipe.text, recipe.reading, recipe.splitting, labelling=recipe.labelling,
            replacements=sources.replacements,
        )  # fmt: skip
    run.set_splits(splits)


def _continue(run: Run, progress: ProgressFactory, world: "World | None", logs: Logs) -> Run:
    """Train a run from its newest checkpoint, or from the start, to the end."""
    from thence.training.fitting import fit, log_fitted, save_fitted
    from thence.training.gradient_steps import train_network

    is_combined = get_family(run.recipe.model).method == "combine"
    # The folders of these are complete as soon as they appear.
    if is_combined or run.cluster_counts is not None:
        return run
    with ExitStack() as stack:
        with fail_together(world):
            if is_first_process():
                stack.enter_context(locked(run.folder))
                clear_leftovers(run.folder)
            vectors = run.recipe.vectors
            if vectors is not None:
                check_ordinary(Path(vectors))
            data = TrainingData(run.splits, run.tokenizer, run.store("train"), run.store("dev"))
            if not (run.folder / "last").exists():  # The weights of a checkpoint include them.
                data = replace(data, vectors=load_word_vectors(run.recipe, run.tokenizer))
        if _is_network(run):
            train_network(run, data, progress, world, logs)
        elif not run.metrics() and is_first_process():  # A killed process of thence 0.1 left it.
            save_fitted(run, fit(run.recipe, data))
            log_fitted(run, data.dev, logs)
    return run


def find_learning_rate(
    recipe: Recipe,
    low: float = 1e-3,
    high: float = 1.0,
    rates: int | None = None,
    text: Source | None = None,
) -> "LearningRateCurve":
    """Run the learning-rate finder on a recipe's network and text; nothing is saved.

    Args:
        recipe: The network and the text.
        low: The first rate.
        high: The last rate.
        rates: Number of rates, one step each; by default 100 for each factor of ten.
        text: A text that replaces the recipe's: its path or name, or the texts themselves.

    Raises:
        SettingError: If the model is not trained by gradient steps, or the range is invalid.
    """
    if get_family(recipe.model).method != "train":
        raise SettingError(f"The model '{recipe.model}' is not trained: it has no learning rate.")
    from thence.training.setup import lr_curve

    given = {"text": recipe.text if text is None else text}
    in_memory = take_from_memory(given)
    recipe = resolve_source_runs(replace(recipe, text=str(given["text"])))
    with readable_sources(recipe, in_memory) as sources:
        data = load_data(recipe, sources.replacements)
        return lr_curve(recipe, data, low, high, rates)
