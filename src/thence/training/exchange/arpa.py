"""N-gram models as ARPA files, out and in."""

from hashlib import file_digest
from pathlib import Path
from typing import cast

from thence.atomic import NewFolder, new_folder
from thence.errors import RunError, SettingError, TextError
from thence.models.ngram import NGram
from thence.models.ngram.arpa import read_arpa, write_arpa
from thence.tokens import TokenOptions, tokenizer_of
from thence.training.recipe import Recipe
from thence.training.run import Run, create_run
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
    with new_folder(Path(output)) as new:
        return _import_into(new, Path(path))


def _import_into(new: NewFolder, path: Path) -> Run:
    read = read_arpa(path)
    tokenizer = tokenizer_of(
        read.symbols,
        TokenOptions("words", word_split="whitespace", unknown=read.vocabulary.unknown),
    )
    model = NGram.from_tables(read.tables, len(read.vocabulary))
    recipe = Recipe(str(path.resolve()), "ngram", model.options, tokens=tokenizer.options)
    hashes = {"arpa": _sha256(path)}

    def write(folder: Path) -> None:
        run = create_run(folder, recipe, tokenizer, hashes)
        about = {"run": run.identity, "step": 0}
        save_model(folder / "model.safetensors", model.tensors(), about)

    new.fill(write)
    return Run(new.target)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TextError(f"The ARPA file {path} cannot be read: {error.strerror}.") from error
