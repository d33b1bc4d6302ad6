"""N-gram models as ARPA files, out and in."""

import shutil
from hashlib import file_digest
from pathlib import Path
from typing import cast

from thence.errors import RunError, SettingError, TextError
from thence.models.ngram import NGram
from thence.models.ngram.arpa import read_arpa, write_arpa
from thence.tokens import TokenOptions, tokenizer_of
from thence.training.recipe import Recipe
from thence.training.run import Run, create_run, refuse_existing
from thence.training.weights_file import save_model


def export_arpa(run: Run, path: Path) -> None:
    """Write an n-gram model as an ARPA file.

    Raises:
        RunError: If the run has none.
        SettingError: If the format cannot say the model.
        OSError: If the file cannot be written.
    """
    _check_model(run)
    write_arpa(cast(NGram, run.model).tables, run.tokenizer.vocabulary, path)


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
