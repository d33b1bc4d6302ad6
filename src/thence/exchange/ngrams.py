"""``NGrams``: n-gram models with their tokenizers, from ARPA files, tries of KenLM, and runs."""

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
    """A back-off model with its tokenizer.

    Attributes:
        name: Path of the file or the run.
        tables: One table per order.
        tokenizer: The tokenizer; its vocabulary is that of the tables.
        run: The run that it was read from; None for a file.
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
    """Return a tokenizer for all models, with the union of their vocabularies.

    Words of ARPA files are separated by white space, but if there is a run among the models, its
    way to split words is used.

    Raises:
        RunError: If the models have different kinds of tokens.
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
    """Return whether two tokenizers split text alike, whatever their vocabularies are."""
    if one.options.tokens not in COUNTED or "bytes" in (one.options.unknown, other.options.unknown):
        return one.same_tokens(other)
    names = ("tokens", "word_split", "lowercase", "nfc")
    return all(getattr(one.options, name) == getattr(other.options, name) for name in names)


def with_unknown(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer with ``<unk>`` in place of a closed vocabulary."""
    vocabulary, options = tokenizer.vocabulary, replace(tokenizer.options, unknown="symbol")
    if vocabulary.unknown != "refuse" or options.tokens not in COUNTED:
        return tokenizer
    return tokenizer_of(vocabulary.symbols, options, tokenizer.edition)
