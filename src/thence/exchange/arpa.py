"""Import and export of n-gram models as ARPA files."""

import re
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import cast
from warnings import warn

import numpy as np

from thence.array_types import Float
from thence.atomic import NewFolder, new_folder
from thence.errors import RunError, SettingError, TextError, ThenceWarning
from thence.exchange.arpa_writer import START, write_arpa
from thence.exchange.kenlm_file import read_ngrams
from thence.exchange.ngram_lists import ListedModel
from thence.models.ngram import NGram
from thence.models.ngram.pruning import Sums, sums, words_of
from thence.models.ngram.static import renormalize_tables
from thence.recipes.recipe import Recipe
from thence.runs.create import create_run
from thence.runs.run import Run
from thence.runs.weights import save_model
from thence.tokens import Tokenizer, TokenOptions, Vocabulary, tokenizer_of

SPELLED = re.compile(r"<U\+[0-9A-F]+>|<unk>")
"""Words of several letters that the export of a character model may have, such as ``<U+0020>``."""
NUMBER = re.compile(r"0|[1-9][0-9]{0,6}")
"""A token id in decimal."""
LAST = 0x10FFFF
"""The last code point of Unicode."""


def export_arpa(run: Run, path: Path, encode_offset: int | None = None) -> None:
    """Write an n-gram model as an ARPA file.

    Args:
        run: The run.
        path: The file to make.
        encode_offset: Write tokens as characters; see ``offset_vocabulary``.

    Raises:
        RunError: If the run has no n-gram model.
        SettingError: If the format cannot hold the model.
        OSError: If the file cannot be written.
    """
    check_model(run)
    vocabulary = run.tokenizer.vocabulary
    if encode_offset is not None:
        vocabulary = offset_vocabulary(
            vocabulary, encode_offset, run.tokenizer.options.tokens == "words"
        )
    write_arpa(cast(NGram, run.model).tables, vocabulary, path)


def offset_vocabulary(vocabulary: Vocabulary, offset: int, by_name: bool) -> Vocabulary:
    """Return a vocabulary whose symbols are the characters ``chr(id + offset)``.

    Speech decoders query n-gram models of subwords in this encoding; NeMo's offset is 100.

    Args:
        vocabulary: The vocabulary.
        offset: Number that is added to each id.
        by_name: Whether the symbols are themselves the ids of another tokenizer, as decimal
            numbers, which are then used in place of our ids.

    Raises:
        SettingError: If an id has no such character, or a symbol is not a number.
    """
    count = vocabulary.boundary_id - (vocabulary.unknown_id is not None)
    names = vocabulary.names()[:count]
    if by_name and (word := next((name for name in names if not NUMBER.fullmatch(name)), None)):
        raise SettingError(
            f"`encode_offset` is for models of subwords, or of texts whose words are the ids of a "
            f"tokenizer, but {word!r} is no number."
        )
    ids = [int(name) for name in names] if by_name else list(range(count))
    low, high = min(ids, default=0) + offset, max(ids, default=0) + offset
    if low <= ord(" ") or any(0xD800 <= index + offset < 0xE000 for index in ids) or high > LAST:
        raise SettingError(
            f"`encode_offset` is {offset}, but ids from {low - offset} to {high - offset} plus "
            "that must be characters other than spaces, control characters and halves of pairs "
            f"({ord(' ') + 1} to {0xD7FF}, or from {0xE000})."
        )
    symbols = tuple(chr(index + offset) for index in ids)
    return Vocabulary(symbols, "refuse" if vocabulary.unknown_id is None else "symbol")


def check_model(run: Run) -> None:
    """Check that a run is of an n-gram model with probabilities.

    Raises:
        RunError: If it is of another model.
        SettingError: If its scores are not probabilities (stupid back-off).
    """
    if run.recipe.model != "ngram":
        raise RunError(
            f"{run.folder} is a run of the model '{run.recipe.model}'; an ARPA file can only hold "
            "an n-gram model (thence train --model ngram)."
        )
    if run.recipe.options.smoothing == "stupid-backoff":
        raise SettingError(
            f"{run.folder} was made with `smoothing='stupid-backoff'`, whose scores do not sum to "
            "one, but an ARPA file holds probabilities; train with another `smoothing`."
        )


