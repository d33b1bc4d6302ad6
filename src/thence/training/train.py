"""The job from a text to a run: read, split, tokenise, train or count, save."""

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from thence.classifiers import CLASSIFIERS, Classifier, FittedClassifier
from thence.descent import never
from thence.errors import SettingError, ThenceError, TrainingError
from thence.models import FAMILIES, CountedModel
from thence.processes import is_first_process, may_be_restarted
from thence.training.families import (
    DEFAULT_CLASSIFIER,
    DEFAULT_MODEL,
    family_of,
    is_classifier,
)
from thence.training.files import Array, check_ordinary, clear_leftovers
from thence.training.judging import label_look
from thence.training.logs import Logs, StopTraining, check_logs, opened
from thence.training.metrics import MetricsFile
from thence.training.prepared import Prepared, coverage, importance, prepare, vectors_of
from thence.training.progress import ProgressMaker, silent
from thence.training.recipe import Recipe, make_recipe, read_settings
from thence.training.run import Run, create_run, refuse_existing, text_hashes
from thence.training.sharing import (
    agreed,
    begun_before,
    check_shareable,
    launches,
    processes,
    resolved_paths,
    same_run,
    shared_run,
)
from thence.training.starting import with_language_model
from thence.training.weights_file import save_model

if TYPE_CHECKING:
    from thence.training.distributed import World
    from thence.training.learning_rate_finder import LearningRateCurve


def train(
    text: str | Path | None = None,
    model: str | None = None,
    *,
    output: str | Path | None = None,
    config: str | Path | None = None,
    progress: ProgressMaker = silent,
    logs: Logs = None,
    cluster: str | None = None,
    **settings: Any,
) -> Run:
    """Train a model on a text.

    Args:
        text: A file, a folder, ``-`` for standard input, or the name of a bundled or downloaded
            text (``given-names``).
        model: Name of the family: ``mlp`` unless the recipe says otherwise, or, where a
            ``label`` is named, ``averaging``.
        output: The run folder to make; by default ``runs/TEXT-NAME``.
        config: A recipe in TOML whose settings come before the ones given here.
        progress: Opens what is told of each step; none by default.
        logs: ``tensorboard``, or a function that is called with each record of ``metrics.jsonl``.
        cluster: Where to count an ``ngram`` model: a Dask scheduler's address, or ``local:2`` for
            two workers here; the text may then be a pattern or a URL such as ``s3://bucket/folder``.
        **settings: The flags of ``thence train``, with underscores.

    Returns:
        The finished run.

    Raises:
        ThenceError: If the text, a setting or the output cannot be used.
    """
    given = read_settings(Path(config)) if config is not None else {}
    given |= settings
    text = text if text is not None else given.get("text")
    model = model or given.get("model", DEFAULT_CLASSIFIER if "label" in given else DEFAULT_MODEL)
    if text is None:
        raise SettingError("There is no text to train on; name a file or a bundled text.")
    rest = {name: value for name, value in given.items() if name not in ("text", "model")}
    return train_recipe(make_recipe(text, str(model), rest), output, progress, logs, cluster)


def train_recipe(
    recipe: Recipe,
    output: str | Path | None = None,
    progress: ProgressMaker = silent,
    logs: Logs = None,
    cluster: str | None = None,
) -> Run:
    """Train what a recipe says; see ``train``."""
    check_logs(logs)
    _refuse_mixed(recipe.model)
    if cluster is not None:
        from thence.training.cluster import count_on_cluster

        folder = Path(output) if output is not None else free_folder(recipe.text, recipe.model)
        return count_on_cluster(recipe, folder, cluster, progress, logs)
    if may_be_restarted() and output is None:
        raise SettingError(
            "With --max-restarts, name the run folder with --output, to go on with it."
        )
    with processes() as world:
        started_by = launches(world)
        with agreed(world):
            recipe = with_language_model(recipe)
            folder = Path(output) if output is not None else free_folder(recipe.text, recipe.model)
        begun = begun_before(folder, started_by, world)
        if begun is not None:
            return _go_on(begun, progress, world, logs)
        with readable_source(recipe.text) as source:
            with agreed(world):
                check_shareable(recipe, world)
                if is_first_process():
                    refuse_existing(folder)
                prepared = prepare(recipe, source)
            with agreed(world):
                if is_first_process():
                    recipe = _resolve(recipe, prepared)
                    hashes = text_hashes(prepared.splits)
                    kept = Path(source) if recipe.text == "-" else None
                    more = more_about(recipe, prepared)
                    if started_by:
                        more["launches"] = sorted(started_by)
                    create_run(folder, recipe, prepared.tokenizer, hashes, kept, more)
        with _undone(folder, ThenceError):
            run = shared_run(folder, prepared, world)
        with _undone(folder, TrainingError, SettingError):
            _fit(run, prepared, progress, world, logs)
    return run


