"""N-gram models to work on, from ARPA files, tries of KenLM and runs alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from thence.errors import RunError
from thence.exchange.arpa import arpa_tokenizer, check_model, check_sums
from thence.exchange.kenlm_file import read_ngrams
from thence.models.ngram import NGram
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.static import union
from thence.runs.run import Run, open_run
from thence.tokens import COUNTED, Tokenizer, Vocabulary, tokenizer_of


@dataclass(frozen=True)
class NGrams:
    """A back-off model and how its text is cut into tokens.

    Attributes:
        name: Of the file or the run.
        tables: One per order.
        tokenizer: Its vocabulary is that of the tables.
        run: Where it comes from, if not from a file.
    """

    name: str
    tables: list[OrderTable]
    tokenizer: Tokenizer
    run: Run | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the tables."""
        return self.tokenizer.vocabulary


def open_ngrams(source: Run | str | Path) -> NGrams:
    """Read an n-gram model from an ARPA file, a trie of KenLM, or a run.

    Raises:
        TextError: If a file is not an ARPA file, or its probabilities add up to more than one.
        RunError: If a run has no n-gram model.
        SettingError: If its scores are not probabilities.
    """
    if not isinstance(source, Run) and Path(source).is_file():
        read = read_ngrams(Path(source))
        check_sums(read, Path(source))
        return NGrams(str(source), read.tables, arpa_tokenizer(read))
    run = open_run(source)
    check_model(run)
    return NGrams(str(run.folder), cast(NGram, run.model).tables, run.tokenizer, run)


def common_tokenizer(models: Sequence[NGrams]) -> Tokenizer:
    """Return what cuts a text into the tokens of all models; its vocabulary holds all of theirs.

    Words of ARPA files are what stands between white space, unless a run says where words end.

    Raises:
        RunError: If the models are of different tokens.
    """
    first = next((model for model in models if model.run is not None), models[0])
    tokenizer = first.tokenizer
    for model in models:
        is_file = model.run is None and tokenizer.options.tokens == "words"
        if not (is_file or _cut_alike(model.tokenizer, tokenizer)):
            raise RunError(
                f"{model.name} and {first.name} cut the text into different tokens; mix models "
                "that were made with the same settings of `tokens` and the others."
            )
    vocabulary = union([model.vocabulary for model in (first, *models)])
    if tokenizer.options.tokens not in COUNTED or vocabulary.unknown == "bytes":
        return tokenizer
    options = replace(tokenizer.options, unknown=vocabulary.unknown)
    return tokenizer_of(vocabulary.symbols, options, tokenizer.edition)


def _cut_alike(one: Tokenizer, other: Tokenizer) -> bool:
    """Return whether two tokenizers find the same tokens, whichever of them they know."""
    if one.options.tokens not in COUNTED or "bytes" in (one.options.unknown, other.options.unknown):
        return one.same_tokens(other)
    names = ("tokens", "word_split", "lowercase", "nfc")
    return all(getattr(one.options, name) == getattr(other.options, name) for name in names)


def with_unknown(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer that reads what a closed vocabulary would refuse as ``<unk>``."""
    vocabulary, options = tokenizer.vocabulary, replace(tokenizer.options, unknown="symbol")
    if vocabulary.unknown != "refuse" or options.tokens not in COUNTED:
        return tokenizer
    return tokenizer_of(vocabulary.symbols, options, tokenizer.edition)
