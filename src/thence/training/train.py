"""The job from a text to a run: read, split, tokenise, train or count, save."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from thence.corpus import Splits, load_splits
from thence.errors import SettingError, TextError, TrainingError
from thence.models import SEQUENCES, CountedModel, family
from thence.processes import is_first_process, number_of_processes
from thence.tokens import Tokenizer, TokenStore, make_tokenizer
from thence.training.files import clear_leftovers
from thence.training.metrics import MetricsFile
from thence.training.progress import ProgressMaker, silent
from thence.training.recipe import Recipe, make_recipe, read_settings
from thence.training.run import Run, create_run, refuse_existing, save_model, text_hashes

if TYPE_CHECKING:
    from thence.training.distributed import World
    from thence.training.learning_rate_finder import LearningRateCurve

DEFAULT_MODEL = "mlp"


def train(
    text: str | Path | None = None,
    model: str | None = None,
    *,
    output: str | Path | None = None,
    config: str | Path | None = None,
    progress: ProgressMaker = silent,
    **settings: Any,
) -> Run:
    """Train a model on a text.

    Args:
        text: A file, a folder, ``-`` for standard input, or the name of a bundled or downloaded
            text (``given-names``).
        model: Name of the family: ``mlp`` unless the recipe says otherwise.
        output: The run folder to make; by default ``runs/TEXT-MODEL``.
        config: A recipe in TOML whose settings come before the ones given here.
        progress: Opens what is told of each step; none by default.
        **settings: The flags of ``thence train``, with underscores.

    Returns:
        The finished run.

    Raises:
        ThenceError: If the text, a setting or the output cannot be used.
    """
    given = read_settings(Path(config)) if config is not None else {}
    given |= settings
    text = text if text is not None else given.get("text")
    model = model or given.get("model", DEFAULT_MODEL)
    if text is None:
        raise SettingError("There is no text to train on; name a file or a bundled text.")
    rest = {name: value for name, value in given.items() if name not in ("text", "model")}
    return train_recipe(make_recipe(text, str(model), rest), output, progress)


def train_recipe(
    recipe: Recipe, output: str | Path | None = None, progress: ProgressMaker = silent
) -> Run:
    """Train what a recipe says; see ``train``."""
    if family(recipe.model).kind == "mixed":
        raise SettingError(
            "A mixture is not trained on a text but made of runs: thence mix RUN RUN -o RUN."
        )
    folder = Path(output) if output is not None else free_folder(recipe)
    with _processes(recipe) as world:
        if is_first_process():
            refuse_existing(folder)
        with readable_source(recipe.text) as source:
            prepared = prepare(recipe, source)
            if is_first_process():
                recipe = _resolve(recipe, prepared)
                hashes = text_hashes(prepared.splits)
                kept = Path(source) if recipe.text == "-" else None
                run = create_run(folder, recipe, prepared.tokenizer, hashes, kept)
        if world is not None:
            run = Run(world.tell(str(folder)))
        try:
            _fit(run, prepared.train, prepared.dev, progress, world)
        except (TrainingError, SettingError):
            if is_first_process() and not (run.folder / "last").exists():
                shutil.rmtree(run.folder, ignore_errors=True)  # Nothing to go on with.
            raise
    return run


@contextmanager
def _processes(recipe: Recipe) -> Iterator["World | None"]:
    """Join the other processes that ``torchrun`` has started; None where this one is alone."""
    if number_of_processes() == 1:
        yield None
        return
    if recipe.text == "-":
        raise SettingError("Several processes cannot share standard input; write it to a file.")
    from thence.training.distributed import joined
    from thence.training.networks import choose_device

    with joined(choose_device(recipe.training.device)) as world:
        yield world


@dataclass(frozen=True)
class Prepared:
    """A text made ready for training.

    Attributes:
        splits: Its documents.
        tokenizer: Made from the train split.
        train: Tokens of the train split.
        dev: Tokens of the dev split.
    """

    splits: Splits
    tokenizer: Tokenizer
    train: TokenStore
    dev: TokenStore


def prepare(recipe: Recipe, source: str) -> Prepared:
    """Read, split and tokenise the text of a recipe.

    Raises:
        TextError: If there is too little text, or nothing to learn from it.
        SettingError: If a setting does not fit the text.
    """
    splits = load_splits(source, recipe.reading, recipe.splitting)
    _check_splits(recipe, splits)
    tokenizer = make_tokenizer(splits.train, recipe.tokens)
    train_store = tokenizer.encode(splits.train)
    _check_context(recipe, train_store)
    return Prepared(splits, tokenizer, train_store, tokenizer.encode(splits.dev))


def sweep_learning_rate(
    recipe: Recipe, low: float = 1e-3, high: float = 1.0, steps: int = 300
) -> "LearningRateCurve":
    """Sweep the learning rate over a recipe's network and text; nothing is kept.

    Raises:
        SettingError: If the model is counted, or the range cannot be used.
    """
    if family(recipe.model).kind != "trained":
        raise SettingError(f"The model '{recipe.model}' is not trained: it has no learning rate.")
    from thence.training.networks import sweep

    with readable_source(recipe.text) as source:
        prepared = prepare(recipe, source)
        return sweep(recipe, len(prepared.tokenizer.vocabulary), prepared.train, low, high, steps)


def resume(folder: str | Path, progress: ProgressMaker = silent) -> Run:
    """Go on with a training that was stopped; a finished one is left as it is.

    On the CPU the result is the same, bit for bit, as if it had never been stopped.

    Raises:
        ThenceError: If the run or its text cannot be used.
    """
    run = Run(folder)
    with _processes(run.recipe) as world:
        if is_first_process():
            clear_leftovers(run.folder)
        _fit(run, run.store("train"), run.store("dev"), progress, world)
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


def free_folder(recipe: Recipe) -> Path:
    """Return ``runs/TEXT-MODEL``, with a number where that is taken."""
    stem = "stdin" if recipe.text == "-" else Path(recipe.text).name.split(".")[0] or "text"
    names = (
        f"{stem}-{recipe.model}{number}" for number in ["", *(f"-{n}" for n in range(2, 10**6))]
    )
    return next(path for name in names if not (path := Path("runs") / name).exists())


def _check_splits(recipe: Recipe, splits: Splits) -> None:
    if len(splits.train) == 0:
        raise TextError(
            f"The train split of {recipe.text} is empty: the text is too short for the split "
            f"{recipe.splitting.split}. Give more text, or --split 100/0/0 to keep all of it."
        )
    if len(splits.train) > 1 and _all_equal(splits):
        raise TextError(
            f"All {len(splits.train)} train documents of {recipe.text} are the same, so there is "
            "nothing to learn and nothing to judge by; give text with different lines."
        )


def _all_equal(splits: Splits) -> bool:
    first = splits.train[0]
    return all(text == first for split in (splits.train, splits.dev, splits.test) for text in split)


def _check_context(recipe: Recipe, train_store: TokenStore) -> None:
    if family(recipe.model).defaults is SEQUENCES:
        return  # A short text takes only what it needs of the context, at no cost.
    context = getattr(recipe.options, "context", 1)
    longest = int(train_store.target_counts.max())
    if context > longest and not recipe.training.carry_context:
        raise SettingError(
            f"--context is {context}, but the longest document has {longest} tokens with its "
            f"boundary; use --context {longest} at most, or --carry-context for running text."
        )


def _resolve(recipe: Recipe, prepared: Prepared) -> Recipe:
    """Return the recipe with full paths and with everything chosen that was left open."""
    text = str(Path(recipe.text).resolve()) if _is_path(recipe.text) else recipe.text
    given: dict[str, Any] = {
        name: str(Path(path).resolve())
        for name in ("dev", "test")
        if (path := getattr(recipe.splitting, name)) is not None
    }
    recipe = replace(recipe, text=text, splitting=replace(recipe.splitting, **given))
    if family(recipe.model).kind == "counted":
        return recipe
    from thence.training.networks import resolve_training

    return resolve_training(recipe, len(prepared.tokenizer.vocabulary), prepared.train)


def _is_path(text: str) -> bool:
    return text != "-" and Path(text).exists()


def _fit(
    run: Run,
    train_store: TokenStore,
    dev: TokenStore,
    progress: ProgressMaker,
    world: "World | None",
) -> None:
    kind = family(run.recipe.model).kind
    if kind == "mixed":  # It is made whole, and never trained.
        return
    if kind == "counted":
        if is_first_process():  # Counting is for one process.
            _count(run, train_store, dev)
        return
    from thence.training.networks import train_network

    train_network(run, train_store, dev, progress, world)


def _count(run: Run, train_store: TokenStore, dev: TokenStore) -> None:
    if run.metrics():  # Written last: all is done.
        return
    started = time.monotonic()
    recipe, carry_context = run.recipe, run.recipe.training.carry_context
    model = cast(
        CountedModel,
        family(recipe.model).create(recipe.options, len(run.tokenizer.vocabulary)),
    )
    judged = dev if dev.num_documents else None
    fitted = model.fit(train_store, carry_context, judged)
    if fitted is None:
        fitted = float(np.sum(model.score(train_store, carry_context)))
    metrics = MetricsFile(run.folder / "metrics.jsonl")
    metrics.truncate(0)
    losses = {"train_nats_per_token": -fitted / train_store.num_targets}
    if judged is not None:
        losses["dev_nats_per_token"] = -float(np.mean(model.score(judged, carry_context)))
    save_model(run.folder / "model.safetensors", model, {"run": run.identity, "step": 0})
    finite = {name: loss if np.isfinite(loss) else None for name, loss in losses.items()}
    seconds = round(time.monotonic() - started, 3)
    metrics.append({"step": 0, "seconds": seconds, "tokens": train_store.num_targets, **finite})
