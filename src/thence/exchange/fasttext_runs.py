"""Classifiers of fastText as runs, and runs as files of fastText."""

from hashlib import file_digest
from pathlib import Path
from typing import cast
from warnings import warn

import numpy as np

from thence.atomic import NewFolder, new_folder
from thence.errors import RunError, TextError, ThenceWarning
from thence.exchange.fasttext import read_fasttext, write_fasttext
from thence.models.base import Classes
from thence.models.fasttext.contents import FastTextModel
from thence.models.fasttext.features import LABEL
from thence.models.labels.fasttext import QUESTIONS, FastText, FastTextOptions
from thence.recipes.recipe import Recipe
from thence.runs.create import create_run
from thence.runs.run import Run
from thence.runs.weights import save_model
from thence.tokens import tokenizer_of
from thence.tokens.tokenizer import WordOptions
from thence.tokens.vocabulary import UNKNOWN


def import_fasttext(path: str | Path, output: str | Path) -> Run:
    """Make a run of a classifier of fastText, a ``.bin`` or ``.ftz`` file.

    Its labels lose the mark ``__label__``, as those of texts do. The run has no text of its own.

    Args:
        path: The file.
        output: The run folder to make.

    Raises:
        TextError: If it is no such file, is damaged, or holds no classifier.
        RunError: If the output exists or cannot be written.
    """
    with new_folder(Path(output)) as new:
        return _import_into(new, Path(path))


def _import_into(new: NewFolder, path: Path) -> Run:
    model = read_fasttext(path)
    labels = label_names(model, path)
    arguments = model.arguments
    options = FastTextOptions(
        arguments.dim, arguments.word_ngrams, arguments.minn, arguments.maxn, arguments.bucket,
        arguments.loss,
    )  # fmt: skip
    classes = Classes(len(labels), arguments.loss in QUESTIONS)
    classifier = FastText(options, len(model.dictionary.words), classes)
    classifier.take(model, np.arange(len(labels)))
    tensors = classifier.tensors()
    try:
        classifier.load_tensors(tensors)  # What no run holds is refused now, not when it is opened.
    except ValueError as error:
        raise TextError(f"{path} cannot be imported: {error}.") from error
    words = [word for word in model.dictionary.words.names() if word != UNKNOWN]
    tokens = WordOptions(word_split="whitespace", lowercase=False)
    tokenizer = tokenizer_of([*dict.fromkeys(words)], tokens)
    recipe = Recipe(str(path.resolve()), "fasttext", options, tokens=tokens)
    with path.open("rb") as file:
        hashes = {"fasttext": file_digest(file, "sha256").hexdigest()}
    about = {"labels": labels, "multilabel": classes.multilabel}

    def write(folder: Path) -> None:
        run = create_run(folder, recipe, tokenizer, hashes, more=about)
        save_model(folder / "model.safetensors", tensors, {"run": run.identity, "step": 0})

    new.fill(write)
    return Run(new.target)


def label_names(model: FastTextModel, path: Path) -> list[str]:
    """Return the labels of a file without their mark, if all have it.

    Raises:
        TextError: If it has word vectors instead, or labels that cannot be told apart.
    """
    if model.arguments.model != "supervised":
        raise TextError(f"{path} holds word vectors (`{model.arguments.model}`), not a classifier.")
    mark, names = LABEL.decode(), model.dictionary.labels.names()
    if all(name.startswith(mark) and len(name) > len(mark) for name in names):
        names = [name.removeprefix(mark) for name in names]
    if len(set(names)) < len(names):
        raise TextError(f"{path} has two labels of one name: it is damaged.")
    if len(names) < 2 and model.arguments.loss not in QUESTIONS:
        raise TextError(f"{path} has a single label, {names[0]!r}: there is nothing to tell apart.")
    return names


def export_fasttext(run: Run, path: Path) -> None:
    """Write a run as a file that fastText reads, with the same predictions.

    Raises:
        RunError: If it is no run of the model ``fasttext``.
        OSError: If the file cannot be written.
    """
    if run.recipe.model != "fasttext":
        raise RunError(
            f"{run.folder} is a run of the model '{run.recipe.model}'; a file of fastText holds "
            "words and buckets as fastText hashes them (thence train --model fasttext)."
        )
    options = run.recipe.tokens
    if options.lowercase or options.nfc:
        changes = [name for name in ("lowercase", "nfc") if getattr(options, name)]
        warn(
            f"{run.folder} was trained with `{changes[0]}`, which fastText does not do: give it "
            "texts that are changed so already.",
            ThenceWarning,
            stacklevel=3,
        )
    write_fasttext(cast(FastText, run.load()).contents, path)