def _refuse_mixed(model: str) -> None:
    if family_of(model).kind == "mixed":
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


def sweep_learning_rate(
    recipe: Recipe, low: float = 1e-3, high: float = 1.0, steps: int = 300
) -> "LearningRateCurve":
    """Sweep the learning rate over a recipe's network and text; nothing is kept.

    Raises:
        SettingError: If the model is counted, or the range cannot be used.
    """
    if family_of(recipe.model).kind != "trained":
        raise SettingError(f"The model '{recipe.model}' is not trained: it has no learning rate.")
    from thence.training.networks import sweep

    recipe = with_language_model(recipe)
    with readable_source(recipe.text) as source:
        prepared = prepare(recipe, source)
        return sweep(recipe, prepared, low, high, steps)


def resume(folder: str | Path, progress: ProgressMaker = silent, logs: Logs = None) -> Run:
    """Go on with a training that was stopped; a finished one is left as it is.

    On the CPU the result is the same, bit for bit, as if it had never been stopped.

    Args:
        folder: The run folder.
        progress: Opens what is told of each step; none by default.
        logs: Who else is told, as in ``train``; ``tensorboard`` gets the whole training.

    Raises:
        ThenceError: If the run or its text cannot be used.
    """
    check_logs(logs)
    with processes() as world:
        run = same_run(Path(folder), world)
        return _go_on(run, progress, world, logs)


def _go_on(run: Run, progress: ProgressMaker, world: "World | None", logs: Logs) -> Run:
    if run.counted is not None:  # Made whole, and never half.
        return run
    with agreed(world):
        if is_first_process():
            clear_leftovers(run.folder)
        vectors = getattr(run.recipe.options, "vectors", None)
        if vectors is not None:
            check_ordinary(Path(vectors))
        prepared = Prepared(run.splits, run.tokenizer, run.store("train"), run.store("dev"))
        if not (run.folder / "last").exists():  # Nothing yet that has the vectors in it.
            prepared = replace(prepared, vectors=vectors_of(run.recipe, run.tokenizer))
    _fit(run, prepared, progress, world, logs)
    return run


@contextmanager
def readable_source(text: str) -> Iterator[str]:
    """Yield the text's path or name; standard input is copied to a file that can be kept."""
    if text != "-":
        yield text
        return
    with TemporaryDirectory(prefix="thence-") as folder:
        path = Path(folder) / "standard-input"
        path.write_bytes(sys.stdin.buffer.read())
        yield str(path)


def free_folder(text: str, name: str) -> Path:
    """Return ``runs/TEXT-NAME``, with a number where that is taken."""
    stem = "stdin" if text == "-" else Path(text).name.split(".")[0]
    stem = re.sub(r"[*?\[\]]", "", stem) or "text"  # Of a pattern, what it says.
    names = (f"{stem}-{name}{number}" for number in ["", *(f"-{n}" for n in range(2, 10**6))])
    return next(path for name in names if not (path := Path("runs") / name).exists())


def _resolve(recipe: Recipe, prepared: Prepared) -> Recipe:
    """Return the recipe with full paths and with everything chosen that was left open."""
    recipe = resolved_paths(recipe)
    if prepared.vectors is not None:
        options = replace(recipe.options, embedding_size=prepared.vectors.dimension)
        recipe = replace(recipe, options=options)
    if family_of(recipe.model).kind in ("counted", "fitted"):
        return recipe
    from thence.training.networks import resolve_training

    return resolve_training(recipe, prepared)


def more_about(recipe: Recipe, prepared: Prepared) -> dict[str, Any]:
    """Return what a run of a classifier says of its labels, and of its vectors."""
    if not is_classifier(recipe.model):
        return {}
    labels, vectors = prepared.train_labels, coverage(prepared)
    about = {"labels": list(labels.names), "several": labels.several}
    return about if vectors is None else {**about, "vectors": vectors}


