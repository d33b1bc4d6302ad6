"""Import of files of fastText, as runs or word vectors, and export of runs to such files."""

from contextlib import suppress
from hashlib import file_digest
from pathlib import Path
from typing import cast
from warnings import warn

import numpy as np

from thence.atomic import NewFolder, new_folder, refuse_existing
from thence.errors import RunError, TextError, ThenceWarning
from thence.models.base import Classes
from thence.models.fasttext.contents import FastTextModel
from thence.models.fasttext.features import END, LABEL
from thence.models.fasttext.files import read_fasttext, write_fasttext
from thence.models.fasttext.predictions import word_vectors
from thence.models.labels.fasttext import BINARY_HEADS, FastText, FastTextOptions
from thence.recipes.recipe import Recipe
from thence.runs.create import create_run
from thence.runs.run import Run
from thence.runs.weights import save_model
from thence.tokens import tokenizer_of, write_vectors
from thence.tokens.options import WordOptions
from thence.tokens.vocabulary import UNKNOWN


def import_fasttext(path: str | Path, output: str | Path) -> Run | Path:
    """Import a classifier of fastText as a run, or word vectors of fastText as a word2vec file.

    Args:
        path: A ``.bin`` or ``.ftz`` file.
        output: The run folder to make, or the file, compressed if its name ends in ``.gz``.

    Returns:
        The run, or the word2vec file, for ``vectors`` of a training.

    Raises:
        TextError: If it is not such a file, or damaged.
        RunError: If the output exists or cannot be written.
    """
    path, output = Path(path), Path(output)
    model = read_fasttext(path)
    if model.arguments.model != "supervised":
        return _vectors_of(model, path, output)
    with new_folder(output) as new:
        return _import_into(new, model, path)


def _vectors_of(model: FastTextModel, path: Path, output: Path) -> Path:
    """Write the vector of each word, computed with its subwords; ``</s>`` is left out."""
    refuse_existing(output)
    named = {
        name.decode(): place
        for place, name in enumerate(model.dictionary.words.encoded())
        if name != END and is_text(name)
    }
    vectors = word_vectors(model, list(named))
    if not np.isfinite(vectors).all():
        raise TextError(f"{path} holds vectors that are no finite numbers: it is damaged.")
    write_vectors(output, list(named), vectors)
    return output


def is_text(name: bytes) -> bool:
    """Return whether the bytes of a word are valid UTF-8 and not empty."""
    with suppress(UnicodeDecodeError):
        return bool(name.decode())
    return False


def _import_into(new: NewFolder, model: FastTextModel, path: Path) -> Run:
    """Write a classifier of fastText as a run."""
    labels = label_names(model, path)
    arguments = model.arguments
    options = FastTextOptions(
        arguments.dim, arguments.word_ngrams, arguments.minn, arguments.maxn, arguments.bucket,
        arguments.loss,
    )  # fmt: skip
    classes = Classes(len(labels), arguments.loss in BINARY_HEADS)
    classifier = FastText(options, len(model.dictionary.words), classes)
    classifier.set_model(model, np.arange(len(labels)))
    tensors = classifier.tensors()
    try:
        classifier.load_tensors(tensors)  # Checks the tensors now, and not when the run is opened.
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
    """Return the labels of a file, without the prefix ``__label__`` if all have it.

    Raises:
        TextError: If two are equal, or there is only one and a document has exactly one label.
    """
    mark, names = LABEL.decode(), model.dictionary.labels.names()
    if all(name.startswith(mark) and len(name) > len(mark) for name in names):
        names = [name.removeprefix(mark) for name in names]
    if len(set(names)) < len(names):
        raise TextError(f"{path} has two labels of one name: it is damaged.")
    if len(names) < 2 and model.arguments.loss not in BINARY_HEADS:
        raise TextError(f"{path} has a single label, {names[0]!r}: there is nothing to tell apart.")
    return names


def export_fasttext(run: Run, path: Path) -> None:
    """Write a run as a file of fastText with the same predictions.

    Raises:
        RunError: If the run is not of the model ``fasttext``.
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
