"""Runs from and for other programs: n-gram models as ARPA files, embeddings as word vectors."""

import shutil
from hashlib import file_digest
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np

from thence.errors import RunError, SettingError, TextError, nearest
from thence.models.ngram import NGram
from thence.models.ngram.arpa import read_arpa, write_arpa
from thence.tokens import TokenOptions, tokenizer_of, write_vectors
from thence.training.embeddings import word_embeddings
from thence.training.recipe import Recipe
from thence.training.run import Run, create_run, refuse_existing
from thence.training.weights_file import save_model

Format = Literal["arpa", "word2vec"]


def export(run: Run | str | Path, path: str | Path, to: Format | None = None) -> Path:
    """Write what a run has learned for other programs.

    An ARPA file holds an n-gram model. A word2vec file (as text) holds the embeddings of words, or
    of whatever the tokens are; special symbols and white space are left out.

    Args:
        run: The run or its folder.
        path: The file to make, compressed if its name ends in ``.gz``.
        to: Its format; by default ``arpa`` for an n-gram run and for a file with that suffix, else
            ``word2vec``.

    Returns:
        The file.

    Raises:
        SettingError: If the format is unknown or cannot say the model.
        RunError: If the run has no n-gram model or no embeddings, as the format needs, or the file
            exists or cannot be written.
    """
    run, path = run if isinstance(run, Run) else Run(run), Path(path)
    if to is None:
        is_arpa = run.recipe.model == "ngram" or ".arpa" in path.suffixes
        to = "arpa" if is_arpa else "word2vec"
    if to not in get_args(Format):
        formats = get_args(Format)
        raise SettingError(
            f"There is no format {to!r}; choose from {', '.join(formats)}." + nearest(to, formats)
        )
    if to == "arpa":
        _check_model(run)
    try:
        if path.exists():
            raise RunError(f"{path} exists already and is left as it is; choose another name.")
        if to == "arpa":
            write_arpa(cast(NGram, run.model).tables, run.tokenizer.vocabulary, path)
        else:
            _write_embeddings(run, path)
    except OSError as error:
        raise RunError(
            f"Cannot write {path}: {error.strerror or error}. Free some space or choose another "
            "place."
        ) from error
    return path


def _write_embeddings(run: Run, path: Path) -> None:
    embeddings = word_embeddings(run)
    # Other programs cut a line at white space, so it cannot be a word.
    kept = [index for index, word in enumerate(embeddings.words) if word.split() == [word]]
    words = [embeddings.words[index] for index in kept]
    write_vectors(path, words, embeddings.matrix[kept].astype(np.float32))


def _check_model(run: Run) -> None:
    if run.recipe.model != "ngram":
        raise RunError(
            f"{run.folder} is a run of the model '{run.recipe.model}'; an ARPA file can only hold "
            "an n-gram model (thence train --model ngram)."
        )
    if run.recipe.options.smoothing == "stupid-backoff":
        raise SettingError(
            f"{run.folder} was made with --smoothing stupid-backoff, whose scores do not sum to "
            "one, but an ARPA file holds probabilities; train with another --smoothing."
        )


def import_arpa(path: str | Path, output: str | Path) -> Run:
    """Make a run of an ARPA file, as KenLM, SRILM and others write them.

    Its tokens are words between white space; it has no text of its own.

    Args:
        path: The file, plain or compressed.
        output: The run folder to make.

    Raises:
        TextError: If it is not an ARPA file; names the line.
        RunError: If the output exists or cannot be written.
    """
    path, folder = Path(path), Path(output)
    refuse_existing(folder)
    read = read_arpa(path)
    tokenizer = tokenizer_of(
        read.symbols,
        TokenOptions("words", word_split="whitespace", unknown=read.vocabulary.unknown),
    )
    model = NGram.from_tables(read.tables, len(read.vocabulary))
    recipe = Recipe(str(path.resolve()), "ngram", model.options, tokens=tokenizer.options)
    run = create_run(folder, recipe, tokenizer, {"arpa": _sha256(path)})
    try:
        tensors = model.tensors()
        save_model(run.folder / "model.safetensors", tensors, {"run": run.identity, "step": 0})
    except RunError:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise
    return run


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TextError(f"The ARPA file {path} cannot be read: {error.strerror}.") from error