def import_arpa(
    path: str | Path,
    output: str | Path,
    allow_unnormalized: bool = False,
    renormalize: bool = False,
) -> Run:
    """Import an ARPA file, as KenLM, SRILM and others write them, or a trie of KenLM, as a run.

    Its tokens are words between white space; it has no text of its own. The probabilities after
    every context are summed. If a sum is below one, a ``ThenceWarning`` says so; if one is above,
    likelihoods would be too high, and the file is refused.

    Args:
        path: The file, plain or compressed; a binary file of KenLM must be a trie with its words.
        output: The run folder to make.
        allow_unnormalized: Accept sums above one, with a warning.
        renormalize: Make all sums one: back-off weights are recomputed, and the probabilities after
            a context are scaled if they alone sum to more than one.

    Raises:
        TextError: If it is neither kind of file (names the line), or a sum of probabilities is
            above one.
        RunError: If the output exists or cannot be written.
    """
    with new_folder(Path(output)) as new:
        return _import_into(new, Path(path), allow_unnormalized, renormalize)


def _import_into(
    new: NewFolder, path: Path, allow_unnormalized: bool, should_renormalize: bool
) -> Run:
    """Read a file, check or renormalise its probabilities, and write the run."""
    read = read_ngrams(path)
    tables = read.tables
    if should_renormalize:
        tables = renormalize_tables(tables, read.vocabulary)
    else:
        check_sums(read, path, allow_unnormalized)
    _note_characters(read, path)
    model = NGram.from_tables(tables, len(read.vocabulary))
    new_imported_run(new, model, arpa_tokenizer(read), path)
    return Run(new.target)


def new_imported_run(
    new: NewFolder,
    model: NGram,
    tokenizer: Tokenizer,
    path: Path,
    hashes: Mapping[str, str] | None = None,
) -> None:
    """Write a run for a model without a text of its own.

    Args:
        new: The folder of the run.
        model: The model.
        tokenizer: The tokenizer with its vocabulary.
        path: The file that it was imported from.
        hashes: Hash of this file; by default it is computed.
    """
    recipe = Recipe(str(path.resolve()), "ngram", model.options, tokens=tokenizer.options)
    known = hashes or {"arpa": _sha256(path)}

    def write(folder: Path) -> None:
        run = create_run(folder, recipe, tokenizer, known)
        about = {"run": run.identity, "step": 0}
        save_model(folder / "model.safetensors", model.tensors(), about)

    new.fill(write)


def arpa_tokenizer(read: ListedModel) -> Tokenizer:
    """Return the tokenizer for a model from a file: words between white space."""
    options = TokenOptions("words", word_split="whitespace", unknown=read.vocabulary.unknown)
    return tokenizer_of(read.symbols, options)


def check_sums(read: ListedModel, path: Path, allow_above: bool = False) -> None:
    """Check that the probabilities after every context sum to one, and warn if they do not.

    Raises:
        TextError: If a sum is above one, unless ``allow_above``.
    """
    found = sums(read.tables, len(read.vocabulary))
    above, below = [some.above for some in found], [some.below for some in found]
    if any(some.any() for some in above):
        told = f"{path}: the probabilities {_worst(read, found, above)}."
        if not allow_above:
            raise TextError(
                f"{told} Likelihoods would look better than they are. The file was edited or "
                "quantised, or made by a program that does not normalise; make it again, or import "
                "it with `renormalize` or `allow_unnormalized`."
            )
        warn(f"{told} Likelihoods look better than they are.", ThenceWarning, stacklevel=4)
    if any(some.any() for some in below):
        told = f"{path}: the probabilities {_worst(read, found, below)}."
        warn(f"{told} Likelihoods look worse than they are.", ThenceWarning, stacklevel=4)


def _note_characters(read: ListedModel, path: Path) -> None:
    """Warn if a file looks like a character model, since it is read as a model of words."""
    words = [word for word in read.symbols if not SPELLED.fullmatch(word)]
    if len(words) > 1 and all(len(word) == 1 for word in words):
        warn(
            f"{path}: every word is a single character, as in an export of a model of characters. "
            "It is read as a model of words: write the characters of a text apart ('M a r i a') "
            "to evaluate it on one.",
            ThenceWarning,
            stacklevel=4,
        )


def _worst(
    read: ListedModel, found: list[Sums], misses: list[Float[np.ndarray, " contexts"]]
) -> str:
    """Return in words the context whose sum is farthest from one, its sum, and how many are off."""
    length = int(np.argmax([miss.max(initial=0) for miss in misses]))
    number = int(misses[length].argmax())
    total = found[length].totals[number]
    after = "without a context"
    if length:
        names = [*read.vocabulary.names()[:-1], START]
        size = len(read.vocabulary)
        (words,) = words_of(read.tables, length - 1, np.array([number]), size).tolist()
        after = f"after {' '.join(names[word] for word in words)!r}"
    count, of = (sum(map(function, misses)) for function in (np.count_nonzero, len))
    side = "above" if total > 1 else "below"
    return f"{after} add up to {total:.4g}, not to 1 ({count:,} of {of:,} contexts are {side} it)"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TextError(f"The ARPA file {path} cannot be read: {error.strerror}.") from error