def _fit(
    run: Run,
    prepared: Prepared,
    progress: ProgressMaker,
    world: "World | None",
    logs: Logs,
) -> None:
    kind = family_of(run.recipe.model).kind
    if kind == "trained":
        from thence.training.networks import train_network

        train_network(run, prepared, progress, world, logs)
        return
    with opened(logs, run, prepared.dev, 0) as log:
        # For one process; metrics are written last, and say that all is done. A mixture is made
        # whole, and never trained.
        if kind != "mixed" and is_first_process() and not run.metrics():
            make = _count if kind == "counted" else _fit_labels
            make(run, prepared)
            with suppress(StopTraining):
                log(run.metrics()[-1])


def _count(run: Run, prepared: Prepared) -> None:
    started = time.monotonic()
    recipe, carry_context = run.recipe, run.recipe.training.carry_context
    model = cast(
        CountedModel,
        FAMILIES[recipe.model].create(recipe.options, len(run.tokenizer.vocabulary)),
    )
    judged = prepared.dev if prepared.dev.num_documents else None
    fitted = model.fit(prepared.train, carry_context, judged)
    if fitted is None:
        fitted = float(np.sum(model.score(prepared.train, carry_context)))
    losses = {"train_nats_per_token": -fitted / prepared.train.num_targets}
    if judged is not None:
        losses["dev_nats_per_token"] = -float(np.mean(model.score(judged, carry_context)))
    finish_at_once(run, prepared.train.num_targets, model.tensors(), losses, started)


def _fit_labels(run: Run, prepared: Prepared) -> None:
    started = time.monotonic()
    from thence.training.networks import threads

    with threads(run.recipe.training.threads):
        classifier = _fitted(run.recipe, prepared)
        train = label_look(classifier.classify(prepared.train_texts), prepared.train_labels)
        losses = {"train_nats_per_document": train.nats}
        if prepared.dev.num_documents:
            look = label_look(classifier.classify(prepared.dev_texts), prepared.dev_labels)
            losses |= {"dev_nats_per_document": look.nats, **look.more}
    finish_at_once(run, prepared.train.num_targets, classifier.tensors(), losses, started)


def _fitted(
    recipe: Recipe, prepared: Prepared, enough: Callable[[], bool] = never
) -> FittedClassifier:
    create = CLASSIFIERS[recipe.model].create
    made = create(recipe.options, len(prepared.tokenizer.vocabulary), prepared.classes)
    classifier, labels = cast(FittedClassifier, made), prepared.train_labels
    dev = (prepared.dev_texts, prepared.dev_labels) if prepared.dev.num_documents else None
    weighs = recipe.labelling is not None and recipe.labelling.class_weights
    weights = importance(labels, weighs, prepared.weights)
    classifier.fit(prepared.train_texts, labels, weights, dev, enough)
    return classifier


def train_classifier(
    recipe: Recipe, prepared: Prepared, enough: Callable[[], bool] = never
) -> Classifier:
    """Train a classifier in memory; nothing is written.

    Args:
        recipe: How.
        prepared: The text.
        enough: Asks one that is fitted now and then whether to end with what it has learned.

    Raises:
        SettingError: If a setting does not fit this machine.
        TrainingError: If the loss is not a finite number, or absurdly large.
    """
    from thence.training.networks import resolve_training, threads, train_in_memory

    _refuse_mixed(recipe.model)
    if family_of(recipe.model).kind == "fitted":
        with threads(recipe.training.threads):
            return _fitted(recipe, prepared, enough)
    return cast(Classifier, train_in_memory(resolve_training(recipe, prepared), prepared))


def finish_at_once(
    run: Run,
    tokens: int,
    tensors: Mapping[str, Array],
    losses: Mapping[str, float],
    started: float,
) -> None:
    """Save what was made in one step."""
    metrics = MetricsFile(run.folder / "metrics.jsonl")
    metrics.truncate(0)
    save_model(run.folder / "model.safetensors", tensors, {"run": run.identity, "step": 0})
    finite = {name: loss if np.isfinite(loss) else None for name, loss in losses.items()}
    seconds = round(time.monotonic() - started, 3)
    metrics.append({"step": 0, "seconds": seconds, "tokens": tokens, **finite})
