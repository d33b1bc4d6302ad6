"""The settings of tokens, and the table of tokenizers: the values of ``tokens``.

Characters, bytes and words have vocabularies that are chosen from counts. All others are learned by
an algorithm of their own, and are in a table to which other packages can add, with an entry point
of the group ``thence.tokenizers`` or ``register_tokenizer``, like models (``models/registry.py``).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol, cast, runtime_checkable

from thence.corpus import Documents
from thence.errors import SettingError, nearest
from thence.plugins import Plugins
from thence.settings import PositiveInt, Settings
from thence.tokens.vocabulary import Encoded, Unknown, Vocabulary
from thence.tokens.word_splitting import WordSplit

COUNTED = ("characters", "bytes", "words")
"""Tokenizers whose vocabulary is chosen from counts, or fixed."""


@dataclass(frozen=True)
class TokenOptions(Settings):
    """How text becomes tokens."""

    tokens: str = "characters"
    """What one token is: a character, a byte, a word, or a subword (byte-level BPE)."""
    word_split: WordSplit = "punctuation"
    """Words are split at white space only, as in KenLM, or at punctuation too."""
    max_size: PositiveInt | None = None
    """Largest number of symbols of the text that get an id (default: all; 4096 for subwords)."""
    min_count: PositiveInt = 1
    """Symbols that occur less often in the train split are unknown."""
    unknown: Unknown = "symbol"
    """Unknown symbols become <unk>, are spelled in bytes, or are refused (closed vocabulary)."""
    lowercase: bool = False
    """Turn the text into lower case."""
    nfc: bool = False
    """Compose accents and other marks (Unicode normalisation form C)."""
    vocabulary: str | None = None
    """File of the words (or characters) that get an id, one per line, instead of those in the \
train text."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_tokenizer(self.tokens):
            names = tokenizer_names()
            raise SettingError(
                f"`tokens` is {self.tokens!r}; it must be one of {', '.join(names)}."
                + nearest(self.tokens, names)
            )


@dataclass(frozen=True)
class WordOptions(TokenOptions):
    """How text becomes tokens for classifiers: other defaults."""

    tokens: str = "words"
    """What one token is: a word, a character, a byte, or a subword (byte-level BPE)."""
    lowercase: bool = True
    """Turn the text into lower case."""


@dataclass(frozen=True)
class TokenizerFamily:
    """A kind of tokenizer that is learned by an algorithm of its own.

    Attributes:
        name: Its name for ``--tokens``: small letters, digits and hyphens.
        make: A function that learns one from the normalised train documents, in chunks, and the
            options; or ``module:name``.
        load: A function that makes one from its saved ``definition``; or ``module:name``.
        supplier: The package and version that it comes from; empty for those of thence.
    """

    name: str
    make: "Callable[[Iterable[Documents], TokenOptions], LearnedTokenizer] | str"
    load: "Callable[[Any], LearnedTokenizer] | str"
    supplier: str = ""


_SUBWORDS = "thence.tokens.subwords"
_plugins = Plugins(
    "thence.tokenizers",
    TokenizerFamily,
    {
        "subwords": TokenizerFamily(
            "subwords", f"{_SUBWORDS}:learn_subwords", f"{_SUBWORDS}:load_subwords"
        )
    },
)


def tokenizer_names() -> list[str]:
    """Return the names of all tokenizers, including those of installed packages."""
    return [*COUNTED, *_plugins.names()]


def is_tokenizer(name: str) -> bool:
    """Return whether there is a tokenizer of that name."""
    return name in COUNTED or _plugins.find(name) is not None


def tokenizer_suppliers(name: str) -> dict[str, str]:
    """Return ``{name: "package==version"}`` for a tokenizer of another package; else ``{}``."""
    family = None if name in COUNTED else _plugins.find(name)
    return {name: family.supplier} if family and _plugins.is_added(name) else {}


def register_tokenizer(family: TokenizerFamily) -> TokenizerFamily:
    """Add a tokenizer to the table of this Python process, and return it.

    Raises:
        SettingError: If its name is one of ours, or invalid.
    """
    if family.name in COUNTED:
        raise SettingError(f"The name '{family.name}' is taken by thence; choose another.")
    return _plugins.add(family.name, family)


def learned(name: str, what: Literal["make", "load"]) -> Callable[..., "LearnedTokenizer"]:
    """Return the function ``make`` or ``load`` of a learned tokenizer."""
    family = _plugins.find(name)
    assert family is not None  # The options were checked.
    function = family.make if what == "make" else family.load
    if isinstance(function, str):
        module, _, attribute = function.partition(":")
        function = getattr(import_module(module), attribute)
    return cast("Callable[..., LearnedTokenizer]", function)


@runtime_checkable
class LevelTokenizer(Protocol):
    """Interface of the tokenizers of one kind of token; text is normalised already."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols and their ids."""

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the ids of all tokens of a compact chunk, and the tokens of each document."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids."""


class LearnedTokenizer(LevelTokenizer, Protocol):
    """A tokenizer that has learned more than its vocabulary, such as merges."""

    @property
    def definition(self) -> Any:
        """Everything that was learned, in JSON's types."""
